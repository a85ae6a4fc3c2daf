"""A data set whose people are grouped by their faces: who is the same gets one identity, and one split.

The new data set is built beside the old one and takes its place by a rename; what does not change is linked, not
copied. Features decide, so data sets of thousands of videos whose speakers nobody named stop leaking between splits.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import ConfigError, DatasetError
from data.faces.registry import same_person_threshold
from data.files import write_file
from data.sources.grouping import Group, group_people, list_groups, read_mean_features
from data.store.clip import SPLITS
from data.store.inventory import count_shards, read_light_columns
from data.store.publish import open_partial, publish, recover, writing_to
from data.store.shards import ROWS_PER_GROUP, DatasetInfo, SplitInfo, read_info, write_info, write_tables
from data.store.split import assign_split, hash_assignment
from data.store.storage import Storage

GROUPS_NAME = "groups.jsonl"
"""Which earlier identities have another name now: one line each, {"identity", "group"}."""

_SHARD_NAME = re.compile(r"(train|val|test)-(\d+)-of-(\d+)\.parquet")
_ROW_LISTS = "rows-*.jsonl"
_ATTRIBUTES = ("sex", "age", "nationality")


@dataclass(frozen=True)
class GroupConfig:
    """What to group.

    Attributes:
        dataset: Folder of the data set; replaced as a whole when all is done.
        threshold: Least cosine of two clips of one person; None for the one measured for the data set's face network.
        dry_run: Find the groups and change nothing.
    """

    dataset: Path
    threshold: float | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Grouped:
    """What was found, and done unless it was a dry run.

    Attributes:
        info: As in dataset.json before.
        threshold: That was used.
        groups: Of more than one earlier identity, the largest first.
        num_people: Before.
        num_clips: In the data set.
        num_leaks: Groups that were in more than one split.
        num_moved: Clips whose split changes.
        num_contradictions: Groups of people of both sexes, which only a wrong link makes.
    """

    info: DatasetInfo
    threshold: float
    groups: list[Group]
    num_people: int
    num_clips: int
    num_leaks: int
    num_moved: int
    num_contradictions: int


@dataclass(frozen=True)
class _Clips:
    """What a data set says of its clips, without their recordings and pictures.

    Attributes:
        names: Identities, sorted.
        people: [N] index into `names`.
        shards: Names of files.
        shard_of: [N] index into `shards`.
        splits: [N] index into `SPLITS`.
        known: [N, 3] which of sex, age and nationality are known.
        is_male: [N]; False also where the sex is not known.
    """

    names: list[str]
    people: NDArray[np.int64]
    shards: list[str]
    shard_of: NDArray[np.int64]
    splits: NDArray[np.int64]
    known: NDArray[np.bool_]
    is_male: NDArray[np.bool_]


@dataclass(frozen=True)
class _Plan:
    """Who is who from now on, and where each clip goes.

    Attributes:
        names: New identities, by number of the earlier one.
        group_of: As from `group_people`.
        targets: [N] index into `shards`.
        shards: Names of the new files.
    """

    names: list[str]
    group_of: NDArray[np.int64]
    targets: NDArray[np.int64]
    shards: list[str]


def group_dataset(config: GroupConfig) -> Grouped:
    """Give clips that show the same face one identity and one split, or finish a run that was interrupted.

    Raises:
        ConfigError: If the threshold is out of range, or none is known for the data set's face network.
        DatasetError: If the data set is missing or damaged.
        OutputError: If the folder can't be written to, the disk is full, or a preparation is at work in it.
    """
    recover(config.dataset)
    read_info(config.dataset)  # a folder that is none of ours is not even locked
    with Storage(str(config.dataset)).locked():  # a preparation that goes on meanwhile would write into the old folder
        return _group(config, read_info(config.dataset))


def _group(config: GroupConfig, info: DatasetInfo) -> Grouped:
    threshold = _choose_threshold(config, info)
    clips = _read_clips(config.dataset, info)
    features = read_mean_features([config.dataset / name for name in clips.shards], info.face_encoder.feature_size)
    earlier = _read_groups(config.dataset / GROUPS_NAME)
    number_of = {name: number for number, name in enumerate(clips.names)}
    known = [(number_of[old], number_of[new]) for old, new in earlier.items() if {old, new} <= number_of.keys()]
    group_of = group_people(features, clips.people, len(clips.names), threshold, known)
    plan = _plan(clips, group_of, info.split)
    grouped = _summarize(info, threshold, clips, list_groups(features, clips.people, clips.names, group_of), plan)
    if grouped.groups and not config.dry_run:
        renamed = {old: new for old, new in zip(clips.names, plan.names, strict=True) if old != new}
        _rewrite(config.dataset, grouped, clips, plan, earlier, renamed)
    return grouped


def _choose_threshold(config: GroupConfig, info: DatasetInfo) -> float:
    if config.threshold is not None:
        if not 0 < config.threshold <= 1:
            raise ConfigError(f"--threshold {config.threshold}: a cosine above 0 and at most 1 is needed")
        return config.threshold
    threshold = same_person_threshold(info.face_encoder)
    if threshold is None:
        raise ConfigError(
            f"{config.dataset}: nobody measured how alike two faces of one person are to its face network "
            f"{info.face_encoder.name}; give the least cosine with --threshold, and look with --dry-run first"
        )
    return threshold


def _read_clips(folder: Path, info: DatasetInfo) -> _Clips:
    identities, known, is_male, splits = [], [], [], []
    for name in info.shards:
        if _SHARD_NAME.fullmatch(name) is None:
            raise DatasetError(f"{folder / name}: not named like a shard of a data set; prepare the data set again")
        table = read_light_columns(folder / name)
        if table.num_rows != info.shards[name]:
            expected = f"{info.shards[name]} expected; prepare the data set again"
            raise DatasetError(f"{folder / name}: holds {table.num_rows} clips, {expected}")
        identities.append(np.array(table["identity"].to_pylist(), dtype=object))
        known.append(np.stack([pc.is_valid(table[column]).to_numpy() for column in _ATTRIBUTES], axis=1))
        is_male.append(pc.fill_null(pc.equal(table["sex"], "male"), False).to_numpy())
        splits.append(np.full(table.num_rows, _split_of(name)))
    if not sum(info.shards.values()):
        raise DatasetError(f"{folder}: there is not one clip in it")
    names, people = np.unique(np.concatenate(identities), return_inverse=True)
    return _Clips(
        names=[str(name) for name in names],
        people=people.astype(np.int64),
        shards=list(info.shards),
        shard_of=np.repeat(np.arange(len(info.shards)), list(info.shards.values())),
        splits=np.concatenate(splits),
        known=np.concatenate(known),
        is_male=np.concatenate(is_male),
    )


def _split_of(shard: str) -> int:
    return list(map(str, SPLITS)).index(shard.partition("-")[0])


def _plan(clips: _Clips, group_of: NDArray[np.int64], split: SplitInfo) -> _Plan:
    """New identities, and a file for each clip: that of its new split with the number of its old file."""
    split_of_group = {
        group: SPLITS.index(assign_split(clips.names[group], split.seed, split.fractions))
        for group in np.unique(group_of).tolist()
    }
    new_splits = np.array([split_of_group[group] for group in group_of.tolist()])[clips.people]
    parts = [name.removesuffix(".parquet").split("-") for name in clips.shards]
    numbers, total = np.array([int(part[1]) for part in parts]), max(int(part[3]) for part in parts)
    found, targets = np.unique(numbers[clips.shard_of] * len(SPLITS) + new_splits, return_inverse=True)
    return _Plan(
        names=[clips.names[group] for group in group_of.tolist()],
        group_of=group_of,
        targets=targets.astype(np.int64),
        shards=[f"{SPLITS[i % len(SPLITS)]}-{i // len(SPLITS):05d}-of-{total:05d}.parquet" for i in found.tolist()],
    )


def _summarize(info: DatasetInfo, threshold: float, clips: _Clips, groups: list[Group], plan: _Plan) -> Grouped:
    number_of = {name: number for number, name in enumerate(clips.names)}
    splits_of: list[set[int]] = [set() for _ in clips.names]
    sexes_of: list[set[bool]] = [set() for _ in clips.names]
    for person, split, knows_sex, is_male in zip(
        clips.people.tolist(), clips.splits.tolist(), clips.known[:, 0].tolist(), clips.is_male.tolist(), strict=True
    ):
        splits_of[person].add(split)
        if knows_sex:
            sexes_of[person].add(is_male)
    new_splits = np.array([_split_of(name) for name in plan.shards])[plan.targets]

    def differ(sets: list[set[Any]], group: Group) -> bool:
        return len(set().union(*(sets[number_of[member]] for member in group.members))) > 1

    return Grouped(
        info=info,
        threshold=threshold,
        groups=groups,
        num_people=len(clips.names),
        num_clips=len(clips.people),
        num_leaks=sum(differ(splits_of, group) for group in groups),
        num_moved=int((new_splits != clips.splits).sum()),
        num_contradictions=sum(differ(sexes_of, group) for group in groups),
    )


def _rewrite(
    folder: Path, grouped: Grouped, clips: _Clips, plan: _Plan, earlier: dict[str, str], renamed: dict[str, str]
) -> None:
    info = grouped.info
    request = {
        "group": grouped.threshold,
        "face_encoder_sha256": info.face_encoder.sha256,
        "shards": info.shards,
        "split": info.split.sha256,
    }
    with writing_to(folder):
        partial = open_partial(folder, request)
        _rewrite_shards(folder, partial, clips, plan)
        for path in sorted(folder.glob(_ROW_LISTS)):
            _rewrite_row_list(path, partial / path.name, renamed, info.split)
        groups = {old: renamed.get(new, new) for old, new in earlier.items()} | renamed
        lines = (json.dumps({"identity": old, "group": new}, ensure_ascii=False) for old, new in sorted(groups.items()))
        write_file(partial / GROUPS_NAME, "".join(line + "\n" for line in lines))
        for path in folder.iterdir():
            if path.name not in info.shards and not (partial / path.name).exists():
                _link_all(path, partial / path.name)
        write_info(partial, _describe(partial, grouped, clips, plan))
        publish(partial, folder)


def _rewrite_shards(folder: Path, partial: Path, clips: _Clips, plan: _Plan) -> None:
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
    """One shard out of some rows of others; each part is a file, which of its rows, and the identities of all."""
    try:
        with pq.ParquetFile(parts[0][0]) as file:
            schema = file.schema_arrow
        write_tables(path, schema, _in_groups(_selected(parts, schema)))
    except (pa.ArrowException, KeyError) as error:
        message = str(error).splitlines()[0]
        raise DatasetError(f"{parts[0][0]}: damaged ({message}); prepare the data set again") from error


def _selected(parts: Sequence[tuple[Path, NDArray[np.bool_], list[str]]], schema: pa.Schema) -> Iterator[pa.Table]:
    """The wanted rows with their new identities, a row group of a source at a time."""
    place = schema.get_field_index("identity")
    for path, wanted, names in parts:
        identities = pa.array(names, schema.field(place).type)
        with pq.ParquetFile(path) as file:
            start = 0
            for group in range(file.num_row_groups):
                rows = slice(start, start := start + file.metadata.row_group(group).num_rows)
                if wanted[rows].any():
                    table = file.read_row_group(group, use_threads=False).select(schema.names)
                    table = table.set_column(place, schema.field(place), identities[rows])
                    yield table.filter(pa.array(wanted[rows])).cast(schema)


def _in_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, `ROWS_PER_GROUP` a table: readers find a row by its number."""
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


