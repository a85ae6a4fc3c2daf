"""What a recording is everywhere in the framework: mono samples at one rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError

SAMPLE_RATE = 16_000
"""Samples a second of every waveform in the framework."""

MIN_SPEECH_SECONDS = 0.5
"""Clips with less speech than this are refused."""

Waveform = NDArray[np.float32]
"""[T] samples in [-1, 1]."""

Span = tuple[float, float]
"""Start and end in seconds."""


def check_finite(waveform: Waveform, where: object = "the waveform") -> None:
    """Refuse samples that are no numbers.

    Args:
        waveform: [T].
        where: Name of the recording in the message.

    Raises:
        MediaError: `not-finite`.
    """
    if not np.isfinite(waveform).all():
        raise MediaError("not-finite", f"{where} holds samples that are NaN or infinite")
