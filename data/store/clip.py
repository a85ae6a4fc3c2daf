"""What a clip is: the unit that sources produce, shards store and data sets return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Attributes:
    """What is known of a person besides voice and face; None where it is not known."""

    sex: Literal["female", "male"] | None = None
    age: float | None = None
    nationality: str | None = None


@dataclass(frozen=True)
class Source:
    """Where a clip was taken from; None where a source has no such notion."""

    video_id: str | None = None
    start: float | None = None  # seconds
    end: float | None = None  # seconds
    x: float | None = None  # centre of the speaker's face in the first frame, relative to its width
    y: float | None = None


@dataclass(frozen=True)
class Clip:
    """One recording of a person and the faces that go with it; either side may be missing, not both.

    Attributes:
        clip_id: Unique within a data set.
        identity: Who it is; splits are made by it.
        split: Decided by a hash of `identity`.
        waveform: [T] float32 in [-1, 1] at 16 kHz, silence cut; None where there is no voice.
        faces: Aligned crops, each [S, S, 3] uint8 RGB covering `alignment.CROP_REGION`.
        face_features: [F, D] float32, the unit feature of the training face network T for each crop.
        attributes: What is known of the person.
        source: Where the clip was taken from.
    """

    clip_id: str
    identity: str
    split: Split
    waveform: NDArray[np.float32] | None
    faces: list[NDArray[np.uint8]]
    face_features: NDArray[np.float32]
    attributes: Attributes = field(default_factory=Attributes)
    source: Source = field(default_factory=Source)
