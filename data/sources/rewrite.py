"""The writing of a regrouped data set: new identities, and clips in the shards of their new splits.

What does not change is linked, not copied.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import DatasetError
from data.files import write_file
from data.store.clip import SPLITS
from data.store.inventory import count_shards
from data.store.publish import open_partial, publish, writing_to
from data.store.shards import ROWS_PER_GROUP, DatasetInfo, SplitInfo, write_info, write_tables
from data.store.split import assign_split, hash_assignment
from data.store.storage import LOCK_NAME

GROUPS_NAME = "groups.jsonl"
"""File of the earlier identities that have another name now: one line each, {"identity", "group"}."""

ATTRIBUTES = ("sex", "age", "nationality")

_OUTCOMES = "rows-*.jsonl"


@dataclass(frozen=True)
class ClipIndex:
    """Index of a data set's clips, without their speech and crops.

    Attributes:
        names: Identities, sorted.
        people: [N] index of each clip's person in `names`.
        shards: Names of the files.
        shard_of: [N] index of each clip's file in `shards`.
        splits: [N] index of each clip's split in `SPLITS`.
        known: [N, 3] whether sex, age and nationality are known.
        is_male: [N] whether the person is male; False also where the sex is not known.
    """

    names: list[str]
    people: NDArray[np.int64]
    shards: list[str]
    shard_of: NDArray[np.int64]
    splits: NDArray[np.int64]
    known: NDArray[np.bool_]
    is_male: NDArray[np.bool_]


@dataclass(frozen=True)
class GroupPlan:
    """New identities, and the new file of each clip.

    Attributes:
        names: New identities, by index of the earlier one.
        group_of: [number of people] as from `group_people`.
        targets: [N] index of each clip's new file in `shards`.
        shards: Names of the new files.
    """

    names: list[str]
    group_of: NDArray[np.int64]
    targets: NDArray[np.int64]
    shards: list[str]


def split_of(shard: str) -> int:
    """The index in `SPLITS` of a shard's split."""
    return list(map(str, SPLITS)).index(shard.partition("-")[0])


def rewrite_dataset(
    folder: Path, info: DatasetInfo, clips: ClipIndex, plan: GroupPlan, threshold: float, earlier: dict[str, str]
) -> None:
    """Build the regrouped data set beside the old one, and let it take its place by a rename.

    Args:
        folder: Folder of the data set.
        info: Content of its dataset.json.
        clips: Index of its clips.
        plan: New identities and shards.
        threshold: Cosine threshold applied.
        earlier: Content of its groups.jsonl: new names by earlier ones.
    """
    renamed = {old: new for old, new in zip(clips.names, plan.names, strict=True) if old != new}
    request = {
        "group": threshold,
        "face_encoder_sha256": info.face_encoder.sha256,
        "shards": info.shards,
        "split": info.split.sha256,
    }
    with writing_to(folder):
        partial = open_partial(folder, request)
        _rewrite_shards(folder, partial, clips, plan)
        for path in sorted(folder.glob(_OUTCOMES)):
            _rewrite_outcomes(path, partial / path.name, renamed, info.split)
        groups = {old: renamed.get(new, new) for old, new in earlier.items()} | renamed
        lines = (json.dumps({"identity": old, "group": new}, ensure_ascii=False) for old, new in sorted(groups.items()))
        write_file(partial / GROUPS_NAME, "".join(line + "\n" for line in lines))
        for path in folder.iterdir():
            if path.name not in {*info.shards, LOCK_NAME} and not (partial / path.name).exists():
                _link_all(path, partial / path.name)
        write_info(partial, _summarize(partial, info, clips, plan, threshold))
        publish(partial, folder)


def _rewrite_shards(folder: Path, partial: Path, clips: ClipIndex, plan: GroupPlan) -> None:
    """Publish the shards that are not there yet, each by a rename."""
    changed = np.array([new != old for new, old in zip(plan.names, clips.names, strict=True)])[clips.people]
    sizes = np.bincount(clips.shard_of, minlength=len(clips.shards))
    first_clips = np.concatenate([[0], np.cumsum(sizes)])
    with tqdm(total=len(clips.people), unit="clip", desc="regrouping", disable=None) as progress:
        for target, name in enumerate(plan.shards):
            is_own = plan.targets == target
            sources = np.unique(clips.shard_of[is_own]).tolist()
            if not (partial / name).exists():
                whole = len(sources) == 1 and sizes[sources[0]] == is_own.sum()
                if whole and not (is_own & changed).any():
                    _link(folder / clips.shards[sources[0]], partial / name)
                else:
                    parts = []
                    for source in sources:
                        rows = slice(first_clips[source], first_clips[source + 1])
                        names = [plan.names[person] for person in clips.people[rows].tolist()]
                        parts.append((folder / clips.shards[source], is_own[rows], names))
                    _write_shard(partial / name, parts)
            progress.update(int(is_own.sum()))


