"""Prepare a data set from AVSpeech's CSV: download, decode, find the speaker, keep speech and aligned faces.

python scripts/prepare_avspeech.py --csv avspeech_train.csv --out datasets/avspeech --from-id 0 --to-id 1000

A run that was stopped goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data.videos.command import add_arguments, add_fetch_arguments, run
from data.videos.plan.avspeech import AvspeechRows
from training.command import CommandParser, run_command


def main(argv: list[str]) -> None:
    """Parse, prepare, print the outcomes."""
    parser = CommandParser(
        prog="prepare_avspeech.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True, help="rows of id, start, end, x, y; header or none")
    add_arguments(parser)
    add_fetch_arguments(parser)
    given = parser.parse_args(argv)
    run(given, AvspeechRows(given.csv))


if __name__ == "__main__":
    run_command(main)
