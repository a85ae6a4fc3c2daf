"""What a recording is everywhere in the framework: mono samples at one rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second of every waveform in the framework."""


MIN_SPEECH_SECONDS = 0.5
"""Clips with less speech than this are refused."""


Waveform = NDArray[np.float32]
