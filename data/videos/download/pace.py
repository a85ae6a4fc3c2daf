"""How fast videos are fetched: one small file beside the sources, shared by all processes and by later runs."""

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
    """What the file holds.

    Attributes:
        next_turn: Unix time before which no download begins.
        stopped: Why none begins at all; empty if they may.
    """

    next_turn: float = 0.0
    stopped: str = ""


def take_turn(folder: Path, interval: float) -> float:
    """Reserve the next moment at which a download may begin.

    Args:
        folder: Where the sources lie.
        interval: Seconds from one beginning to the next, over all processes that share the folder.

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
    """Raise what `stop` left.

    Raises:
        FetchStopped: If no download may begin.
    """
    try:
        pace = _parse((folder / PACE_NAME).read_bytes())
    except OSError:
        return
    if pace.stopped:
        raise FetchStopped(pace.stopped)


def push_back(folder: Path, seconds: float) -> None:
    """No process begins a download for a while: the server asked for it."""
    with _open_pace(folder) as pace:
        pace.next_turn = max(pace.next_turn, time.time() + seconds)


def stop(folder: Path, message: str) -> None:
    """No process begins a download any more, until `clear_stop`."""
    with _open_pace(folder) as pace:
        pace.stopped = message


def clear_stop(folder: Path) -> None:
    """A new run may try again; its pace goes on from that of the last one."""
    if (folder / PACE_NAME).exists():
        with _open_pace(folder) as pace:
            pace.stopped = ""


@contextmanager
def _open_pace(folder: Path) -> Iterator[_Pace]:
    """What the file says, to be changed while no other process can read it."""
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
    """A file that a kill left half written counts as none."""
    try:
        values = json.loads(content)
        return _Pace(float(values["next_turn"]), str(values["stopped"]))
    except (ValueError, KeyError, TypeError):
        return _Pace()
