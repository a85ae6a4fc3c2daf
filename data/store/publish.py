"""Data sets that are whole or absent: built in a hidden folder beside, gone on with after a kill, then renamed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.errors import OutputError
from data.faces.protocol import FaceEncoderInfo
from data.files import write_file
from data.store.shards import INFO_NAME, DatasetInfo, read_info
from data.store.storage import LOCK_NAME

_REQUEST_NAME = "request.json"


def find_finished(out: Path, request: dict[str, Any], names: Mapping[str, str], overwrite: bool) -> DatasetInfo | None:
    """The data set that lies at its place already, if it is the one asked for.

    Args:
        out: Where the data set shall be.
        request: All that decides about it, as its dataset.json keeps it.
        names: What to call keys of a request in messages, where the key itself would not be understood.
        overwrite: Whether a data set made otherwise may be replaced.

    Returns:
        What its dataset.json says; None if it is still to be made, or made anew.

    Raises:
        OutputError: If something else is there.
        DatasetError: If a data set is there but damaged.
    """
    recover(out)
    if not out.exists() or (out.is_dir() and all(entry.name == LOCK_NAME for entry in out.iterdir())):
        return None
    if not (out / INFO_NAME).is_file():
        raise OutputError(f"{out}: already exists and is no data set; choose another --out")
    if overwrite:
        return None
    info = read_info(out)
    if info.request == request:
        return info
    changed = [names.get(key, key) for key in request if info.request.get(key) != request[key]]
    raise OutputError(
        f"{out}: holds a data set made otherwise ({', '.join(changed)}); choose another --out or give --overwrite"
    )


@contextmanager
def writing_to(out: Path | str) -> Iterator[None]:
    """Tell of a full disk, or of a folder that is not ours, as an error that says how to go on.

    Raises:
        OutputError: Instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{out}: can't be written to: {error.strerror or error}; "
            "free some space or choose another place, then run the same command again to go on"
        ) from error


def open_partial(out: Path, request: dict[str, Any]) -> Path:
    """The folder to build in: that of an interrupted run of the same request, or a new one.

    Args:
        out: Where the result shall be; the folder lies beside it, hidden.
        request: All that decides about the result, fit for JSON; another request's leftovers are removed.
    """
    partial = out.absolute().with_name(f".{out.absolute().name}.partial")
    saved = partial / _REQUEST_NAME
    try:
        is_same = json.loads(saved.read_text(encoding="utf-8")) == request
    except (OSError, ValueError):
        is_same = False
    if not is_same:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        write_file(saved, json.dumps(request))
    return partial


def publish(partial: Path, out: Path) -> None:
    """Put the finished folder where it belongs; what it replaces is gone only afterwards."""
    (partial / _REQUEST_NAME).unlink()
    out = out.absolute()
    old = out.with_name(f".{out.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if out.exists():
        out.replace(old)
    partial.replace(out)
    if old.exists():
        shutil.rmtree(old)


def recover(out: Path) -> None:
    """Put back what a kill between `publish`'s two renames left hidden."""
    out = out.absolute()
    old = out.with_name(f".{out.name}.old")
    if old.exists() and not out.exists():
        old.replace(out)


def request_record(
    recipe: Any, face_encoder: FaceEncoderInfo, seed: int, split_fractions: Sequence[float]
) -> dict[str, Any]:
    """What decides about a data set besides what it is made from, as dataset.json keeps it.

    Args:
        recipe: A dataclass of settings; where files lie and networks run on this machine is left out.
        face_encoder: T.
        seed: Of the split.
        split_fractions: Shares of train, val and test.
    """
    settings = {key: value for key, value in asdict(recipe).items() if key not in ("insightface_root", "device")}
    return {
        **settings,
        "face_encoder_sha256": face_encoder.sha256,
        "seed": seed,
        "split_fractions": list(split_fractions),
    }
