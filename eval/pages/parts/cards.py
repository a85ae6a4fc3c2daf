"""People on pages: how they are chosen and described, and how their pictures are saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.store.dataset import ClipDataset

T = TypeVar("T")

ASSETS = "assets"


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        file: Path relative to the page.
        text: Alternative text for readers who can't see it.
        caption: Text under the picture; may be empty.
        is_right: Whether it shows the right face of a retrieval.
    """

    file: str
    text: str
    caption: str = ""
    is_right: bool = False


def save_picture(out: Path, file: str, pixels: NDArray[np.uint8], text: str, *, is_right: bool = False) -> Picture:
    """Write a picture [H, W, 3] into the page's folder `out`."""
    Image.fromarray(pixels).save(out / file)
    return Picture(file, text, is_right=is_right)


def choose_people(dataset: ClipDataset, num_people: int) -> list[int]:
    """Choose people with a voice and a face, evenly over the split; known sexes alternate."""
    paired = [i for i in range(len(dataset.identities)) if dataset.voices_of(i) and dataset.faces_of(i)]
    groups: dict[str | None, list[int]] = {}
    for person in paired:
        groups.setdefault(dataset.attributes(person).sex, []).append(person)
    share = -(-num_people // max(1, len(groups)))
    by_turns = [spread(group, share) for _, group in sorted(groups.items(), key=lambda item: str(item[0]))]
    chosen = [group[i] for i in range(share) for group in by_turns if i < len(group)][:num_people]
    rest = [person for person in paired if person not in chosen]
    return chosen + spread(rest, num_people - len(chosen))


def spread(items: Sequence[T], num: int) -> list[T]:
    """At most `num` of the items, evenly spaced."""
    if num < 1 or not items:
        return []
    num = min(num, len(items))
    return [items[i * len(items) // num] for i in range(num)]


def describe(dataset: ClipDataset, person: int) -> str:
    """Sex and age of a person in words, as far as they are known: "woman, 34 years"."""
    attributes = dataset.attributes(person)
    sex = {"female": "woman", "male": "man", None: ""}[attributes.sex]
    age = "" if attributes.age is None else f"{attributes.age:.0f} years"
    return ", ".join(part for part in (sex, age) if part)
