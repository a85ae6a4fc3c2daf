"""Grid of drawings that a run repeats with the same voices and noise, to show progress."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from data.store.dataset import ClipDataset
from encoder.voice_encoder import VoiceEncoder
from gan.images import to_pixels

NUM_DRAWINGS = 4


@dataclass(frozen=True)
class SampleSheet:
    """Contents of the grid, one column for each person.

    Attributes:
        spectrograms: [N, S, S, 3] uint8, spectrograms of the voices.
        faces: [N, S, S, 3] uint8, true crops.
        true_features: [N, D] face features of the true crops; None for a generator with other conditions.
        telling_features: [N, C] conditions of the voices at variety 0.
        sampled_features: [NUM_DRAWINGS, N, C] samples of p(face feature | voice), variety 1; without a sampler the
            regressed features again, so that drawings differ by the noise alone.
    """

    spectrograms: NDArray[np.uint8]
    faces: NDArray[np.uint8]
    true_features: Tensor | None
    telling_features: Tensor
    sampled_features: Tensor


def make_sample_sheet(dataset: ClipDataset, encoder: VoiceEncoder, num_people: int = 12) -> SampleSheet | None:
    """Choose people with a voice and a crop, spread over the data set.

    Args:
        dataset: Split of people on whom the generator is not trained.
        encoder: Trained voice encoder.
        num_people: Largest number of columns.

    Returns:
        The contents; None if nobody has both.
    """
    people = [i for i in range(len(dataset.identities)) if dataset.voices_of(i) and dataset.faces_of(i)]
    chosen = people[:: max(1, len(people) // num_people)][:num_people]
    if not chosen:
        return None
    voices = [dataset.voices_of(i)[0] for i in chosen]
    faces = [dataset.faces_of(i)[0] for i in chosen]
    pictures = np.stack([dataset.face(clip, face) for clip, face in faces])
    waveforms = [dataset.waveform(clip) for clip in voices]
    regressed = encoder.encode(waveforms).feature
    true_features = None
    if encoder.regresses_face_features:
        true_features = torch.from_numpy(np.stack([dataset.face_features(clip)[face] for clip, face in faces]))
    if encoder.sampler is None:
        sampled = regressed.expand(NUM_DRAWINGS, -1, -1)
    else:
        noise = torch.randn(
            NUM_DRAWINGS, len(chosen), encoder.sampler.noise_size, generator=torch.Generator().manual_seed(0)
        ).to(regressed.device)
        sampled = torch.stack([encoder.sampler(regressed, part) for part in noise])
    return SampleSheet(
        spectrograms=np.stack([draw_spectrogram(waveform, pictures.shape[1]) for waveform in waveforms]),
        faces=pictures,
        true_features=true_features,
        telling_features=encoder.most_telling(regressed),
        sampled_features=sampled,
    )


@torch.no_grad()
def draw_sample_grid(sheet: SampleSheet, generator: nn.Module, noise_size: int) -> NDArray[np.uint8]:
    """Rows: spectrogram, true face, drawing from the true feature (if any), from the voice's, from several samples.

    Args:
        sheet: Contents of the grid.
        generator: Module that maps features [N, D] and noise [N, Z] to images [N, 3, S, S].
        noise_size: Z.

    Returns:
        [rows * S, N * S, 3] uint8.
    """
    device = next(generator.parameters()).device
    noises = torch.randn(NUM_DRAWINGS, 1, noise_size, generator=torch.Generator().manual_seed(0)).to(device)
    rows = [sheet.spectrograms, sheet.faces]
    once = [features for features in (sheet.true_features, sheet.telling_features) if features is not None]
    drawn = [(features, noises[0]) for features in once]
    for feature, noise in [*drawn, *zip(sheet.sampled_features, noises, strict=True)]:
        rows.append(to_pixels(generator(feature.to(device), noise.expand(len(feature), -1))))
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)


def draw_spectrogram(waveform: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """A log-magnitude spectrogram up to 8 kHz as an image, low frequencies at the bottom; for display only.

    Args:
        waveform: [T] at 16 kHz.
        size: Side of the image in pixels.

    Returns:
        [size, size, 3] uint8.
    """
    spectrum = torch.stft(torch.from_numpy(waveform), 512, 160, 400, torch.hann_window(400), return_complex=True)
    level = spectrum.abs().clamp_min(1e-4).log10()
    level = ((level - level.max() + 4) / 4).clamp(0, 1).flip(0)
    picture = Image.fromarray((level.numpy() * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BOX)
    return np.repeat(np.asarray(picture)[:, :, None], 3, axis=2)


def save_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write [H, W, 3] uint8 as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
