"""Front ends against their definitions, computed frame by frame with numpy in double precision."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from data.errors import ConfigError
from encoder.front_ends import build_front_end


def voice(seconds: float = 0.6, seed: int = 0) -> NDArray[np.float64]:
    """A buzz with some noise, and silence before it."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * k * (120 + 30 * seed) * time) / k for k in range(1, 20))
    wave = 0.05 * buzz + 0.003 * random.standard_normal(len(time))
    wave[:1000] = 0
    return wave.astype("f4").astype("f8")


def features(name: str, *waves: NDArray[np.float64]) -> NDArray[np.float32]:
    return build_front_end(name)(torch.from_numpy(np.stack(waves).astype("f4"))).numpy()


def kaldi(wave: NDArray[np.float64], window: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Kaldi's log filter banks: frames without their mean, pre-emphasis within each, mel 1127 ln(1 + f / 700)."""
    mel = 1127 * np.log(1 + np.arange(257) * 16_000 / 512 / 700)
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 82)
    step = edges[1] - edges[0]
    filters = np.clip(1 - np.abs(mel[:, None] - edges[1:-1]) / step, 0, None)
    filters[256] = 0  # Kaldi leaves out the Nyquist frequency
    rows = []
    for start in range(0, len(wave) - 399, 160):
        frame = scale * wave[start : start + 400]
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        energy = np.abs(np.fft.rfft(frame * window, 512)) ** 2 @ filters
        rows.append(np.log(np.maximum(energy, np.finfo("f4").eps)))
    return np.stack(rows) - np.mean(rows, axis=0)


def test_wespeakers_filter_banks_are_kaldis_under_a_hamming_window_on_the_scale_of_16_bits() -> None:
    expected = kaldi(voice(), np.hamming(400), 32_768)
    np.testing.assert_allclose(features("wespeaker", voice())[0], expected, atol=2e-3)


def test_3d_speakers_filter_banks_are_kaldis_under_its_own_window_in_minus_one_to_one() -> None:
    expected = kaldi(voice(), np.hanning(400) ** 0.85, 1.0)
    np.testing.assert_allclose(features("3dspeaker", voice())[0], expected, atol=2e-3)


def test_speechbrains_filter_banks_are_decibels_of_symmetric_triangles_less_their_mean() -> None:
    wave = np.pad(voice(), 200)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 82) / 2595) - 1)
    frequencies = np.linspace(0, 8000, 201)
    filters = np.clip(1 - np.abs(frequencies[:, None] - edges[1:-1]) / (edges[1:-1] - edges[:-2]), 0, None)
    frames = np.stack([wave[i : i + 400] * window for i in range(0, len(wave) - 399, 160)])
    decibels = 10 * np.log10(np.maximum(np.abs(np.fft.rfft(frames)) ** 2 @ filters, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    result = features("speechbrain", voice())[0]
    assert result.shape == (61, 80)
    np.testing.assert_allclose(result, decibels - decibels.mean(axis=0), atol=2e-3)


def test_nemos_filter_banks_are_standardised_logarithms_of_centred_frames() -> None:
    wave = voice()
    emphasised = np.pad(np.concatenate([wave[:1], wave[1:] - 0.97 * wave[:-1]]), 256)
    mels = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 82)  # Slaney's: 200/3 Hz each, from 1 kHz on logarithmic
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    frequencies = np.linspace(0, 8000, 257)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters = np.clip(np.minimum(rising, falling), 0, None) * 2 / (edges[2:] - edges[:-2])
    frames = [emphasised[i * 160 + 56 :][:400] * np.hanning(400) for i in range(len(wave) // 160)]
    logarithm = np.log(np.abs(np.fft.rfft(frames, 512)) ** 2 @ filters + 2.0**-24)
    expected = (logarithm - logarithm.mean(axis=0)) / (logarithm.std(axis=0, ddof=1) + 1e-5)
    result = features("nemo", wave)[0]
    assert result.shape == (80, 60)
    np.testing.assert_allclose(result.T, expected, atol=2e-3)


@pytest.mark.parametrize("name", ["wespeaker", "3dspeaker", "speechbrain", "nemo", "waveform"])
def test_a_voice_gives_the_same_in_a_batch_as_alone_and_silence_gives_numbers(name: str) -> None:
    batch = features(name, voice(seed=0), voice(seed=1), np.zeros(9600))
    np.testing.assert_allclose(batch[1], features(name, voice(seed=1))[0], rtol=1e-4, atol=1e-4)
    assert np.isfinite(batch).all() and not np.allclose(batch[0], batch[1])


def test_an_unknown_front_end_is_an_error_that_lists_them() -> None:
    with pytest.raises(ConfigError, match="wespeaker, 3dspeaker, speechbrain, nemo or waveform"):
        build_front_end("kaldi")
