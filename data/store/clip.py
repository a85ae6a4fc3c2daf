"""A clip: the unit that sources produce, shards store and data sets return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.media.audio import encode_flac
from data.media.images import CropFormat, encode_crop
from data.media.waveform import SAMPLE_RATE

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Row = dict[str, Any]
"""One clip as a row of a shard, by column name."""


@dataclass(frozen=True)
class Attributes:
    """Facts known of a person besides voice and face; None where unknown."""

    sex: Literal["female", "male"] | None = None
    age: float | None = None
    nationality: str | None = None


@dataclass(frozen=True)
class Source:
    """Origin of a clip; None where a source has no such notion."""

    video_id: str | None = None
    start: float | None = None  # seconds
    end: float | None = None  # seconds
    x: float | None = None  # centre of the speaker's face in the first frame, as a share of its width and height
    y: float | None = None


@dataclass(frozen=True)
class Clip:
    """One piece of speech and the faces that go with it; either side may be missing, not both.

    Attributes:
        clip_id: Name, unique within a data set.
        identity: Name of the person; splits are made by it.
        waveform: [T] float32 in [-1, 1] at 16 kHz, silence cut; None where there is no voice.
        faces: Aligned crops, each [S, S, 3] uint8 RGB covering `alignment.CROP_REGION`.
        face_features: [F, D] float32, the unit feature of the training face network T for each crop.
        attributes: Facts known of the person.
        source: Origin of the clip.
        split: Part of the data set that holds the clip; None before it is stored, as its file decides it.
        flags: Warnings about the clip, such as `other-faces`; stored by sources that have a column for them.
        vectors: Values of additional columns of float32 vectors, by name.

    Example:
        >>> clip = ClipDataset("datasets/personas", "test").clip(0)
        >>> clip.split, clip.faces[0].shape, len(clip.face_features) == len(clip.faces)
        ('test', (64, 64, 3), True)
    """

    clip_id: str
    identity: str
    waveform: NDArray[np.float32] | None
    faces: list[NDArray[np.uint8]]
    face_features: NDArray[np.float32]
    attributes: Attributes = field(default_factory=Attributes)
    source: Source = field(default_factory=Source)
    split: Split | None = None
    flags: tuple[str, ...] = ()
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def to_row(clip: Clip, crop_format: CropFormat = "jpg") -> Row:
    """Convert a clip to a row of a shard: speech as FLAC, crops as JPEG or WebP.

    Args:
        clip: Clip; without speech the row has no columns of speech.
        crop_format: Format of the crops, see `encode_crop`.
    """
    row: Row = {"clip_id": clip.clip_id, "identity": clip.identity}
    row |= asdict(clip.attributes) | asdict(clip.source) | dict(clip.vectors)
    if clip.waveform is not None:
        row["audio"] = {"bytes": encode_flac(clip.waveform), "path": f"{clip.clip_id}.flac"}
        row["duration"] = clip.waveform.size / SAMPLE_RATE
    row["images"] = [
        {"bytes": encode_crop(crop, crop_format), "path": f"{clip.clip_id}-{number}.{crop_format}"}
        for number, crop in enumerate(clip.faces)
    ]
    row["face_features"] = list(clip.face_features)
    row["flags"] = " ".join(clip.flags)
    return row
