"""Grouping of a data set's people by their faces: clips of one person get one identity, and one split.

Face features decide, so that nobody is in two splits of a data set of videos whose speakers nobody named.
"""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.errors import ConfigError, DatasetError
from data.faces.registry import same_person_threshold
from data.sources.grouping import Group, group_people, list_groups, read_mean_features
from data.sources.rewrite import ATTRIBUTES, GROUPS_NAME, ClipIndex, GroupPlan, rewrite_dataset, split_of
from data.store.clip import SPLITS
from data.store.inventory import read_light_columns
from data.store.publish import recover
from data.store.shards import DatasetInfo, SplitInfo, read_info
from data.store.split import assign_split, normalise_identity
from data.store.storage import Storage

_SHARD_NAME = re.compile(r"(train|val|test)-(\d+)-of-(\d+)\.parquet")


@dataclass(frozen=True)
class GroupConfig:
    """Settings of a grouping.

    Attributes:
        dataset: Folder of the data set; replaced as a whole when all is done.
        threshold: Least cosine of two clips of one person; None for the one measured for the data set's face network.
        dry_run: Whether the groups are only found, and nothing is changed.
    """

    dataset: Path
    threshold: float | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Grouped:
    """Result of a grouping, which a dry run does not apply.

    Attributes:
        info: Content of dataset.json before the grouping.
        threshold: Cosine threshold applied.
        groups: Groups of more than one earlier identity, the largest first.
        num_people: Number of identities before the grouping.
        num_clips: Number of clips of the data set.
        num_leaks: Number of groups that were in more than one split.
        num_moved: Number of clips whose split changes.
        num_contradictions: Number of groups of people of both sexes, each a wrong link or a wrong attribute.
    """

    info: DatasetInfo
    threshold: float
    groups: list[Group]
    num_people: int
    num_clips: int
    num_leaks: int
    num_moved: int
    num_contradictions: int


def group_dataset(config: GroupConfig) -> Grouped:
    """Give clips that show the same face one identity and one split, or finish a run that was interrupted.

    Raises:
        ConfigError: If the threshold is out of range, or none is known for the data set's face network.
        DatasetError: If the data set is missing or damaged.
        OutputError: If the folder can't be written to, the disk is full, or a preparation is at work in it.
    """
    recover(config.dataset)
    read_info(config.dataset)  # refuses folders that are no data set before a lock is made
    # No preparation may write meanwhile; a dry run itself writes nothing, so a lock file neither.
    with nullcontext() if config.dry_run else Storage(str(config.dataset)).locked():
        return _group(config, read_info(config.dataset))


def _group(config: GroupConfig, info: DatasetInfo) -> Grouped:
    threshold = _choose_threshold(config, info)
    clips = _read_clips(config.dataset, info)
    features = read_mean_features([config.dataset / name for name in clips.shards], info.face_encoder.feature_size)
    earlier = _read_groups(config.dataset / GROUPS_NAME)
    number_of = {name: number for number, name in enumerate(clips.names)}
    known = [(number_of[old], number_of[new]) for old, new in earlier.items() if {old, new} <= number_of.keys()]
    first_of: dict[str, int] = {}  # by the name's normal form, which data sets of older versions lack
    known += [(first_of.setdefault(normalise_identity(name), number), number) for name, number in number_of.items()]
    group_of = group_people(features, clips.people, len(clips.names), threshold, known)
    plan = _plan(clips, group_of, info.split)
    grouped = _summarize(info, threshold, clips, list_groups(features, clips.people, clips.names, group_of), plan)
    if grouped.groups and not config.dry_run:
        rewrite_dataset(config.dataset, info, clips, plan, threshold, earlier)
    return grouped


def _choose_threshold(config: GroupConfig, info: DatasetInfo) -> float:
    if config.threshold is not None:
        if not 0 < config.threshold <= 1:
            raise ConfigError(f"--threshold {config.threshold}: a cosine above 0 and at most 1 is needed")
        return config.threshold
    threshold = same_person_threshold(info.face_encoder)
    if threshold is None:
        raise ConfigError(
            f"{config.dataset}: nobody measured a threshold for its face network "
            f"{info.face_encoder.name}; give the least cosine with --threshold, and look with --dry-run first"
        )
    return threshold


def _read_clips(folder: Path, info: DatasetInfo) -> ClipIndex:
    identities, known, is_male, splits = [], [], [], []
    for name in info.shards:
        if _SHARD_NAME.fullmatch(name) is None:
            raise DatasetError(f"{folder / name}: not named like a shard of a data set; prepare the data set again")
        table = read_light_columns(folder / name)
        if table.num_rows != info.shards[name]:
            expected = f"{info.shards[name]} expected; prepare the data set again"
            raise DatasetError(f"{folder / name}: holds {table.num_rows} clips, {expected}")
        identities.append(np.array(table["identity"].to_pylist(), dtype=object))
        known.append(np.stack([pc.is_valid(table[column]).to_numpy() for column in ATTRIBUTES], axis=1))
        is_male.append(pc.fill_null(pc.equal(table["sex"], "male"), False).to_numpy())
        splits.append(np.full(table.num_rows, split_of(name)))
    if not sum(info.shards.values()):
        raise DatasetError(f"{folder}: there is not one clip in it")
    names, people = np.unique(np.concatenate(identities), return_inverse=True)
    return ClipIndex(
        names=[str(name) for name in names],
        people=people.astype(np.int64),
        shards=list(info.shards),
        shard_of=np.repeat(np.arange(len(info.shards)), list(info.shards.values())),
        splits=np.concatenate(splits),
        known=np.concatenate(known),
        is_male=np.concatenate(is_male),
    )


def _plan(clips: ClipIndex, group_of: NDArray[np.int64], split: SplitInfo) -> GroupPlan:
    """New identities, and a file for each clip: that of its new split with the number of its old file."""
    split_of_group = {
        group: SPLITS.index(assign_split(clips.names[group], split.seed, split.fractions))
        for group in np.unique(group_of).tolist()
    }
    new_splits = np.array([split_of_group[group] for group in group_of.tolist()])[clips.people]
    parts = [name.removesuffix(".parquet").split("-") for name in clips.shards]
    numbers, total = np.array([int(part[1]) for part in parts]), max(int(part[3]) for part in parts)
    found, targets = np.unique(numbers[clips.shard_of] * len(SPLITS) + new_splits, return_inverse=True)
    return GroupPlan(
        names=[clips.names[group] for group in group_of.tolist()],
        group_of=group_of,
        targets=targets.astype(np.int64),
        shards=[f"{SPLITS[i % len(SPLITS)]}-{i // len(SPLITS):05d}-of-{total:05d}.parquet" for i in found.tolist()],
    )


def _summarize(info: DatasetInfo, threshold: float, clips: ClipIndex, groups: list[Group], plan: GroupPlan) -> Grouped:
    number_of = {name: number for number, name in enumerate(clips.names)}
    splits_of: list[set[int]] = [set() for _ in clips.names]
    sexes_of: list[set[bool]] = [set() for _ in clips.names]
    for person, split, knows_sex, is_male in zip(
        clips.people.tolist(), clips.splits.tolist(), clips.known[:, 0].tolist(), clips.is_male.tolist(), strict=True
    ):
        splits_of[person].add(split)
        if knows_sex:
            sexes_of[person].add(is_male)
    new_splits = np.array([split_of(name) for name in plan.shards])[plan.targets]

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


def _read_groups(path: Path) -> dict[str, str]:
    """New names by earlier ones, from earlier groupings."""
    if not path.is_file():
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {line["identity"]: line["group"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: damaged ({error}); delete it, then group again") from error
