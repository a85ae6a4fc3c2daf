"""Progress of a pipeline as one line: the running step, the finished share of all, and the time that remains."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from training.terminal import SilentOutput, is_silent

_REDRAW_SECONDS = 0.5
_TRUST_SECONDS = 30.0  # weight of the usual pace against the pace that finished steps had here
_MAX_SHARE = 0.97  # highest share shown of a step that has not ended


class PipelineProgress:
    """Progress of steps: on a terminal one line that is redrawn, elsewhere one line a step.

    A step weighs as many seconds as it usually takes. How fast this machine is follows from the finished steps.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to a stream; by default to stderr, or nowhere if the process is silent."""
        if stream is None:
            stream = SilentOutput(sys.stderr) if is_silent() else sys.stderr
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._usual: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._current = ""
        self._began = 0.0
        self._drawn = 0.0

    def start(self, steps: Sequence[tuple[str, float]], taken: Mapping[str, float]) -> None:
        """Take the list of all steps.

        Args:
            steps: Title and usual duration in seconds of each, in order.
            taken: Seconds of the steps that have finished already, by title.
        """
        self._usual = dict(steps)
        self._taken = {title: seconds for title, seconds in taken.items() if title in self._usual}

    def begin(self, title: str) -> None:
        """Announce that a step begins."""
        self._current, self._began, self._drawn = title, time.monotonic(), 0.0
        if not self._is_terminal:
            print(self.line(None), file=self._stream, flush=True)

    @property
    def is_due(self) -> bool:
        """Whether a `tick` would redraw the line; if not, its share need not be computed."""
        return self._is_terminal and time.monotonic() - self._drawn >= _REDRAW_SECONDS

    def tick(self, share: float | None) -> None:
        """Redraw the line while a step runs, if it is due.

        Args:
            share: Finished share of the step in [0, 1]; None to estimate it from the usual duration.
        """
        if self.is_due:
            self._drawn = time.monotonic()
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{self.line(share)[:width]}", end="", file=self._stream, flush=True)

    def finish(self, title: str, seconds: float) -> None:
        """Note that a step is over."""
        self._taken[title] = seconds
        if self._is_terminal:
            print(f"\r\x1b[K{title}: {format_seconds(seconds)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Clear the line."""
        if self._is_terminal and self._drawn:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def line(self, share: float | None) -> str:
        """The progress as one line; `share` is as for `tick`."""
        elapsed = time.monotonic() - self._began
        usual = self._usual[self._current]
        pace = self._pace()
        if share is None:
            share = elapsed / (usual * pace)
        share = min(max(share, 0.0), _MAX_SHARE)
        # The remaining time by the usual duration and by the measured pace, weighted by the share that is done.
        measured = elapsed * (1 - share) / share if share > 0 else 0.0
        left = share * measured + (1 - share) * usual * pace * (1 - share)
        waiting = [s for title, s in self._usual.items() if title not in self._taken and title != self._current]
        total = sum(self._usual.values())
        done = sum(self._usual[title] for title in self._taken) + share * usual
        remaining = format_seconds(left + pace * sum(waiting))
        return f"[{100 * done / total:3.0f} %] {self._current}, about {remaining} to go"

    def _pace(self) -> float:
        """Duration of steps on this machine as a multiple of the usual one."""
        usual = sum(self._usual[title] for title in self._taken)
        return (sum(self._taken.values()) + _TRUST_SECONDS) / (usual + _TRUST_SECONDS)


def format_seconds(seconds: float) -> str:
    """Seconds in words: "48 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
