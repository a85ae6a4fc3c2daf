"""The parts of a whole video that become clips: windows that are mostly speech, spread over all of the speech."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.media.waveform import Span

_MIN_SPEECH_SHARE = 0.5  # of a window


@dataclass(frozen=True)
class Segment:
    """A part of a video that becomes a clip.

    Attributes:
        start: Second at which it begins.
        end: Second at which it ends.
        speech: Seconds of speech in it.
    """

    start: float
    end: float
    speech: float


def choose_segments(
    speech: Sequence[Span], duration: float, clip_seconds: float, max_clips: int, min_speech: float
) -> list[Segment]:
    """Choose the parts of a video that become clips.

    The speech is divided into shares of equal length, one a clip, and each share gives its window with most speech, so
    that clips are spread over all of the speech. A video too short for two windows is one clip as it is.

    Args:
        speech: Spans of speech, sorted and disjoint, as a voice activity detector gives them.
        duration: Seconds of the video.
        clip_seconds: Length of a clip.
        max_clips: Largest number of clips.
        min_speech: Seconds of speech that a clip must hold.

    Returns:
        Sorted disjoint segments within [0, duration] of at least `min_speech` seconds of speech; each is mostly
        speech, unless none of the video is: then it is the one with most. Empty if nobody speaks for long enough.
    """
    if duration < 2 * clip_seconds:
        spoken = _Speech(speech, duration)
        whole = Segment(0.0, duration, spoken.total)
        return [whole] if duration > 0 and spoken.total >= min_speech else []
    spoken = _Speech(speech, duration)
    num_parts = max(1, min(max_clips, math.floor(spoken.total / clip_seconds)))
    # A share holds at least clip_seconds of speech and so can't be shorter than a window.
    bounds = [0.0, *(spoken.when(spoken.total * i / num_parts) for i in range(1, num_parts)), duration]
    best = [spoken.best_window(low, high, clip_seconds) for low, high in itertools.pairwise(bounds)]
    usable = [segment for segment in best if segment.speech >= max(min_speech, _MIN_SPEECH_SHARE * clip_seconds)]
    if usable:
        return usable
    most = spoken.best_window(0.0, duration, clip_seconds)
    return [most] if most.speech >= min_speech else []


class _Speech:
    """Seconds of speech before each moment of a video, a piecewise linear function."""

    def __init__(self, spans: Sequence[Span], duration: float) -> None:
        clipped = [(max(0.0, start), min(duration, end)) for start, end in spans]
        inside = [span for span in clipped if span[0] < span[1]]
        lengths = np.array([end - start for start, end in inside])
        before = np.concatenate([[0.0], np.cumsum(lengths)])
        self._times = np.array([0.0, *(moment for span in inside for moment in span), duration])
        self._heard = np.array([0.0, *(value for i in range(len(inside)) for value in before[i : i + 2]), before[-1]])
        self.total = float(before[-1])

    def until(self, moments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds of speech before each moment."""
        return np.interp(moments, self._times, self._heard)

    def when(self, seconds: float) -> float:
        """The first moment before which so many seconds are spoken."""
        i = int(np.searchsorted(self._heard, seconds))
        return float(self._times[i] - (self._heard[i] - seconds)) if i else 0.0

    def best_window(self, low: float, high: float, length: float) -> Segment:
        """The window within [low, high] with most speech, the earliest of several."""
        # Where no end of the window meets an end of a span, its speech is a linear function of its start.
        starts = np.concatenate([[low, high - length], self._times, self._times - length])
        starts = np.sort(starts[(starts >= low) & (starts <= high - length)])
        if not starts.size:  # high - length fell below low by a rounding error
            starts = np.array([low])
        inside = self.until(starts + length) - self.until(starts)
        # The earliest of several that are equal but for rounding.
        i = int(np.argmax(inside >= inside.max() - 1e-6))
        return Segment(float(starts[i]), float(min(starts[i] + length, high)), float(inside[i]))
