"""A list of made-up videos, and a server on this machine that has them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from data.personas.footage.server import VideoServer
from data.personas.footage.videos import make_talking_video

_NUM_VIDEOS = 8
_SURROUNDINGS = 3.0  # seconds of the video before and after the clip


@dataclass(frozen=True)
class Footage:
    """Videos that differ, in each of which a clip is asked for.

    Attributes:
        videos: The files.
        clip_seconds: Length of the clips.
        start: Second at which they begin.
    """

    videos: Sequence[Path]
    clip_seconds: float
    start: float

    def source(self, row: int) -> Path:
        """The video of a row: they take turns."""
        return self.videos[row % len(self.videos)]


def make_footage(folder: Path, clip_seconds: float, size: tuple[int, int], face_size: int) -> Footage:
    """Make videos of talking personas at 25 frames a second; those that are there are taken."""
    folder.mkdir(parents=True, exist_ok=True)
    videos = []
    for persona in range(_NUM_VIDEOS):
        path = folder / f"persona-{persona}-{clip_seconds:g}s-{size[0]}x{size[1]}.mp4"
        if not path.exists():
            partial = path.with_name(f".{path.name}")
            make_talking_video(partial, persona, clip_seconds + 2 * _SURROUNDINGS, size, face_size=face_size)
            partial.replace(path)
        videos.append(path)
    return Footage(videos, clip_seconds, _SURROUNDINGS)


def video_id(row: int) -> str:
    """The id of the video of a row: each row is a video of its own, and so downloaded."""
    return f"row-{row:07d}"


def write_list(path: Path, footage: Footage, num_rows: int) -> Path:
    """Write a CSV in AVSpeech's columns."""
    span = (footage.start, footage.start + footage.clip_seconds)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows((video_id(row), *span, 0.5, 0.5) for row in range(num_rows))
    return path


def serve(footage: Footage, first_row: int, num_rows: int) -> AbstractContextManager[VideoServer]:
    """A server that has the videos of some rows; its `url_template` says where."""
    return VideoServer({video_id(row): footage.source(row) for row in range(first_row, first_row + num_rows)})
