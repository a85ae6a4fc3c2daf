"""Lists of videos: what a row asks for, and reading AVSpeech's CSV a row at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data.errors import MediaError
from data.store.clip import Attributes

MAX_CLIP_SECONDS = 600.0
"""Rows that ask for more are refused; AVSpeech's clips last 3 to 10 seconds."""

_VIDEO_ID = re.compile(r"[A-Za-z0-9._~-]{1,80}")


@dataclass(frozen=True)
class VideoRequest:
    """What one row of a list asks for.

    Attributes:
        index: Its place among the list's rows, from 0.
        video_id: Letters, digits and `. _ ~ -` only; may begin with dashes, never leaves a folder.
        clip_id: Unique within the list.
        identity: The person or channel where it is known, else the video's id.
        start: Second of the video at which the clip begins; None for the whole video, cut into clips.
        end: Second at which it ends.
        x: Centre of the speaker's face in the clip's first frame, relative to its width; None if not known.
        y: Relative to its height.
        attributes: What is known of the person.
        path: A local file, instead of a download.
    """

    index: int
    video_id: str
    clip_id: str
    identity: str
    start: float | None = None
    end: float | None = None
    x: float | None = None
    y: float | None = None
    attributes: Attributes = field(default_factory=Attributes)
    path: str | None = None


@dataclass(frozen=True)
class BadRequest:
    """A row that can't be used, and why."""

    index: int
    reason: str
    message: str


class RequestList(Protocol):
    """A list of videos.

    Attributes:
        num_rows: Its length.
        sha256: Of its content: another hash, another list.
    """

    num_rows: int
    sha256: str

    def read(self, first: int, last: int) -> list[VideoRequest | BadRequest]:
        """Rows first (from 0) up to, not including, last."""
        ...


class MemoryRequests:
    """A list that is short enough to be held."""

    def __init__(self, rows: Sequence[VideoRequest | BadRequest], sha256: str) -> None:
        """Take rows over; their indices must be their places."""
        assert [row.index for row in rows] == list(range(len(rows)))
        self._rows = list(rows)
        self.num_rows = len(rows)
        self.sha256 = sha256

    def read(self, first: int, last: int) -> list[VideoRequest | BadRequest]:
        """See `RequestList`."""
        return self._rows[first:last]


def check_video_id(video_id: str) -> None:
    """Refuse ids that could leave a folder or are no ids at all.

    Raises:
        MediaError: `bad-row`.
    """
    if not _VIDEO_ID.fullmatch(video_id) or not video_id.strip("."):
        raise MediaError("bad-row", f"{video_id[:100]!a} is no video id: letters, digits and . _ ~ - expected")


def check_span(start: float, end: float) -> None:
    """Refuse spans that are none.

    Raises:
        MediaError: `bad-row`.
    """
    if start < 0 or end <= start:
        raise MediaError("bad-row", f"the clip from {start:g} to {end:g} s is none: 0 <= start < end expected")
    if end - start > MAX_CLIP_SECONDS:
        raise MediaError("bad-row", f"the clip lasts {end - start:g} s, at most {MAX_CLIP_SECONDS:g} allowed")


@dataclass(frozen=True)
class SourceFile:
    """A local file that holds a video or a section of it.

    Attributes:
        path: Where it is.
        offset: Second t of the video lies at t - offset on the file's own clock (pts as PyAV gives them).
    """

    path: str
    offset: float
