"""A data set on disk: Parquet shards and dataset.json, which describes them.

Speech and crops are stored in the struct layout of Hugging Face's `Audio` and `Image`. All clips of a person are in one
shard, sorted by identity, in small row groups, so that one clip can be read without the whole shard. Parquet's
compression is off, because FLAC, JPEG and WebP are compressed already.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import DatasetError
from data.faces.alignment import CROP_REGION, Region
from data.faces.protocol import FaceEncoderInfo
from data.files import write_file
from data.media.waveform import SAMPLE_RATE
from data.store.clip import SPLITS, Row, Split

SCHEMA_VERSION = 1
ROWS_PER_GROUP = 16
INFO_NAME = "dataset.json"
PRIVATE_KEY = "private"
"""Key of `extra` in dataset.json that marks a data set as private."""

IDENTITIES_PER_SHARD = 128

Member = TypeVar("Member")


@dataclass(frozen=True)
class SplitInfo:
    """Split of the people: its seed, the shares of train, val and test, and `hash_assignment` of the result."""

    seed: int
    fractions: tuple[float, float, float]
    sha256: str


@dataclass(frozen=True)
class DatasetInfo:
    """Content of dataset.json.

    Attributes:
        schema_version: Version of the shards' layout.
        num_clips: Clips by split.
        num_identities: People by split.
        num_voices: Clips with speech, by split.
        num_faces: Crops by split.
        shards: Rows by file name.
        face_encoder: Training face network T, which made `face_features`.
        face_size: Side of the crops in pixels.
        crop_region: Area that a crop covers, in template units.
        sample_rate: Sample rate of the speech, Hz.
        split: Split of the people.
        attribute_coverage: Number of people whose sex, age, nationality is known, by attribute.
        request: Settings that the data set was made with, without paths.
        extra: Further facts from the source.
    """

    num_clips: dict[str, int]
    num_identities: dict[str, int]
    num_voices: dict[str, int]
    num_faces: dict[str, int]
    shards: dict[str, int]
    face_encoder: FaceEncoderInfo
    face_size: int
    split: SplitInfo
    attribute_coverage: dict[str, int]
    request: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    crop_region: Region = CROP_REGION
    sample_rate: int = SAMPLE_RATE
    schema_version: int = SCHEMA_VERSION

    @property
    def is_private(self) -> bool:
        """Whether the people did not agree that models of them are published: `"private": true` in `extra`."""
        return bool(self.extra.get(PRIVATE_KEY, False))


def write_info(folder: Path, info: DatasetInfo) -> None:
    """Write dataset.json by a temporary name, fsync and rename."""
    write_file(folder / INFO_NAME, encode_info(info))


def encode_info(info: DatasetInfo) -> str:
    """Serialize the content of dataset.json."""
    return json.dumps(asdict(info), indent=2, ensure_ascii=False) + "\n"


def read_info(folder: Path) -> DatasetInfo:
    """Read dataset.json.

    Raises:
        DatasetError: If it is missing, damaged, of another schema version, or its crops cover another region.
    """
    path = folder / INFO_NAME
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DatasetError(f"{folder}: no data set here ({INFO_NAME} is missing); prepare one first") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: damaged ({error}); prepare the data set again") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    return decode_info(content, str(path))


def decode_info(text: str, path: str) -> DatasetInfo:
    """Parse the content of dataset.json.

    Args:
        text: Content of the file.
        path: Name of the file for messages.

    Raises:
        DatasetError: As `read_info`.
    """
    try:
        content = json.loads(text)
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise DatasetError(
                f"{path}: schema version {version}, this wav2face reads {SCHEMA_VERSION}; prepare the data set again"
            )
        content["face_encoder"] = FaceEncoderInfo(**content["face_encoder"])
        content["crop_region"] = Region(**content["crop_region"])
        split = content["split"]
        content["split"] = SplitInfo(split["seed"], tuple(split["fractions"]), split["sha256"])
        info = DatasetInfo(**content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path}: damaged ({error}); prepare the data set again") from error
    if info.crop_region != CROP_REGION or info.sample_rate != SAMPLE_RATE:
        raise DatasetError(f"{path}: made with another crop or sample rate; prepare the data set again")
    return info


def clip_schema(
    feature_size: int, vectors: Mapping[str, int] = MappingProxyType({}), texts: Sequence[str] = ()
) -> pa.Schema:
    """Arrow schema of a shard, with the metadata that make `datasets` decode Audio and Image columns.

    Args:
        feature_size: Length of a face feature.
        vectors: Lengths of additional columns of float32 vectors, by name.
        texts: Names of additional columns of text.
    """
    media = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    feature = pa.list_(pa.float32(), feature_size)
    columns: list[tuple[str, pa.DataType, dict[str, Any]]] = [
        ("clip_id", pa.string(), _value("string")),
        ("identity", pa.string(), _value("string")),
        ("audio", media, {"sampling_rate": SAMPLE_RATE, "_type": "Audio"}),
        ("duration", pa.float32(), _value("float32")),
        ("images", pa.list_(media), {"feature": {"_type": "Image"}, "_type": "List"}),
        (
            "face_features",
            pa.list_(feature),
            {
                "feature": {"feature": _value("float32"), "length": feature_size, "_type": "List"},
                "_type": "List",
            },
        ),
        ("sex", pa.string(), _value("string")),
        ("age", pa.float32(), _value("float32")),
        ("nationality", pa.string(), _value("string")),
        ("video_id", pa.string(), _value("string")),
        ("start", pa.float32(), _value("float32")),
        ("end", pa.float32(), _value("float32")),
        ("x", pa.float32(), _value("float32")),
        ("y", pa.float32(), _value("float32")),
        *(
            (name, pa.list_(pa.float32(), length), {"feature": _value("float32"), "length": length, "_type": "List"})
            for name, length in vectors.items()
        ),
        *((name, pa.string(), _value("string")) for name in texts),
    ]
    features = {name: feature for name, _, feature in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, kind) for name, kind, _ in columns], metadata=metadata)


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


SHARED_COLUMNS = frozenset(clip_schema(feature_size=1).names)
"""Columns that every data set has."""


def write_shard(
    path: Path,
    rows: Iterable[Row],
    feature_size: int,
    vectors: Mapping[str, int] = MappingProxyType({}),
    texts: Sequence[str] = (),
) -> int:
    """Write rows as one Parquet file by a temporary name, fsync and rename.

    Args:
        path: File to write; replaced if it exists.
        rows: Rows; columns that a row lacks are null, those that the schema lacks are left out.
        feature_size: Length of a face feature.
        vectors: As in `clip_schema`.
        texts: As in `clip_schema`.

    Returns:
        Number of rows.

    Raises:
        OSError: If the disk is full or the folder can't be written to.
    """
    schema = clip_schema(feature_size, vectors, texts)
    return write_tables(path, schema, _as_tables(rows, schema))


def write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write tables as one Parquet file, a row group each, by a temporary name, fsync and rename.

    Args:
        path: File to write; replaced if it exists.
        schema: Schema of all tables.
        tables: Tables of `ROWS_PER_GROUP` rows, the last of fewer.

    Returns:
        Number of rows.

    Raises:
        OSError: If the disk is full or the folder can't be written to.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        num_rows = _write_parquet(file, schema, tables)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return num_rows


def encode_shard(rows: Iterable[Row], schema: pa.Schema) -> bytes:
    """Bytes of a shard with these rows, for storage other than a local folder."""
    buffer = io.BytesIO()
    _write_parquet(buffer, schema, _as_tables(rows, schema))
    return buffer.getvalue()


def _write_parquet(file: BinaryIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    num_rows = 0
    # Statistics and dictionaries of picture bytes would only waste space.
    with pq.ParquetWriter(
        file, schema, compression="none", use_dictionary=False, write_statistics=["clip_id", "identity"]
    ) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            num_rows += table.num_rows
    return num_rows


def _as_tables(rows: Iterable[Row], schema: pa.Schema) -> Iterator[pa.Table]:
    return (pa.Table.from_pylist(group, schema=schema) for group in _grouped(rows, ROWS_PER_GROUP))


def _grouped(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def shard_names(shards_by_split: Mapping[str, int]) -> dict[str, list[str]]:
    """File names of shards by split: `train-00000-of-00004.parquet`."""
    return {
        split: [
            f"{split}-{i:05d}-of-{shards_by_split.get(split, 0):05d}.parquet"
            for i in range(shards_by_split.get(split, 0))
        ]
        for split in SPLITS
    }


def plan_shards(members: Mapping[Split, Sequence[Member]]) -> dict[str, Sequence[Member]]:
    """Assign people to files: those of a split in their order, `IDENTITIES_PER_SHARD` a file."""
    names = shard_names({split: -(-len(group) // IDENTITIES_PER_SHARD) for split, group in members.items()})
    return {
        name: members[split][i * IDENTITIES_PER_SHARD : (i + 1) * IDENTITIES_PER_SHARD]
        for split in SPLITS
        for i, name in enumerate(names[split])
    }
