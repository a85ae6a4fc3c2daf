"""Steps that the evaluation commands share."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from data.errors import DatasetError, OutputError
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset

_START = time.monotonic()


def add_report_arguments(parser: argparse.ArgumentParser, *, model: str, judge: str, seed: str) -> None:
    """Add the arguments that all commands have that write a report on a model.

    Args:
        parser: The command's parser.
        model: Help text of `--model`.
        judge: Help text of `--judge`.
        seed: What the seed decides, for its help text.
    """
    add = parser.add_argument
    add("--model", required=True, help=model)
    add("--dataset", required=True, help="folder of a prepared data set")
    add("--out", required=True, help="folder of the report")
    add("--split", default="test", choices=[*SPLITS, "all"], help="split to measure on (default: %(default)s)")
    add("--judge", nargs="+", default=["dlib"], help=f"{judge}; of several the first is the headline's (default: dlib)")
    add(
        "--varieties",
        type=float,
        nargs="+",
        help="varieties of the drawings to measure, in [0, 1] (default: 0 .25 .5 .75 1 with a sampler, 0 without)",
    )
    add("--guidance", type=float, help="guidance of the drawings of variety 0, 1 or more (default: the model's own)")
    add("--insightface-root", help="folder that holds models/<pack> (default: ~/.insightface)")
    add(
        "--wandb",
        default="disabled",
        choices=["disabled", "offline", "online"],
        help="mirror the report in Weights & Biases (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help=f"seed of {seed} (default: %(default)s)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: %(default)s)")


def open_output(path: str) -> Path:
    """Make a report's folder and check that it can be written to, before the long work starts.

    Raises:
        OutputError: If the folder can't be made or written to.
    """
    folder = Path(path)
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: a report can't be written there ({error.strerror or error})") from None
    return folder


def open_split(root: str, split: str) -> ClipDataset:
    """Open a split of a data set.

    Raises:
        DatasetError: If the split has no clips.
    """
    dataset = ClipDataset(root, split)  # type: ignore[arg-type]  # it checks the name itself
    if not len(dataset):
        raise DatasetError(f"{root}: nobody is in its split '{split}'; choose another with --split")
    return dataset


def print_progress(text: str) -> None:
    """Print one line with the seconds since the start to a terminal; nothing where stderr is none."""
    if sys.stderr.isatty():
        print(f"[{time.monotonic() - _START:5.0f} s] {text}", file=sys.stderr)
