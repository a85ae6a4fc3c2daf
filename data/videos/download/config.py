"""Where videos are downloaded from, and what a download may cost."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

YOUTUBE = "https://www.youtube.com/watch?v={id}"


YOUTUBE_MAX_PER_HOUR = 300.0
"""Videos an hour that YouTube is said to grant a guest."""


@dataclass(frozen=True)
class FetchConfig:
    """Where videos come from and what a download may cost.

    Attributes:
        sources: Folder of this machine where they are kept, by id and section.
        url_template: With {id}.
        section: Fetch only the row's section where that can be had; else the whole video.
        margin: Seconds before and after a section.
        height: Of the pictures, in pixels: the greatest not above it, else the smallest.
        max_per_hour: Downloads that all processes of this machine begin together, 0 for no limit; None for
            `YOUTUBE_MAX_PER_HOUR` where the template is YouTube's, no limit elsewhere.
        sleep: Seconds from the beginning of a download to that of the next, at least.
        cookies: A file of cookies in Netscape's format.
        retries: Attempts after the first, where another one makes sense.
        socket_timeout: Seconds of silence that end a download.
        time_limit: A download that takes longer is given up.
        max_backoff: Seconds that are waited for a server that asks for patience, in all.
        max_bytes: A video that is larger is refused.
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
        """`sources`."""
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
