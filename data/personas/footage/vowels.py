"""Synthetic vowels, for machines without espeak-ng."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.media.waveform import SAMPLE_RATE


def sex_of(person: int) -> str:
    """Sex of a made-up person: `female` for even numbers, `male` for odd ones."""
    return "female" if person % 2 == 0 else "male"


def speak(person: int, clip: int = 0, seconds: float = 1.2) -> NDArray[np.float32]:
    """Vowels [T] float32 at 16 kHz; pitch (about 120 Hz for men, 210 Hz for women), formants and tilt vary."""
    rng = np.random.default_rng([13, person])
    is_female = sex_of(person) == "female"
    pitch = (210 if is_female else 120) * rng.uniform(0.85, 1.15)
    tract = (1.15 if is_female else 0.95) * rng.uniform(0.93, 1.07)
    tilt = rng.uniform(0.8, 1.4)

    talk = np.random.default_rng([14, person, clip])
    num_samples = round(seconds * SAMPLE_RATE)
    time = np.arange(num_samples) / SAMPLE_RATE
    num_vowels = max(2, round(seconds * 5))
    # First three formants of a, e, i, o, u.
    table = np.array([[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240]])
    knots = table[talk.integers(0, 5, num_vowels)] * tract
    knot_times = np.linspace(0, seconds, num_vowels)
    frames = np.arange(0, num_samples, 160) / SAMPLE_RATE
    formants = np.stack([np.interp(frames, knot_times, knots[:, i]) for i in range(3)])
    melody = pitch * (1 + 0.08 * np.interp(time, knot_times, talk.normal(size=num_vowels)))
    phase = 2 * np.pi * np.cumsum(melody) / SAMPLE_RATE
    waveform = np.zeros(num_samples)
    for harmonic in range(1, int(4000 / pitch)):
        frequency = harmonic * pitch
        gains = (1 / (1 + ((frequency - formants) / 90.0) ** 2)).sum(0) / harmonic**tilt
        waveform += np.interp(time, frames, gains) * np.sin(harmonic * phase)
    envelope = 0.35 + 0.65 * np.abs(np.sin(np.pi * time * num_vowels / seconds))
    waveform = waveform * envelope
    waveform = 0.3 * waveform / np.abs(waveform).max() + talk.normal(0, 0.002, num_samples)
    return waveform.astype(np.float32)
