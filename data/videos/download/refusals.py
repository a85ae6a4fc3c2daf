"""Reasons of failed downloads, from yt-dlp's exceptions and the sites' messages."""

from __future__ import annotations

import email.utils
import errno
import http.client
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.errors import FetchStopped, MediaError, OutputError, Reason, one_line

_FULL_DISK = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)
_FULL_DISK_MESSAGE = re.compile(r"No space left on device|File too large|Disk quota exceeded|Read-only file system")

# YouTube writes both kinds of apostrophe.
_ROBOT = re.compile(
    r"confirm you.{1,7}re not a bot|session has been rate-limited|This content isn.{1,7}t available, try again later",
    re.IGNORECASE,
)

_TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)

_STATUS_REASONS: dict[int, Reason] = {
    401: "private",
    402: "private",
    403: "blocked",
    404: "gone",
    410: "gone",
    429: "blocked",
    451: "blocked",
}

# The first match decides: sites put "Video unavailable" before the actual reason.
_PATTERNS: list[tuple[Reason, str]] = [
    (
        "private",
        r"private video|video is private|members.only|members on level|join this channel|music premium"
        r"|requires payment|for registered users|log ?in required|account is required",
    ),
    ("age-restricted", r"confirm your age|age.restricted|inappropriate for some users|verify your age"),
    (
        "blocked",
        r"(in|from) your (country|location|region)|geo.?restrict|blocked it|blocked by|access denied|forbidden"
        r"|too many requests|playback on other (websites|applications) has been disabled",
    ),
    (
        "live",
        r"live event (will begin|has ended)|premieres? in|premiere will begin|is (offline|not live)"
        r"|not currently live|live stream recording is not available",
    ),
    ("no-format", r"requested format is not available|no video formats found|drm protected|only images"),
    (
        "gone",
        r"video (is )?(unavailable|no longer available|not available)|has been (removed|terminated|deleted|closed)"
        r"|does not exist|looks truncated|removed by the (uploader|user)|account.{0,60}terminated"
        r"|video isn.{1,7}t available",
    ),
    ("not-a-video", r"unsupported url|no suitable extractor|is not a valid url|unusual and will be skipped"),
    (
        "network",
        r"timed? ?out|connection (reset|refused|aborted|broken)|connection was closed|network is unreachable"
        r"|name resolution|name or service not known|failed to resolve|incomplete ?read|bytes read"
        r"|content too short|did not get any data|remote end closed|\bssl|http error 5"
        r"|unable to download (webpage|api page|video data)|got error|more expected|giving up after",
    ),
]
_MESSAGES = [(reason, re.compile(pattern, re.IGNORECASE)) for reason, pattern in _PATTERNS]


@dataclass(frozen=True)
class Refusal:
    """A failed attempt.

    Attributes:
        error: Error with its reason.
        wait: Seconds after which another attempt makes sense, 0 if the server names none; None if none makes sense.
        is_busy: Whether the server has asked for fewer requests.
    """

    error: MediaError
    wait: float | None = None
    is_busy: bool = False


def explain(error: BaseException, url: str, notes: Sequence[str] = ()) -> Refusal:
    """The reason of an exception that an attempt raised, by its type and HTTP status first, by its message last.

    Args:
        error: Exception of yt-dlp, PyAV or the network.
        url: Address of the video, for messages.
        notes: Messages that yt-dlp logged before.

    Raises:
        FetchStopped: If the site takes this machine for a robot.
        OutputError: If the disk is full.
    """
    from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, TransportError
    from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, UnsupportedError, UserNotLive

    chain = list(_causes(error))
    text = _without_noise(str(error))
    everything = "\n".join([text, *notes])
    if _ROBOT.search(everything):
        raise FetchStopped(
            f"{url}: the site takes this machine for a robot ({text[:120]}); wait some hours, fetch fewer an hour "
            "(--max-per-hour), or give the cookies of an account you can do without (--cookies); then run the same "
            "command again"
        ) from error
    if any(isinstance(cause, OSError) and cause.errno in _FULL_DISK for cause in chain) or _FULL_DISK_MESSAGE.search(
        everything
    ):
        raise OutputError(
            f"the sources can't be written: {text[:200]}; free some space or choose another place, "
            "then run the same command again to go on"
        ) from error

    def refuse(reason: Reason, wait: float | None = None, is_busy: bool = False) -> Refusal:
        return Refusal(MediaError(reason, f"{url}: {text}"), wait, is_busy)

    for cause in chain:
        if isinstance(cause, MediaError):
            return Refusal(MediaError(cause.reason, f"{url}: {cause}"))
        if isinstance(cause, HTTPError):
            if cause.status in (429, 503):
                reason = _STATUS_REASONS.get(cause.status, "network")
                return refuse(reason, _retry_after(cause.response.headers.get("Retry-After")), is_busy=True)
            if cause.status >= 500:
                return refuse("network", 0.0)
            return refuse(_STATUS_REASONS.get(cause.status, "blocked"))
        if isinstance(cause, GeoRestrictedError):
            return refuse("blocked")
        if isinstance(cause, UserNotLive):
            return refuse("live")
        if isinstance(cause, UnsupportedError):
            return refuse("not-a-video")
        if isinstance(cause, CertificateVerifyError):
            return refuse("network")
    is_network = (TransportError, ContentTooShortError, ConnectionError, TimeoutError, http.client.HTTPException)
    if any(isinstance(cause, is_network) for cause in chain):
        # A server that sent nothing for the socket's whole time limit is not tried again.
        is_stall = any(isinstance(cause, TimeoutError) or _TIMED_OUT.search(str(cause)) for cause in chain)
        return refuse("network", None if is_stall else 0.0)
    for reason, pattern in _MESSAGES:
        if pattern.search(text):
            return refuse(reason, 0.0 if reason == "network" and not _TIMED_OUT.search(text) else None)
    return refuse("fetch-failed")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and its causes, those that yt-dlp names and those that Python names."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            exc_info = getattr(cause, "exc_info", None)
            waiting += [getattr(cause, "cause", None), exc_info[1] if exc_info else None, cause.__cause__]


def _without_noise(text: str) -> str:
    """The text without colours, line breaks, yt-dlp's name of the site and its invitation to report a bug."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).removeprefix("ERROR: ")
    text = re.sub(r"^\[[\w:+]+\] (?:[^\s:]+: )?", "", text)
    text = re.split(r"[;,.]? *(?:please report this issue on|\(caused by|Use --cookies-from-browser)", text)[0]
    return one_line(text)


def _retry_after(value: str | None) -> float:
    """Seconds that the header names as a number or a date; 0 if it is missing."""
    if value is None:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