def _write_shard(path: Path, parts: Sequence[tuple[Path, NDArray[np.bool_], list[str]]]) -> None:
    """Write a shard of rows of others; each part is a file, a mask of its rows, and new identities of all of them."""
    try:
        with pq.ParquetFile(parts[0][0]) as file:
            schema = file.schema_arrow
        write_tables(path, schema, _in_groups(_selected(parts, schema)))
    except (pa.ArrowException, KeyError) as error:
        message = str(error).splitlines()[0]
        raise DatasetError(f"{parts[0][0]}: damaged ({message}); prepare the data set again") from error


def _selected(parts: Sequence[tuple[Path, NDArray[np.bool_], list[str]]], schema: pa.Schema) -> Iterator[pa.Table]:
    """The wanted rows with their new identities, a row group of a source at a time."""
    column = schema.get_field_index("identity")
    for path, wanted, names in parts:
        identities = pa.array(names, schema.field(column).type)
        with pq.ParquetFile(path) as file:
            start = 0
            for group in range(file.num_row_groups):
                rows = slice(start, start := start + file.metadata.row_group(group).num_rows)
                if wanted[rows].any():
                    table = file.read_row_group(group, use_threads=False).select(schema.names)
                    table = table.set_column(column, schema.field(column), identities[rows])
                    yield table.filter(pa.array(wanted[rows])).cast(schema)


def _in_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, `ROWS_PER_GROUP` a table, as readers find a row by its number."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= ROWS_PER_GROUP:
            rows = pa.concat_tables(waiting)
            whole = rows.num_rows - rows.num_rows % ROWS_PER_GROUP
            yield from (rows.slice(start, ROWS_PER_GROUP) for start in range(0, whole, ROWS_PER_GROUP))
            waiting = [rows.slice(whole)]
    if any(part.num_rows for part in waiting):
        yield pa.concat_tables(waiting)


def _rewrite_outcomes(source: Path, target: Path, renamed: dict[str, str], split: SplitInfo) -> None:
    """Write a file of outcomes with new identities and splits."""
    lines = []
    try:
        with source.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if (new := renamed.get(row.get("identity"))) is not None:
                    row["identity"] = new
                    if row.get("split"):
                        row["split"] = assign_split(new, split.seed, split.fractions)
                    line = json.dumps(row, ensure_ascii=False) + "\n"
                lines.append(line)
    except (ValueError, AttributeError, TypeError) as error:
        raise DatasetError(f"{source}: damaged ({error}); prepare the data set again") from error
    write_file(target, "".join(lines))


def _summarize(partial: Path, info: DatasetInfo, clips: ClipIndex, plan: GroupPlan, threshold: float) -> DatasetInfo:
    """The content of dataset.json, counted from the new shards themselves."""
    counts = count_shards(partial, sorted(plan.shards, key=lambda name: (split_of(name), name)))
    splits = {name: assign_split(name, info.split.seed, info.split.fractions) for name in counts.identities}
    known = np.zeros((len(clips.names), len(ATTRIBUTES)), np.bool_)
    np.logical_or.at(known, plan.group_of[clips.people], clips.known)
    coverage = dict(zip(ATTRIBUTES, known.sum(axis=0).tolist(), strict=True))
    return replace(
        info,
        num_clips=counts.num_clips,
        num_identities={split: sum(own == split for own in splits.values()) for split in SPLITS},
        num_voices=counts.num_voices,
        num_faces=counts.num_faces,
        shards=counts.rows,
        split=replace(info.split, sha256=hash_assignment(splits)),
        attribute_coverage=info.attribute_coverage | coverage,
        extra=info.extra | {"groups": {"threshold": threshold, "num_people_before": len(clips.names)}},
    )


def _link_all(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(source, target)


def _link(source: str | Path, target: str | Path) -> None:
    """Give a file a second name, or copy it where the disk has no links; files of a data set are never changed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
