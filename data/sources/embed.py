"""The features of another face network for an existing data set; all else in it stays as it is, byte for byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from data.errors import DatasetError, MediaError
from data.faces.analyzer import embed_crops
from data.faces.protocol import Device, FaceRecognizer
from data.faces.registry import cached_recognizer
from data.media.images import decode_crop
from data.store.inventory import read_light_columns
from data.store.publish import open_partial, publish, recover, writing_to
from data.store.shards import DatasetInfo, read_info, write_info, write_tables
from data.store.storage import LOCK_NAME
from data.workers import map_in_processes, use_one_thread

_COLUMN = "face_features"


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of a rewriting.

    Attributes:
        dataset: Folder of the data set; replaced as a whole when all is done.
        face_encoder: New face network T, as `load_recognizer` takes it.
        insightface_root: Folder that holds `models/<pack>/`; None for `~/.insightface`.
        num_workers: Number of processes; the result does not depend on it.
        device: Device that the network runs on.
    """

    dataset: Path
    face_encoder: str
    insightface_root: str | None = None
    num_workers: int = 1
    device: Device = "cpu"


@dataclass(frozen=True)
class _Task:
    source: Path
    target: Path
    face_encoder: str
    insightface_root: str | None
    device: Device


def embed_dataset(config: EmbedConfig) -> tuple[DatasetInfo, bool]:
    """Replace the features of all crops, or finish a run that was interrupted.

    The new features are those of the stored crops, which may hold less detail than the photographs that the first
    features were computed from.

    Returns:
        The new content of dataset.json, and whether there was something to do.

    Raises:
        DatasetError: If the data set is missing or damaged.
        ModelError: If the network can't be loaded.
        OutputError: If the folder can't be written to, or the disk is full.
    """
    recover(config.dataset)
    info = read_info(config.dataset)
    recognizer = cached_recognizer(config.face_encoder, config.insightface_root, config.device)
    if recognizer.info.sha256 == info.face_encoder.sha256:
        return info, False
    info = replace(info, face_encoder=recognizer.info)
    if (
        "face_encoder_sha256" in info.request
    ):  # so that the same preparation again is refused, and does not undo the change
        info = replace(info, request={**info.request, "face_encoder_sha256": recognizer.info.sha256})
    request = {"embed": recognizer.info.sha256, "shards": info.shards, "split": info.split.sha256}
    with writing_to(config.dataset):
        partial = open_partial(config.dataset, request)
        _rewrite_shards(config, info, partial)
        for path in config.dataset.iterdir():
            if path.name not in {*info.shards, LOCK_NAME} and not (partial / path.name).exists():
                shutil.copytree(path, partial / path.name) if path.is_dir() else shutil.copy2(path, partial / path.name)
        write_info(partial, info)
        publish(partial, config.dataset)
    return info, True


def _rewrite_shards(config: EmbedConfig, info: DatasetInfo, partial: Path) -> None:
    """Publish the shards that are not there yet, each by a rename."""
    missing = [name for name in info.shards if not (partial / name).exists()]
    tasks = [
        _Task(config.dataset / name, partial / name, config.face_encoder, config.insightface_root, config.device)
        for name in missing
    ]
    done = sum(info.shards[name] for name in info.shards if name not in missing)
    results = map_in_processes(_rewrite_shard, tasks, config.num_workers, _report_crash, use_one_thread)
    with tqdm(total=sum(info.shards.values()), initial=done, unit="clip", desc="embedding", disable=None) as progress:
        for task, num_rows in zip(tasks, results, strict=True):
            if num_rows != info.shards[task.source.name]:
                raise DatasetError(
                    f"{task.source}: holds {num_rows} clips, {info.shards[task.source.name]} expected; "
                    "prepare the data set again"
                )
            progress.update(num_rows)


def _rewrite_shard(task: _Task) -> int:
    """Write one shard with new features, and return its number of rows."""
    recognizer = cached_recognizer(task.face_encoder, task.insightface_root, task.device)
    read_light_columns(task.source)  # a missing or a foreign file has a message of its own
    try:
        with pq.ParquetFile(task.source) as file:
            schema = _schema_with(file.schema_arrow, recognizer.info.feature_size)
            return write_tables(task.target, schema, _rewritten_groups(file, schema, recognizer))
    except (pa.ArrowException, KeyError, MediaError) as error:
        message = str(error).splitlines()[0]
        raise DatasetError(f"{task.source}: damaged ({message}); prepare the data set again") from error


def _rewritten_groups(file: pq.ParquetFile, schema: pa.Schema, recognizer: FaceRecognizer) -> Iterator[pa.Table]:
    column_number = schema.get_field_index(_COLUMN)
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, use_threads=False)
        images = table["images"].to_pylist()
        counts = [len(own or ()) for own in images]
        crops = [decode_crop(image["bytes"]) for own in images for image in own or ()]
        features = embed_crops(recognizer, np.stack(crops)) if crops else np.zeros((0, recognizer.info.feature_size))
        rows = np.split(features, np.cumsum(counts)[:-1])
        column = pa.array([list(row) for row in rows], schema.field(column_number).type)
        yield table.set_column(column_number, schema.field(column_number), column).cast(schema)


def _schema_with(schema: pa.Schema, feature_size: int) -> pa.Schema:
    """The schema with features of another length, also in its metadata for the library `datasets`."""
    column_number = schema.get_field_index(_COLUMN)
    field = schema.field(column_number)
    field = field.with_type(pa.list_(pa.list_(pa.float32(), feature_size)))
    metadata = dict(schema.metadata or {})
    if b"huggingface" in metadata:
        about = json.loads(metadata[b"huggingface"])
        about["info"]["features"][_COLUMN]["feature"]["length"] = feature_size
        metadata[b"huggingface"] = json.dumps(about).encode()
    return schema.set(column_number, field).with_metadata(metadata)


def _report_crash(task: _Task) -> int:
    raise DatasetError(f"{task.source}: a process died over it; is there memory left? run the same command again")
