"""Voices of a split with their true faces, drawings at several varieties, and the nearest faces of a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from data.files import write_file
from data.media.audio import encode_flac
from data.media.waveform import SAMPLE_RATE, Waveform
from data.store.dataset import ClipDataset
from encoder.spectrograms import LogMelSpectrogram
from eval.model_under_test import (
    ModelUnderTest,
    draw_faces,
    embed_true_faces,
    encode_voices,
    sample_features,
    sample_noise,
)
from eval.pages.parts.cards import ASSETS, Picture, choose_people, describe, save_picture, spread
from gan.voice2face import Voice2Face, save_drawing

GALLERY_SIZE = 100
NUM_TRUE_FACES = 2
NUM_DRAWINGS = 5
NUM_NEAREST = 7
SHOWN_VARIETIES = (0.0, 0.5, 1.0)

_SPECTROGRAM_SIZE = (520, 192)
_SPECTROGRAM_RANGE = 9.0  # natural logarithms of energy, about 39 dB


@dataclass(frozen=True)
class DrawingRow:
    """Drawings of one voice at one variety.

    Attributes:
        variety: The variety; None for a model without a sampler, whose drawings differ by noise alone.
        drawings: The drawings.
    """

    variety: float | None
    drawings: list[Picture]


@dataclass(frozen=True)
class VoiceCard:
    """One voice on the model's page.

    Attributes:
        name: Identity of the speaker.
        about: Sex and age as far as they are known; may be empty.
        voice: Path of the recording relative to the page.
        seconds: Duration of the recording.
        spectrogram: Log-mel spectrogram of the recording.
        true_faces: Some pictures of the speaker.
        rows: Drawings of the voice at each shown variety, or at one without a sampler; empty for an encoder alone.
        drawings_beside: Drawings of the voice by another model, at variety 1 if it has a sampler; empty without one.
        nearest: The faces of the gallery that are nearest to the voice, the nearest first.
        rank: Rank of the right face in the gallery, from 1.
        gallery: Number of faces in the gallery.
    """

    name: str
    about: str
    voice: str
    seconds: float
    spectrogram: Picture
    true_faces: list[Picture]
    rows: list[DrawingRow]
    drawings_beside: list[Picture]
    nearest: list[Picture]
    rank: int
    gallery: int


def show_voices(
    out: Path, model: ModelUnderTest, dataset: ClipDataset, num_people: int, seed: int, beside: Voice2Face | None = None
) -> list[VoiceCard]:
    """Choose people of a split and write their recordings, pictures and drawings to `out/assets`.

    Args:
        out: The page's folder.
        model: The model.
        dataset: A split whose people the model was not trained on.
        num_people: Number of people, at most.
        seed: Seed of gallery and noise.
        beside: Another model that draws the same recordings, for comparison.
    """
    (out / ASSETS).mkdir(exist_ok=True)
    chosen = choose_people(dataset, num_people)
    clips = [dataset.voices_of(person)[0] for person in chosen]
    if not chosen:
        return []
    features, embeddings = encode_voices(model, dataset, clips)
    gallery = draw_gallery(dataset, chosen, seed)
    faces = [dataset.faces_of(person)[0] for person in gallery]
    stored = np.stack([dataset.face_features(clip)[face] for clip, face in faces])
    scores = embeddings @ embed_true_faces(model, stored).T
    cards = []
    for row, (person, clip) in enumerate(zip(chosen, clips, strict=True)):
        card = f"{ASSETS}/{row + 1:02d}"
        name = dataset.identities[person]
        waveform = dataset.waveform(clip)
        write_file(out / f"{card}-voice.flac", encode_flac(waveform))
        Image.fromarray(draw_log_mel(waveform)).save(out / f"{card}-voice.png")
        seconds = len(waveform) / SAMPLE_RATE
        order = np.argsort(-scores[row], kind="stable")
        right = gallery.index(person)
        nearest = [
            save_picture(
                out,
                f"{card}-nearest-{place + 1}.png",
                dataset.face(*faces[index]),
                f"Nearest face {place + 1}: {'the right one' if index == right else 'somebody else'}",
                is_right=index == right,
            )
            for place, index in enumerate(order[: NUM_NEAREST if embeddings.shape[1] else 0].tolist())
        ]
        cards.append(
            VoiceCard(
                name=name,
                about=describe(dataset, person),
                voice=f"{card}-voice.flac",
                seconds=seconds,
                spectrogram=Picture(f"{card}-voice.png", f"Spectrogram of {seconds:.1f} s of speech"),
                true_faces=[
                    save_picture(
                        out, f"{card}-true-{i + 1}.png", dataset.face(*key), f"True face of {name}, picture {i + 1}"
                    )
                    for i, key in enumerate(spread(dataset.faces_of(person), NUM_TRUE_FACES))
                ],
                rows=_draw_varieties(out, card, model, features[row], seed),
                drawings_beside=_draw_beside(out, f"{card}-beside", beside, waveform, seed),
                nearest=nearest,
                rank=1 + int((scores[row] > scores[row, right]).sum()),
                gallery=len(gallery),
            )
        )
    return cards


def draw_gallery(dataset: ClipDataset, people: Sequence[int], seed: int) -> list[int]:
    """The people and random others of the split, `GALLERY_SIZE` if there are enough, in random order."""
    with_both = {i for i in range(len(dataset.identities)) if dataset.voices_of(i) and dataset.faces_of(i)}
    random = np.random.default_rng([seed, 8])
    others = random.permutation(sorted(with_both - set(people))).tolist()
    gallery = [*people, *others[: max(0, GALLERY_SIZE - len(people))]]
    return [gallery[i] for i in random.permutation(len(gallery))]


@torch.no_grad()
def draw_log_mel(waveform: Waveform) -> NDArray[np.uint8]:
    """A log-mel spectrogram as a picture [192, 520, 3] uint8; time runs to the right, frequency upwards."""
    level = LogMelSpectrogram()(torch.from_numpy(waveform)[None])[0].T.flip(0).numpy()
    shown = np.clip((level - np.quantile(level, 0.995)) / _SPECTROGRAM_RANGE + 1, 0, 1)
    colours = (colormaps["magma"](shown)[..., :3] * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(colours).resize(_SPECTROGRAM_SIZE, Image.Resampling.BICUBIC))


def _draw_varieties(
    out: Path, card: str, model: ModelUnderTest, feature: NDArray[np.float32], seed: int
) -> list[DrawingRow]:
    """Rows of drawings; the first one has room beside the true faces, the others have a line of their own."""
    if model.voice2face is None:
        return []
    first = _draw(out, f"{card}-drawing", model, feature, 0.0, NUM_DRAWINGS, seed)
    if model.sampler is None:
        return [DrawingRow(None, first)]
    rows = [DrawingRow(0.0, first)]
    for variety in SHOWN_VARIETIES[1:]:
        name = f"{card}-variety-{100 * variety:03.0f}"
        rows.append(DrawingRow(variety, _draw(out, name, model, feature, variety, NUM_NEAREST, seed)))
    return rows


def _draw(
    out: Path,
    name: str,
    model: ModelUnderTest,
    feature: NDArray[np.float32],
    variety: float,
    num_drawings: int,
    seed: int,
) -> list[Picture]:
    assert model.voice2face is not None
    # The same random numbers on all cards: within a column only the voice differs.
    num = num_drawings if model.voice2face.noise_size or variety else 1
    keys = [f"{seed}/page/{i}" for i in range(num)]
    features = sample_features(model, np.repeat(feature[None], num, 0), keys, variety)
    what = f", variety {variety:g}" if model.sampler is not None else ""
    pictures = []
    for i, drawing in enumerate(
        draw_faces(model.voice2face, features, sample_noise(keys, model.voice2face.noise_size)), start=1
    ):
        file = f"{name}-{i}.png"
        save_drawing(Image.fromarray(drawing), out / file)
        pictures.append(Picture(file, f"Face drawn from the voice{what}, drawing {i}"))
    return pictures


def _draw_beside(out: Path, name: str, model: Voice2Face | None, waveform: Waveform, seed: int) -> list[Picture]:
    if model is None:
        return []
    feature = model.encoder.encode([waveform]).feature[0].float().cpu().numpy()
    variety = 0.0 if model.encoder.sampler is None else 1.0
    other = ModelUnderTest(model.encoder, model, name, None)
    return _draw(out, name, other, feature, variety, NUM_NEAREST, seed)
