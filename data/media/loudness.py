"""Levels of waveforms, measured about their mean: a constant (DC) offset is no sound."""

from __future__ import annotations

import numpy as np

from data.media.waveform import Waveform

LOUDNESS_DBFS = -26.0
"""Root mean square that `level_loudness` aims at, in dB below full scale."""

SILENT_DBFS = -70.0  # quieter than the noise of any microphone: nothing was recorded
PEAK = 0.99
_FRAME = 320  # samples: 20 ms
MAX_OFFSET = 0.1  # of the root mean square; smaller ones change it by less than 0.05 dB


def rms(waveform: Waveform) -> float:
    """Root mean square of [T] about its mean where that is large enough to matter; 0 of nothing."""
    centred = remove_offset(waveform)
    return float(np.sqrt(np.mean(np.square(centred, dtype=np.float64)))) if centred.size else 0.0


def is_silent(waveform: Waveform) -> bool:
    """Whether [T] is quieter than the noise of any microphone."""
    return rms(waveform) < 10 ** (SILENT_DBFS / 20)


def remove_offset(waveform: Waveform) -> Waveform:
    """[T] without its constant offset; the same array where there is none that matters."""
    if not waveform.size:
        return waveform
    mean = float(np.mean(waveform, dtype=np.float64))
    square = float(np.mean(np.square(waveform, dtype=np.float64)))
    if mean**2 <= MAX_OFFSET**2 * max(0.0, square - mean**2):
        return waveform
    return (waveform - np.float32(mean)).astype(np.float32)


def level_loudness(waveform: Waveform) -> Waveform:
    """Remove a constant offset and scale to `LOUDNESS_DBFS`, or less where peaks would pass full scale.

    Args:
        waveform: [T]; silence stays silence.

    Returns:
        [T] float32.
    """
    waveform = remove_offset(waveform)
    level = rms(waveform)
    if level == 0.0:
        return waveform
    gain = min(10 ** (LOUDNESS_DBFS / 20) / level, PEAK / float(np.abs(waveform).max()))
    return (waveform * np.float32(gain)).astype(np.float32)


def loudness_range(speech: Waveform) -> float:
    """90th minus 5th percentile of 20-ms frame levels, dB.

    Between syllables speech all but stops, so that background sound makes the range small.

    Args:
        speech: [T] at 16 kHz, T of some seconds, silence cut.
    """
    frames = speech[: speech.size // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    levels = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    low, high = np.percentile(levels, (5, 90)) if levels.size else (0.0, 0.0)
    return float(high - low)
