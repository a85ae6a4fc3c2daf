"""Steps that the evaluation commands share."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from data.errors import DatasetError, OutputError
from data.store.dataset import ClipDataset

_START = time.monotonic()


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


def print_progress(what: str) -> None:
    """Print one line with the seconds since the start to a terminal; nothing where stderr is none."""
    if sys.stderr.isatty():
        print(f"[{time.monotonic() - _START:5.0f} s] {what}", file=sys.stderr)
