"""Contents of shards, read without their speech and crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.errors import DatasetError
from data.store.clip import SPLITS

_LIGHT_COLUMNS = [
    "clip_id",
    "identity",
    "duration",
    "sex",
    "age",
    "nationality",
    "video_id",
    "start",
    "end",
    "x",
    "y",
]


@dataclass(frozen=True)
class Counts:
    """Contents of shards: rows by file, other counts by split, and all identities."""

    rows: dict[str, int]
    num_clips: dict[str, int]
    num_voices: dict[str, int]
    num_faces: dict[str, int]
    identities: set[str]


def read_light_columns(path: Path) -> pa.Table:
    """Scalar columns of a shard, with `has_voice` and `num_faces`; one row a clip.

    Raises:
        DatasetError: If the file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            # The sub-columns `path` show which clips have speech and crops; the bytes beside them are not read.
            table = file.read([*_LIGHT_COLUMNS, "audio.path", "images.list.element.path"], use_threads=False)
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: missing; prepare the data set again") from error
    except (OSError, pa.ArrowException, KeyError) as error:
        message = str(error).splitlines()[0]
        raise DatasetError(f"{path}: damaged ({message}); prepare the data set again") from error
    if set(_LIGHT_COLUMNS) - set(table.column_names):
        raise DatasetError(f"{path}: columns are missing; prepare the data set again")
    has_voice = pc.is_valid(table["audio"])
    num_faces = pc.fill_null(pc.list_value_length(table["images"]), 0)
    table = table.drop_columns(["audio", "images"])
    return table.append_column("has_voice", has_voice).append_column("num_faces", num_faces)


def count_shards(folder: Path, names: Sequence[str]) -> Counts:
    """Count clips, voices and faces of shards; a file's name begins with its split and a dash."""
    nothing = dict.fromkeys(map(str, SPLITS), 0)
    counts = Counts({}, dict(nothing), dict(nothing), dict(nothing), set())
    for name in names:
        table = read_light_columns(folder / name)
        split = name.partition("-")[0]
        counts.rows[name] = table.num_rows
        counts.num_clips[split] += table.num_rows
        counts.num_voices[split] += pc.sum(table["has_voice"]).as_py() or 0
        counts.num_faces[split] += pc.sum(table["num_faces"]).as_py() or 0
        counts.identities.update(table["identity"].unique().to_pylist())
    return counts
