"""Lists of videos: what a row asks for, and reading AVSpeech's CSV a row at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from data.clip import Attributes
from data.errors import MediaError

_VIDEO_ID = re.compile(r"[A-Za-z0-9._~-]{1,80}")


@dataclass(frozen=True)
class VideoRow:
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
class BadRow:
    """A row that can't be used, and why."""

    index: int
    reason: str
    message: str


def check_video_id(video_id: str) -> None:
    """Refuse ids that could leave a folder or are no ids at all.

    Raises:
        MediaError: `bad-row`.
    """
    if not _VIDEO_ID.fullmatch(video_id) or not video_id.strip("."):
        raise MediaError("bad-row", f"the video id {video_id!a} is none: letters, digits and . _ ~ - expected")
