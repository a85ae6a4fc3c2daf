"""Write a page that shows a model's voices, drawings and results: one folder, no network, no server.

python scripts/make_page.py --model runs/real/model --dataset datasets/real --report reports/real \
    --run runs/real-encoder --run runs/real --out pages/real
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data.errors import ConfigError
from data.store.clip import SPLITS
from eval.commands import open_output, open_split
from eval.model_under_test import check_same_training_network, load_model_under_test
from eval.pages.model.build import PageOptions, write_page
from eval.report.folder import read_parts
from gan.voice2face import Voice2Face
from training.command import CommandParser, check_device, run_command
from training.pipeline import read_records

_MAX_PEOPLE = 64


def main(argv: list[str]) -> None:
    """Parse, load, write; the page's path is the last line."""
    parser = CommandParser(description="Write a page that shows a model's voices, drawings and results.")
    parser.add_argument("--model", required=True, help="folder or hub id of a whole model or a voice encoder")
    parser.add_argument("--dataset", required=True, help="folder of a prepared data set")
    parser.add_argument("--out", required=True, help="folder of the page")
    parser.add_argument(
        "--report", action="append", default=[], help="folder with reports on this model; may be repeated"
    )
    parser.add_argument("--run", action="append", default=[], help="run folder whose curves are shown; may be repeated")
    parser.add_argument("--steps", help="steps.json of the pipeline that made the model, as scripts/demo.py writes it")
    parser.add_argument("--stages", help=argparse.SUPPRESS)
    parser.add_argument("--beside", help="another model that draws the same voices, for comparison")
    parser.add_argument(
        "--beside-name", default="another model", help="name of that model on the page (default: %(default)s)"
    )
    parser.add_argument("--note", default="", help="sentence under the title")
    parser.add_argument("--split", default="test", choices=[*SPLITS, "all"], help="split shown (default: %(default)s)")
    parser.add_argument("--num-people", type=int, default=8, help="number of people shown (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of gallery and noise (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="device: cpu, cuda, cuda:1 ... (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.stages is not None:
        raise ConfigError("--stages is called --steps now, and reads the steps.json of scripts/demo.py")
    if not 1 <= arguments.num_people <= _MAX_PEOPLE:
        raise ConfigError(f"--num-people {arguments.num_people}: between 1 and {_MAX_PEOPLE} are possible")
    check_device(arguments.device)
    reports = [Path(report) for report in arguments.report]
    for report in reports:
        if not read_parts(report):
            raise ConfigError(f"--report {report}: no report there; make one with scripts/evaluate_retrieval.py")
    steps = [] if arguments.steps is None else read_records(Path(arguments.steps))
    dataset = open_split(arguments.dataset, arguments.split)
    model = load_model_under_test(arguments.model, arguments.device)
    check_same_training_network(model, dataset)
    options = PageOptions(
        reports=reports,
        runs=[Path(run) for run in arguments.run],
        steps=steps,
        note=arguments.note,
        num_people=arguments.num_people,
        seed=arguments.seed,
        beside=None if arguments.beside is None else Voice2Face.from_pretrained(arguments.beside),
        beside_name=arguments.beside_name,
    )
    print(write_page(open_output(arguments.out), model, dataset, options))


if __name__ == "__main__":
    run_command(main)
