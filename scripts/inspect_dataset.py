"""Write a page that shows a data set: counts, faces, voices, failures, duplicates; one folder, no network, no server.

python scripts/inspect_dataset.py datasets/real --out pages/real-data
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data.errors import ConfigError, DatasetError
from data.store.dataset import ClipDataset
from eval.commands import open_output
from eval.pages.dataset.build import write_inspection
from training.command import CommandParser, run_command

_MAX_PEOPLE = 500


def main(argv: list[str]) -> None:
    """Parse, read, write; the page's path is the last line."""
    parser = CommandParser(
        prog="inspect_dataset.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, help="folder of a prepared data set")
    parser.add_argument("--out", type=Path, help="folder of the page (default: pages/<name of the data set>)")
    parser.add_argument("--num-people", type=int, default=30, help="number of people shown (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.num_people <= _MAX_PEOPLE:
        raise ConfigError(f"--num-people {arguments.num_people}: between 0 and {_MAX_PEOPLE} are possible")
    dataset = ClipDataset(arguments.dataset, "all")
    if not len(dataset):
        raise DatasetError(f"{arguments.dataset}: it holds no clip")
    out = arguments.out or Path("pages") / dataset.root.resolve().name
    print(write_inspection(open_output(str(out)), dataset, arguments.num_people))


if __name__ == "__main__":
    run_command(main)
