"""Rate limit of downloads: one small file in the folder of sources, shared by all processes and by later runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from data.errors import FetchStopped, OutputError
from data.files import exclusive_lock

PACE_NAME = ".pace.json"
_LONGEST_WAIT, _MOST_WAITING = 3600.0, 100  # a turn further away comes from a clock that was wrong


@dataclass
class _Pace:
    """Content of the file.

    Attributes:
        next_turn: Unix time before which no download begins.
        stopped: Message of the stop of all downloads; empty if there is none.
    """

    next_turn: float = 0.0
    stopped: str = ""


def take_turn(folder: Path, interval: float) -> float:
    """Reserve the next moment at which a download may begin.

    Args:
        folder: Folder of the sources.
        interval: Least seconds between the beginnings of two downloads, over all processes that share the folder.

    Returns:
        Seconds until then.

    Raises:
        FetchStopped: If a site has taken this machine for a robot since the run began.
        OutputError: If the folder can't be written to.
    """
    if not interval:
        check_stop(folder)
        return 0.0
    with _open_pace(folder) as pace:
        if pace.stopped:
            raise FetchStopped(pace.stopped)
        now = time.time()
        latest = now + max(_LONGEST_WAIT, _MOST_WAITING * interval)
        turn = pace.next_turn if now < pace.next_turn <= latest else now
        pace.next_turn = turn + interval
    return turn - now


def check_stop(folder: Path) -> None:
    """Refuse to begin a download after a stop.

    Raises:
        FetchStopped: If `stop` was called and `clear_stop` was not.
    """
    try:
        pace = _parse((folder / PACE_NAME).read_bytes())
    except OSError:
        return
    if pace.stopped:
        raise FetchStopped(pace.stopped)


def push_back(folder: Path, seconds: float) -> None:
    """Let no process begin a download for some seconds, as the server asks for."""
    with _open_pace(folder) as pace:
        pace.next_turn = max(pace.next_turn, time.time() + seconds)


def stop(folder: Path, message: str) -> None:
    """Let no process begin a download until `clear_stop`."""
    with _open_pace(folder) as pace:
        pace.stopped = message


def clear_stop(folder: Path) -> None:
    """Let downloads begin again; the rate limit goes on from the last run."""
    if (folder / PACE_NAME).exists():
        with _open_pace(folder) as pace:
            pace.stopped = ""


@contextmanager
def _open_pace(folder: Path) -> Iterator[_Pace]:
    """The content of the file, which no other process can read or change meanwhile; changes are written back."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / PACE_NAME
        with exclusive_lock(folder / f"{PACE_NAME}.lock"):
            pace = _parse(path.read_bytes() if path.exists() else b"")
            yield pace
            path.write_text(json.dumps(asdict(pace)), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: can't be written to: {error.strerror or error}; choose another place") from error


def _parse(content: bytes) -> _Pace:
    """The content; that of an empty file if a kill left it half written."""
    try:
        values = json.loads(content)
        return _Pace(float(values["next_turn"]), str(values["stopped"]))
    except (ValueError, KeyError, TypeError):
        return _Pace()
