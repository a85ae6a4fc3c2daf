"""What the evaluation commands do alike."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from data.errors import DatasetError, OutputError
from data.store.dataset import ClipDataset

_START = time.monotonic()


def open_output(path: str) -> Path:
    """The report's folder, made if missing and proved to be writable before an hour is spent.

    Raises:
        OutputError: If it can't be made or written to.
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
    """A split of a data set.

    Raises:
        DatasetError: If nobody is in it.
    """
    dataset = ClipDataset(root, split)  # type: ignore[arg-type]  # it checks the name itself
    if not len(dataset):
        raise DatasetError(f"{root}: nobody is in its split '{split}'; choose another with --split")
    return dataset


def print_progress(what: str) -> None:
    """One line on a terminal, nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"[{time.monotonic() - _START:5.0f} s] {what}", file=sys.stderr)
