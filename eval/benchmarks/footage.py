"""A list of generated videos, and a local server that offers them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from data.personas.footage.server import VideoServer
from data.personas.footage.videos import make_talking_video

_NUM_VIDEOS = 8
_MARGIN = 3.0  # seconds of video before and after the clip


@dataclass(frozen=True)
class Footage:
    """Different videos with one requested clip in each.

    Attributes:
        videos: Video files.
        clip_seconds: Duration of the clips in seconds.
        start: Time in the video at which the clip begins, in seconds.
    """

    videos: Sequence[Path]
    clip_seconds: float
    start: float

    def source(self, row: int) -> Path:
        """The video of a row of the list; the videos are used in turn."""
        return self.videos[row % len(self.videos)]


def make_footage(folder: Path, clip_seconds: float, size: tuple[int, int], face_size: int) -> Footage:
    """Make videos of talking personas at 25 frames a second; existing ones are reused.

    Args:
        folder: Folder of the videos.
        clip_seconds: Duration of the clips in seconds.
        size: Width and height of the pictures in pixels.
        face_size: Side of the face in pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    videos = []
    for persona in range(_NUM_VIDEOS):
        path = folder / f"persona-{persona}-{clip_seconds:g}s-{size[0]}x{size[1]}.mp4"
        if not path.exists():
            partial = path.with_name(f".{path.name}")
            make_talking_video(partial, persona, clip_seconds + 2 * _MARGIN, size, face_size=face_size)
            partial.replace(path)
        videos.append(path)
    return Footage(videos, clip_seconds, _MARGIN)


def video_id(row: int) -> str:
    """The video id of a row: each row has its own, so each is downloaded."""
    return f"row-{row:07d}"


def write_list(path: Path, footage: Footage, num_rows: int) -> Path:
    """Write a CSV list with the columns of AVSpeech."""
    span = (footage.start, footage.start + footage.clip_seconds)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows((video_id(row), *span, 0.5, 0.5) for row in range(num_rows))
    return path


def serve(footage: Footage, first_row: int, num_rows: int) -> AbstractContextManager[VideoServer]:
    """A server with the videos of some rows, at the addresses of its `url_template`."""
    return VideoServer({video_id(row): footage.source(row) for row in range(first_row, first_row + num_rows)})
