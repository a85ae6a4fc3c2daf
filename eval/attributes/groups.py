"""Groups of people whose results are reported apart, and which of them are too small for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.store.dataset import ClipDataset

MIN_GROUP = 10
"""Number of people that a group needs for a number of its own."""

TOO_SMALL = f"too small: fewer than {MIN_GROUP} people"
"""What stands in a table instead of a number."""


@dataclass(frozen=True)
class SmallGroup:
    """A group without a result of its own.

    Attributes:
        group: What the group is made by, such as `sex`.
        value: Which one it is, such as `female`.
        people: Number of people in it.
    """

    group: str
    value: str
    people: int

    def as_json(self) -> dict[str, Any]:
        """The entry of `small_groups` in report.json."""
        return {**asdict(self), "too_small": True}


def age_band(age: float) -> str:
    """The decade-wide band of an age, open at both ends."""
    bands = ((20, "under 20"), (30, "20-29"), (40, "30-39"), (50, "40-49"), (60, "50-59"))
    return next((name for limit, name in bands if age < limit), "60 and over")


def group_columns(dataset: ClipDataset) -> dict[str, NDArray[np.str_]]:
    """[identities] value of each person by sex, age band, nationality and number of voice recordings."""
    people = range(len(dataset.identities))
    attributes = [dataset.attributes(person) for person in people]
    return {
        "sex": np.array([a.sex or "unknown" for a in attributes]),
        "age": np.array(["unknown" if a.age is None else age_band(a.age) for a in attributes]),
        "nationality": np.array([a.nationality or "unknown" for a in attributes]),
        "voice recordings": np.array(["several" if len(dataset.voices_of(p)) > 1 else "one" for p in people]),
    }


def split_groups(
    columns: dict[str, NDArray[np.str_]], people: NDArray[np.integer]
) -> tuple[list[tuple[str, str]], list[SmallGroup]]:
    """The groups of some people: those with a result of their own, and those that are too small for one.

    Args:
        columns: As from `group_columns`.
        people: [P] the different people who are measured.

    Returns:
        Column and value of each group of at least `MIN_GROUP` people but not of all, and the smaller groups.
    """
    large, small = [], []
    for column, value, num in _count(columns, people):
        if num < MIN_GROUP:
            small.append(SmallGroup(column, value, num))
        elif num < len(people):
            large.append((column, value))
    return large, small


def _count(columns: dict[str, NDArray[np.str_]], people: NDArray[np.integer]) -> Iterator[tuple[str, str, int]]:
    for column, values in columns.items():
        found, nums = np.unique(values[people], return_counts=True)
        yield from ((column, str(value), int(num)) for value, num in zip(found, nums, strict=True))


def small_groups_sentence(small: Sequence[SmallGroup]) -> str:
    """A sentence that names the groups that are too small; empty without any."""
    if not small:
        return ""
    names = ", ".join(f"{s.group}: {s.value} ({s.people})" for s in small)
    return f"Too small for a number, with fewer than {MIN_GROUP} people: {names}."
