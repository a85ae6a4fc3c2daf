"""Acoustics of a recording: breath noise, reverberation, and the microphone's frequency response and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from data.media.waveform import SAMPLE_RATE, Waveform
from data.personas.espeak import ESPEAK_RATE

REVERBERATION_RANGE = (0.05, 0.45)
"""Reverberation time in seconds: how long the echo takes to fall by 60 dB."""

ECHO_RANGE = (0.01, 0.08)
"""Standard deviation of the echo's first samples, where the direct sound is 1."""

MICROPHONE_TILT = 0.25
"""Largest absolute coefficient of the microphone's first-order filter x[t] - c x[t - 1]."""

NOISE_RANGE = (20.0, 40.0)
"""Signal-to-noise ratio of the microphone's white noise, dB."""

_ENVELOPE_SAMPLES = 441  # 20 ms
_BREATH_SLOPE = 0.92
_UNIT_IN, _UNIT_OUT = 441, 320  # ESPEAK_RATE and SAMPLE_RATE in their largest common unit, 50 Hz
assert ESPEAK_RATE * _UNIT_OUT == SAMPLE_RATE * _UNIT_IN


def add_breath(waveform: NDArray[np.float32], amount: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Add high-frequency noise with the envelope of the speech (espeak-ng's own breath noise differs from run to run).

    Noise with a flatter spectrum would mask the formants, which depend on the length of the vocal tract.

    Args:
        waveform: [T] at `ESPEAK_RATE`.
        amount: Level of the noise before it is differentiated twice, relative to the speech around it.
        rng: Random numbers of the clip.
    """
    energy = np.cumsum(np.pad(np.square(waveform, dtype=np.float64), (_ENVELOPE_SAMPLES, 0)))
    mean = (energy[_ENVELOPE_SAMPLES:] - energy[:-_ENVELOPE_SAMPLES]) / _ENVELOPE_SAMPLES
    noise = rng.standard_normal(waveform.size + 2, dtype=np.float32)
    for _ in range(2):
        noise = noise[1:] - np.float32(_BREATH_SLOPE) * noise[:-1]
    breath: NDArray[np.float32] = waveform + noise * np.sqrt(np.maximum(mean, 0) * amount**2).astype(np.float32)
    return breath


def record(waveform: NDArray[np.float32], rng: np.random.Generator) -> Waveform:
    """Simulate a recording in a room: reverberation, the microphone's filter and noise, and resampling.

    The linear steps are one product in the frequency domain of the whole clip.

    Args:
        waveform: [T] at `ESPEAK_RATE`.
        rng: Random numbers of the clip.

    Returns:
        [T'] float32 at `SAMPLE_RATE`; its loudness is not levelled.
    """
    response = _draw_response(rng)
    num_samples = waveform.size * _UNIT_OUT // _UNIT_IN
    # Padding for the end of the echo: without it circular convolution would add it to the beginning.
    length = next_fast_len(-(-(num_samples + response.size) // _UNIT_OUT), real=True)
    spectrum = np.fft.rfft(waveform, length * _UNIT_IN)[: length * _UNIT_OUT // 2 + 1]
    spectrum *= np.fft.rfft(response, length * _UNIT_OUT)
    reverberant = np.fft.irfft(spectrum, length * _UNIT_OUT)[:num_samples] * _UNIT_OUT / _UNIT_IN
    noise = np.sqrt(np.mean(reverberant**2)) * 10 ** (-rng.uniform(*NOISE_RANGE) / 20)
    recorded: Waveform = (reverberant + noise * rng.standard_normal(num_samples, dtype=np.float32)).astype(np.float32)
    return recorded


def trim(waveform: NDArray[np.float32], max_samples: int) -> NDArray[np.float32]:
    """Cut the digital silence at both ends, and what is longer than allowed, with a fade-out."""
    loud = np.flatnonzero(np.abs(waveform) > 1e-3)
    if not loud.size:
        return waveform[:max_samples]
    trimmed = waveform[loud[0] : loud[-1] + 1][:max_samples].copy()
    fade = min(_ENVELOPE_SAMPLES, trimmed.size)
    trimmed[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return trimmed


def _draw_response(rng: np.random.Generator) -> NDArray[np.float64]:
    """Impulse response of room and microphone: direct sound and decaying noise, through the microphone's filter."""
    num_samples = round(rng.uniform(*REVERBERATION_RANGE) * SAMPLE_RATE)
    decay = 10 ** (-3 * np.arange(num_samples) / num_samples)
    room = rng.uniform(*ECHO_RANGE) * decay * rng.standard_normal(num_samples)
    room[0] = 1
    response: NDArray[np.float64] = np.append(room, 0)
    response[1:] -= rng.uniform(-MICROPHONE_TILT, MICROPHONE_TILT) * room
    return response
