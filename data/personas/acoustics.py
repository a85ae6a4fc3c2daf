"""From the synthesizer to the microphone: breath, the room, the microphone's colour and its noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.media.waveform import SAMPLE_RATE, Waveform
from data.personas.espeak import ESPEAK_RATE

REVERBERATION_RANGE = (0.05, 0.45)
"""Seconds until an echo has fallen by 60 dB."""

ECHO_RANGE = (0.01, 0.08)
"""Deviation of the echo's first samples, where the direct sound is 1."""

MICROPHONE_TILT = 0.25
"""The microphone subtracts at most this much of the sample before, or adds it."""

NOISE_RANGE = (20.0, 40.0)
"""Decibels between speech and the microphone's white noise."""

_ENVELOPE_SAMPLES = 441  # 20 ms
_BREATH_SLOPE = 0.92
_UNIT_IN, _UNIT_OUT = 441, 320  # ESPEAK_RATE and SAMPLE_RATE in their largest common unit, 50 Hz
assert ESPEAK_RATE * _UNIT_OUT == SAMPLE_RATE * _UNIT_IN


def add_breath(waveform: NDArray[np.float32], amount: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Breath that follows the speech, in high frequencies (espeak-ng's own breath differs from run to run).

    Flatter noise would hide the formants, by which a voice tells the size of its vocal tract.

    Args:
        waveform: [T] at `ESPEAK_RATE`.
        amount: Of the noise before it is differentiated twice, relative to the speech around it.
        rng: Of the clip.
    """
    energy = np.cumsum(np.pad(np.square(waveform, dtype=np.float64), (_ENVELOPE_SAMPLES, 0)))
    mean = (energy[_ENVELOPE_SAMPLES:] - energy[:-_ENVELOPE_SAMPLES]) / _ENVELOPE_SAMPLES
    noise = rng.standard_normal(waveform.size + 2, dtype=np.float32)
    for _ in range(2):
        noise = noise[1:] - np.float32(_BREATH_SLOPE) * noise[:-1]
    breath: NDArray[np.float32] = waveform + noise * np.sqrt(np.maximum(mean, 0) * amount**2).astype(np.float32)
    return breath


def record(waveform: NDArray[np.float32], rng: np.random.Generator) -> Waveform:
    """Speech as a microphone in a room hears it.

    All that is linear, resampling included, is done at once on the spectrum of the whole clip.

    Args:
        waveform: [T] at `ESPEAK_RATE`.
        rng: Of the clip.

    Returns:
        [T'] float32 at `SAMPLE_RATE`, of any loudness.
    """
    response = _draw_response(rng)
    num_samples = waveform.size * _UNIT_OUT // _UNIT_IN
    # Room for the echo's end, so that it does not come back at the beginning.
    length = _smooth_at_least(-(-(num_samples + response.size) // _UNIT_OUT))
    spectrum = np.fft.rfft(waveform, length * _UNIT_IN)[: length * _UNIT_OUT // 2 + 1]
    spectrum *= np.fft.rfft(response, length * _UNIT_OUT)
    heard = np.fft.irfft(spectrum, length * _UNIT_OUT)[:num_samples] * _UNIT_OUT / _UNIT_IN
    noise = np.sqrt(np.mean(heard**2)) * 10 ** (-rng.uniform(*NOISE_RANGE) / 20)
    recorded: Waveform = (heard + noise * rng.standard_normal(num_samples, dtype=np.float32)).astype(np.float32)
    return recorded


def trim(waveform: NDArray[np.float32], max_samples: int) -> NDArray[np.float32]:
    """Without the digital silence at both ends; what is longer than allowed is faded out."""
    loud = np.flatnonzero(np.abs(waveform) > 1e-3)
    if not loud.size:
        return waveform[:max_samples]
    trimmed = waveform[loud[0] : loud[-1] + 1][:max_samples].copy()
    fade = min(_ENVELOPE_SAMPLES, trimmed.size)
    trimmed[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return trimmed


def _draw_response(rng: np.random.Generator) -> NDArray[np.float64]:
    """The impulse response of room and microphone: the direct sound, then noise that dies away, all of it tilted."""
    num_samples = round(rng.uniform(*REVERBERATION_RANGE) * SAMPLE_RATE)
    decay = 10 ** (-3 * np.arange(num_samples) / num_samples)
    room = rng.uniform(*ECHO_RANGE) * decay * rng.standard_normal(num_samples)
    room[0] = 1
    response: NDArray[np.float64] = np.append(room, 0)
    response[1:] -= rng.uniform(-MICROPHONE_TILT, MICROPHONE_TILT) * room
    return response


def _smooth_at_least(number: int) -> int:
    """The smallest number not below the given one that has no prime factor above 5: Fourier transforms like those."""
    while True:
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1
