"""Make personas, train on them, evaluate and show it all on a page: python scripts/demo.py [--quick].

A run that was stopped continues where it stopped; finished steps are not run again.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from data.errors import OutputError
from eval.commands import open_output
from eval.demo.plan import FULL, QUICK, ROOT, plan_demo, read_recipes, this_machine
from eval.pages.parts.rendering import PAGE_NAME
from training.command import CommandParser, run_command
from training.pipeline import run_steps
from training.pipeline_progress import PipelineProgress, format_seconds


def main(argv: list[str]) -> None:
    """Parse, run the steps that are missing, print the page's path."""
    parser = CommandParser(description="Make personas, train on them, evaluate and show it all on a page.")
    parser.add_argument("--quick", action="store_true", help="the three-minute version, to see that everything runs")
    parser.add_argument("--out", type=Path, help="folder for everything (default: runs/demo, or runs/demo-quick)")
    parser.add_argument("--seed", type=int, default=0, help="seed of population and trainings (default: %(default)s)")
    arguments = parser.parse_args(argv)
    out = ROOT / "runs" / ("demo-quick" if arguments.quick else "demo") if arguments.out is None else arguments.out
    out = out.resolve()
    if out == ROOT or out in ROOT.parents:
        raise OutputError(f"--out {out}: choose a folder of its own, such as runs/demo")
    steps = plan_demo(QUICK if arguments.quick else FULL, out, arguments.seed, this_machine())
    # SIGTERM ends the processes of the running step too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    open_output(str(out))
    progress = PipelineProgress()
    try:
        records = run_steps(steps, out, read_recipes(), progress, ROOT)
    finally:
        progress.close()
    print(f"finished: {format_seconds(sum(record.seconds for record in records))} of computing")
    print(out / PAGE_NAME)


if __name__ == "__main__":
    run_command(main)
