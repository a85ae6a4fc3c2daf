"""Train all methods on one data set for the same time, and judge them: python scripts/compare.py --minutes 20.

A run that was stopped continues where it stopped; finished steps are not run again.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from data.errors import ConfigError, OutputError
from eval.commands import open_output, open_split
from eval.compare.methods import all_methods, choose
from eval.compare.page import write_comparison
from eval.compare.plan import Comparison, plan_comparison, plan_speeds
from eval.compare.table import collect_rows
from eval.demo.plan import ROOT, this_machine
from training.command import CommandParser, run_command
from training.pipeline import run_steps
from training.pipeline_progress import PipelineProgress, format_seconds


def main(argv: list[str]) -> None:
    """Parse, run the steps that are missing, print the table's path."""
    parser = CommandParser(description="Train all methods on one data set for the same time, and judge them.")
    add = parser.add_argument
    add("--dataset", default="datasets/personas", help="folder of a prepared data set (default: %(default)s)")
    add("--minutes", type=float, default=20, help="training of each method, in minutes (default: %(default)s)")
    add("--seeds", type=int, default=1, help="number of trainings of each method (default: %(default)s)")
    add("--methods", nargs="+", help="some of the methods, by name (default: all)")
    add("--recipes", default="configs/personas", help="folder of our encoder.yaml and gan.yaml (default: %(default)s)")
    add("--encoder-recipe", type=Path, help="our voice encoder's recipe (default: encoder.yaml of --recipes)")
    add("--judge", default="personas-judge", help="E, such as dlib (default: %(default)s)")
    add("--insightface-root", help="folder that holds models/<pack> (default: ~/.insightface)")
    add("--quick", action="store_true", help="a few steps of each method, to see that everything runs")
    add("--out", default="runs/compare", help="folder for everything (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if not arguments.minutes > 0 or arguments.seeds < 1:
        raise ConfigError("--minutes must be above 0 and --seeds 1 or more")
    out = Path(arguments.out).resolve()
    if out == ROOT or out in ROOT.parents:
        raise OutputError(f"--out {arguments.out}: choose a folder of its own, such as runs/compare")
    dataset = Path(arguments.dataset).resolve()
    open_split(str(dataset), "test")
    known = all_methods(Path(arguments.recipes), arguments.encoder_recipe)
    unknown = set(arguments.methods or ()) - {method.name for method in known}
    if unknown:
        names = ", ".join(method.name for method in known)
        raise ConfigError(f"--methods {' '.join(sorted(unknown))}: there are {names}")
    comparison = Comparison(
        # Commands run at the repository's root; paths relative to it keep this machine's folders out of reports.
        out=out.relative_to(ROOT) if out.is_relative_to(ROOT) else out,
        dataset=dataset.relative_to(ROOT) if dataset.is_relative_to(ROOT) else dataset,
        methods=choose(known, arguments.methods),
        minutes=None if arguments.quick else arguments.minutes,
        seeds=range(arguments.seeds),
        judge=arguments.judge,
        insightface_root=arguments.insightface_root,
        machine=this_machine(),
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # it ends the processes of the running step too
    open_output(str(out))
    progress = PipelineProgress()
    try:
        if comparison.minutes is not None:
            run_steps(plan_speeds(comparison), out / "speeds", _recipes(comparison), progress, ROOT)
        records = run_steps(plan_comparison(comparison), out, _recipes(comparison), progress, ROOT)
    finally:
        progress.close()
    page = write_comparison(comparison, collect_rows(comparison, records))
    print(f"finished: {format_seconds(sum(record.seconds for record in records))} of computing")
    print(out / "compare.md")
    print(page)


def _recipes(comparison: Comparison) -> str:
    """The texts of all recipes; with other recipes a finished step would give another result."""
    paths = sorted({stage.config for stage in comparison.stages().values()})
    return "".join((ROOT / path).read_text(encoding="utf-8") for path in paths)


if __name__ == "__main__":
    run_command(main)
