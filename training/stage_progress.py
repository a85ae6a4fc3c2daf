"""A line that says what is going on, how much of all is done and how long it still takes."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

_REDRAW_SECONDS = 0.5
_TRUST_SECONDS = 30.0  # of usual time, before the pace of what is over counts more than the usual one
_ALMOST = 0.97  # the most that is believed of a stage that has not ended


class StageProgress:
    """Tells of stages on a terminal as a line that changes; elsewhere one line a stage.

    Stages weigh as long as they usually take; how fast this machine is shows in those that are over.
    """

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        """Tell a stream, whether it is a terminal or not."""
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._usual: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._current = ""
        self._began = 0.0
        self._drawn = 0.0

    def start(self, stages: Sequence[tuple[str, float]], taken: Mapping[str, float]) -> None:
        """Name all stages.

        Args:
            stages: Title and usual seconds of each, in order.
            taken: Seconds of those that were over before.
        """
        self._usual = dict(stages)
        self._taken = {title: seconds for title, seconds in taken.items() if title in self._usual}

    def begin(self, title: str) -> None:
        """A stage begins."""
        self._current, self._began, self._drawn = title, time.monotonic(), 0.0
        if not self._is_terminal:
            print(self.line(None), file=self._stream, flush=True)

    @property
    def is_due(self) -> bool:
        """Whether a `tick` would show; else what it takes to know the share can be saved."""
        return self._is_terminal and time.monotonic() - self._drawn >= _REDRAW_SECONDS

    def tick(self, share: float | None) -> None:
        """The stage goes on.

        Args:
            share: How much of it is done, in [0, 1]; None if only its usual length can tell.
        """
        if self.is_due:
            self._drawn = time.monotonic()
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{self.line(share)[:width]}", end="", file=self._stream, flush=True)

    def finish(self, title: str, seconds: float) -> None:
        """The stage is over."""
        self._taken[title] = seconds
        if self._is_terminal:
            print(f"\r\x1b[K{title}: {tell_time(seconds)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the terminal's line."""
        if self._is_terminal and self._drawn:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def line(self, share: float | None) -> str:
        """What is going on, as one line."""
        elapsed = time.monotonic() - self._began
        usual = self._usual[self._current]
        pace = self._pace()
        if share is None:
            share = elapsed / (usual * pace)
        share = min(max(share, 0.0), _ALMOST)
        # At first the usual length tells more than what little has been done.
        measured = elapsed * (1 - share) / share if share > 0 else 0.0
        left = share * measured + (1 - share) * usual * pace * (1 - share)
        waiting = [s for title, s in self._usual.items() if title not in self._taken and title != self._current]
        total = sum(self._usual.values())
        done = sum(self._usual[title] for title in self._taken) + share * usual
        remaining = tell_time(left + pace * sum(waiting))
        return f"[{100 * done / total:3.0f} %] {self._current}, about {remaining} to go"

    def _pace(self) -> float:
        """How long stages take here, as a multiple of what they usually take."""
        usual = sum(self._usual[title] for title in self._taken)
        return (sum(self._taken.values()) + _TRUST_SECONDS) / (usual + _TRUST_SECONDS)


def tell_time(seconds: float) -> str:
    """Seconds in words: "48 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
