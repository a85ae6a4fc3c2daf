"""Where in a waveform somebody speaks."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from data.media.waveform import SAMPLE_RATE, Span, Waveform

VoiceActivity = Literal["silero", "none"]

_MARGIN_MS = 100  # kept on both sides of speech, so that plosives and breath survive the cut


def find_speech(waveform: Waveform) -> list[Span]:
    """Where silero-vad hears speech, with margins of 100 ms.

    Args:
        waveform: [T], its loudness levelled: quiet speech is overlooked.

    Returns:
        Sorted disjoint spans within the waveform.
    """
    import torch

    model, get_speech_timestamps = _silero()
    with torch.inference_mode():
        spans = get_speech_timestamps(
            torch.from_numpy(np.ascontiguousarray(waveform)),
            model,
            sampling_rate=SAMPLE_RATE,
            speech_pad_ms=_MARGIN_MS,
        )
    return [(span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in spans]


def cut_silence(waveform: Waveform) -> Waveform:
    """Keep what `find_speech` finds.

    Returns:
        [T'] float32 with T' <= T; empty if there is no speech.
    """
    return take_spans(waveform, find_speech(waveform))


def take_spans(waveform: Waveform, spans: Sequence[Span]) -> Waveform:
    """What lies within sorted disjoint spans of a waveform [T], one after the other."""
    parts = (waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for start, end in spans)
    return np.concatenate([np.zeros(0, np.float32), *parts])


@functools.cache
def _silero() -> tuple[Any, Any]:
    """The model in silero-vad's wheel, loaded once a process, and the function that makes spans of its output."""
    import torch

    num_threads = torch.get_num_threads()
    import silero_vad

    torch.set_num_threads(num_threads)  # importing silero_vad sets it to 1 for the whole process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its way of loading is deprecated; nothing the user could do
        return silero_vad.load_silero_vad(), silero_vad.get_speech_timestamps
