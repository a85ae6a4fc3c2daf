"""Settings of downloads."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

YOUTUBE = "https://www.youtube.com/watch?v={id}"


YOUTUBE_MAX_PER_HOUR = 300.0
"""Videos an hour that YouTube is said to grant a guest."""


@dataclass(frozen=True)
class FetchConfig:
    """Where videos are downloaded from, and the limits of a download.

    Attributes:
        sources: Folder of this machine that keeps downloads, by id and section.
        url_template: Address with {id} in the place of the video's id.
        section: Whether only the section that is asked for is downloaded, where the server allows it.
        margin: Seconds before and after a section.
        height: Height of the pictures in pixels: the greatest not above it, else the smallest.
        max_per_hour: Number of downloads that all processes of this machine begin in an hour, 0 for no limit; None for
            `YOUTUBE_MAX_PER_HOUR` where the template is YouTube's, no limit elsewhere.
        sleep: Least seconds from the beginning of a download to that of the next.
        cookies: File of cookies in Netscape's format.
        retries: Number of attempts after the first, where another one makes sense.
        socket_timeout: Seconds without data after which an attempt fails.
        time_limit: Seconds that a download may take.
        max_backoff: Seconds in all that are waited for a server that refuses more requests.
        max_bytes: Largest size of a video that is accepted.
    """

    sources: str | Path
    url_template: str = YOUTUBE
    section: bool = True
    margin: float = 1.0
    height: int = 480
    max_per_hour: float | None = None
    sleep: float = 0.0
    cookies: str | Path | None = None
    retries: int = 2
    socket_timeout: float = 20.0
    time_limit: float = 300.0
    max_backoff: float = 60.0
    max_bytes: int = 1 << 30

    @property
    def folder(self) -> Path:
        """`sources` as an absolute path."""
        return Path(self.sources).absolute()

    @property
    def is_youtube(self) -> bool:
        """Whether the template is YouTube's."""
        host = urllib.parse.urlsplit(self.url_template).hostname or ""
        return f".{host}".endswith((".youtube.com", ".youtu.be", ".youtube-nocookie.com"))

    @property
    def interval(self) -> float:
        """Seconds from the beginning of a download to that of the next."""
        default = YOUTUBE_MAX_PER_HOUR if self.is_youtube else 0.0
        per_hour = default if self.max_per_hour is None else self.max_per_hour
        return max(self.sleep, 3600.0 / per_hour if per_hour else 0.0)
