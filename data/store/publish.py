"""Complete data sets or none: built in a hidden folder beside the output, continued if interrupted, then renamed."""

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
    """Look for a finished data set of the same request.

    Args:
        out: Folder of the data set.
        request: All settings that the data set depends on, as dataset.json holds them.
        names: Plain names of keys of the request, for messages.
        overwrite: Whether a data set made by other settings may be replaced.

    Returns:
        Content of its dataset.json; None if the data set has to be made.

    Raises:
        OutputError: If the folder holds something else.
        DatasetError: If it holds a damaged data set.
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
    """Turn errors of writing, such as a full disk, into an error that says how to continue.

    Raises:
        OutputError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{out}: can't be written to: {error.strerror or error}; "
            "free some space or choose another place, then run the same command again to go on"
        ) from error


def open_partial(out: Path, request: dict[str, Any]) -> Path:
    """Open the hidden folder to build in: that of an interrupted run of the same request, or a new one.

    Args:
        out: Folder of the result; the hidden one is beside it.
        request: All settings that the result depends on, as JSON values; a folder of another request is removed.
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
    """Move the finished folder to its place; a data set that it replaces is deleted afterwards."""
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
    """Restore the old data set if a process was killed between the two renames of `publish`."""
    out = out.absolute()
    old = out.with_name(f".{out.name}.old")
    if old.exists() and not out.exists():
        old.replace(out)


def request_record(
    recipe: Any, face_encoder: FaceEncoderInfo, seed: int, split_fractions: Sequence[float]
) -> dict[str, Any]:
    """All settings that a data set depends on, besides its source, as dataset.json holds them.

    Args:
        recipe: Dataclass of settings; paths and the device are left out.
        face_encoder: Training face network T.
        seed: Seed of the split.
        split_fractions: Shares of train, val and test.
    """
    settings = {key: value for key, value in asdict(recipe).items() if key not in ("insightface_root", "device")}
    return {
        **settings,
        "face_encoder_sha256": face_encoder.sha256,
        "seed": seed,
        "split_fractions": list(split_fractions),
    }
