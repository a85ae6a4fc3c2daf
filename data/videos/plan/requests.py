"""Requests: what each row of a list of videos asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data.errors import MediaError, Reason
from data.store.clip import Attributes

MAX_REQUEST_SECONDS = 600.0
"""Longest clip that a row may ask for; AVSpeech's clips last 3 to 10 seconds."""

_VIDEO_ID = re.compile(r"[A-Za-z0-9._~-]{1,80}")


@dataclass(frozen=True)
class VideoRequest:
    """A clip, or a whole video, that a row of a list asks for.

    Attributes:
        index: Number of the row in the list, from 0.
        video_id: Id of the video: letters, digits and `. _ ~ -` only; may begin with dashes, never leaves a folder.
        clip_id: Name of the clip, unique within the list.
        identity: Person or channel where it is known, else the video's id.
        start: Second of the video at which the clip begins; None for the whole video, cut into clips.
        end: Second at which it ends.
        x: Centre of the speaker's face in the clip's first frame, as a share of its width; None if not known.
        y: The same, as a share of its height.
        attributes: Sex, age and nationality of the person, where they are known.
        path: Local file in the place of a download.
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
    reason: Reason
    message: str


class RequestList(Protocol):
    """A list of videos.

    Attributes:
        num_rows: Number of rows.
        sha256: Hash of its content: another hash, another list.
    """

    num_rows: int
    sha256: str

    def read(self, first: int, last: int) -> list[VideoRequest | BadRequest]:
        """The requests of rows first (from 0) up to, not including, last."""
        ...


class MemoryRequests:
    """A list that is held in memory."""

    def __init__(self, requests: Sequence[VideoRequest | BadRequest], sha256: str) -> None:
        """Take requests whose indices are 0, 1, 2 and so on."""
        assert [request.index for request in requests] == list(range(len(requests)))
        self._requests = list(requests)
        self.num_rows = len(requests)
        self.sha256 = sha256

    def read(self, first: int, last: int) -> list[VideoRequest | BadRequest]:
        """The requests of rows first (from 0) up to, not including, last."""
        return self._requests[first:last]


def check_video_id(video_id: str) -> None:
    """Refuse ids that could leave a folder or are no ids at all.

    Raises:
        MediaError: `bad-row`.
    """
    if not _VIDEO_ID.fullmatch(video_id) or not video_id.strip("."):
        raise MediaError("bad-row", f"{video_id[:100]!a} is no video id: letters, digits and . _ ~ - expected")


def check_span(start: float, end: float) -> None:
    """Refuse clips that end before they begin, or last too long.

    Raises:
        MediaError: `bad-row`.
    """
    if start < 0 or end <= start:
        raise MediaError("bad-row", f"the clip from {start:g} to {end:g} s: 0 <= start < end expected")
    if end - start > MAX_REQUEST_SECONDS:
        raise MediaError("bad-row", f"the clip lasts {end - start:g} s, at most {MAX_REQUEST_SECONDS:g} allowed")


@dataclass(frozen=True)
class SourceFile:
    """A local file that holds a video or a section of it.

    Attributes:
        path: Path of the file.
        origin: Second of the file's own clock (pts as PyAV gives them) that is the video's second 0; None where that
            is the file's first time stamp, as in every file that is no section.
    """

    path: str
    origin: float | None = None