def _rewrite_row_list(source: Path, target: Path, renamed: dict[str, str], split: SplitInfo) -> None:
    """A list of what became of rows, with new identities and splits."""
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


def _read_groups(path: Path) -> dict[str, str]:
    """Earlier groupings; none where there was none."""
    if not path.is_file():
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {line["identity"]: line["group"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: damaged ({error}); delete it, then group again") from error


def _describe(partial: Path, grouped: Grouped, clips: _Clips, plan: _Plan) -> DatasetInfo:
    """dataset.json, counted from the new shards themselves."""
    info = grouped.info
    counts = count_shards(partial, sorted(plan.shards, key=lambda name: (_split_of(name), name)))
    splits = {name: assign_split(name, info.split.seed, info.split.fractions) for name in counts.identities}
    known = np.zeros((len(clips.names), len(_ATTRIBUTES)), np.bool_)
    np.logical_or.at(known, plan.group_of[clips.people], clips.known)
    coverage = dict(zip(_ATTRIBUTES, known.sum(axis=0).tolist(), strict=True))
    return replace(
        info,
        num_clips=counts.num_clips,
        num_identities={split: sum(own == split for own in splits.values()) for split in SPLITS},
        num_voices=counts.num_voices,
        num_faces=counts.num_faces,
        shards=counts.rows,
        split=replace(info.split, sha256=hash_assignment(splits)),
        attribute_coverage=info.attribute_coverage | coverage,
        extra=info.extra | {"groups": {"threshold": grouped.threshold, "num_people_before": grouped.num_people}},
    )


def _link_all(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(source, target)


def _link(source: str | Path, target: str | Path) -> None:
    """The same file under another name; a copy where the disk knows no links. Nobody writes into files of ours."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
