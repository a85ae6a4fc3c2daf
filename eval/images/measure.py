"""The image-quality evaluation: distances between the distributions of drawings and of real faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError
from data.store.dataset import ClipDataset
from eval.images.features import ImageFeatures
from eval.images.frechet import MIN_HEADLINE_IMAGES, GaussianStatistics, frechet_distance, kernel_distance
from eval.images.similarity import find_faces
from eval.model_under_test import ModelUnderTest, draw_faces, encode_voices, sample_noise
from eval.predictions import clip_noise_keys

_BATCH = 128
_SHOWN = 64

DRAWN = "drawings from voices"
DRAWN_FROM_FACES = "drawings from true features (F2F)"
REAL = "bound: other real faces"
PIXEL_NOISE = "floor: real faces under heavy noise"


@dataclass(frozen=True)
class ImageDistance:
    """One line of a report.

    Attributes:
        system: Name of the pictures that are compared with the real faces.
        feature_space: Name of the feature space.
        num_images: Number of these pictures.
        num_real: Number of real faces.
        frechet_distance: Frechet distance in the feature space.
        kid: Kernel inception distance, mean over subsets; unbiased, so that values with different numbers of pictures
            compare.
        kid_std: Standard deviation of the latter over subsets.
        comparable: Whether both sides have the 2,048 pictures that a headline needs.
    """

    system: str
    feature_space: str
    num_images: int
    num_real: int
    frechet_distance: float
    kid: float
    kid_std: float
    comparable: bool

    def as_json(self) -> dict[str, Any]:
        """The entry of `results` in report.json."""
        return {
            "task": "image_quality",
            "system": self.system,
            "feature_space": self.feature_space,
            "num_images": self.num_images,
            "num_real_images": self.num_real,
            "frechet_distance": self.frechet_distance,
            "kid": self.kid,
            "kid_std": self.kid_std,
            "comparable": self.comparable,
        }


@dataclass(frozen=True)
class ImageMeasurement:
    """All that an image-quality report shows.

    Attributes:
        results: Distances of the drawings from voices, one a feature space.
        bounds: Distances of drawings from true features, of other real faces, and of faces under noise.
        real: [n, S, S, 3] uint8, some of the real faces.
        drawn: [n, S, S, 3] uint8, some of the drawings from voices.
        faces_found: Share of `drawn` (key `drawings`) and of `real` in which dlib's HOG detector finds a face.
        notes: Sentences that the numbers must be read with.
    """

    results: list[ImageDistance]
    bounds: list[ImageDistance]
    real: NDArray[np.uint8]
    drawn: NDArray[np.uint8]
    faces_found: dict[str, float]
    notes: list[str]


@dataclass(frozen=True)
class ImageOptions:
    """Options of an image-quality evaluation.

    Attributes:
        num_images: Number of drawings; voices are used repeatedly, each time with other noise.
        seed: Seed of noise and subsets.
        progress: Called with a short text before each part of the work.
    """

    num_images: int = 2048
    seed: int = 0
    progress: Callable[[str], None] = field(default=lambda _: None)


def measure_images(
    model: ModelUnderTest, spaces: Sequence[ImageFeatures], dataset: ClipDataset, options: ImageOptions
) -> ImageMeasurement:
    """Compare drawings with the real faces of a split.

    Args:
        model: A model with a generator.
        spaces: Feature spaces.
        dataset: The judged split; all its faces are the reference, those of people without a voice too.
        options: Options.

    Raises:
        DatasetError: If the split has no voice or fewer than four faces.
    """
    assert model.voice2face is not None
    true_features, keys = dataset.all_face_features()
    voices = np.flatnonzero(dataset.has_voice)
    if len(keys) < 4 or not len(voices):
        raise DatasetError(
            f"{dataset.root}: the split '{dataset.split}' has {len(keys)} faces and {len(voices)} voices; "
            "at least four faces and one voice are needed"
        )
    random = np.random.default_rng([options.seed, 6])
    # The bound compares one half of the people with the other: pictures of one person are not independent.
    people = random.permutation(np.unique(dataset.identity_of[keys[:, 0]]))
    in_half = np.isin(dataset.identity_of[keys[:, 0]], people[: len(people) // 2])
    voice_features, _ = encode_voices(model, dataset, voices.tolist())
    size = options.num_images
    drawn_voices = np.resize(voices, size)
    noise_keys = [
        f"{key}/{i // len(voices)}" for i, key in enumerate(clip_noise_keys(dataset, drawn_voices, options.seed))
    ]
    f2f_rows = np.resize(random.permutation(len(keys)), size)
    f2f_keys = [f"{options.seed}/f2f/{row}/{i // len(keys)}" for i, row in enumerate(f2f_rows)]
    features_of_voices = np.resize(np.arange(len(voices)), size)

    def drawings() -> Iterator[NDArray[np.uint8]]:
        yield from _draw(model, voice_features, features_of_voices, noise_keys)

    def redrawings() -> Iterator[NDArray[np.uint8]]:
        yield from _draw(model, true_features, f2f_rows, f2f_keys)

    def photographs() -> Iterator[NDArray[np.uint8]]:
        yield from _read(dataset, keys)

    def noisy() -> Iterator[NDArray[np.uint8]]:
        for faces in _read(dataset, keys):
            yield np.clip(faces + random.normal(0, 64, faces.shape), 0, 255).astype(np.uint8)

    results, bounds = [], []
    for space in spaces:
        options.progress(f"{space.name}: real faces")
        real = _features(space, photographs())
        options.progress(f"{space.name}: {size} drawings from voices")
        results.append(compare(DRAWN, space.name, _features(space, drawings()), real, options.seed))
        options.progress(f"{space.name}: {size} drawings from true features")
        bounds.append(compare(DRAWN_FROM_FACES, space.name, _features(space, redrawings()), real, options.seed))
        if min(in_half.sum(), (~in_half).sum()) >= 2:
            bounds.append(compare(REAL, space.name, real[in_half], real[~in_half], options.seed))
        bounds.append(compare(PIXEL_NOISE, space.name, _features(space, noisy()), real, options.seed))
    shown_real = next(_read(dataset, keys[random.permutation(len(keys))[:_SHOWN]]))
    shown_rows = np.sort(random.permutation(size)[:_SHOWN])
    shown_drawn = next(
        _draw(model, voice_features, features_of_voices[shown_rows], [noise_keys[i] for i in shown_rows])
    )
    notes = []
    if not results or not results[0].comparable:
        notes.append(
            f"A Frechet distance needs {MIN_HEADLINE_IMAGES:,} pictures on either side to be a headline; "
            "with fewer it is mostly bias and compares only with the other lines of the same table. KID has no such "
            "bias."
        )
    return ImageMeasurement(
        results=results,
        bounds=bounds,
        real=shown_real,
        drawn=shown_drawn,
        faces_found={
            "drawings": float(find_faces(shown_drawn).mean()),
            "real": float(find_faces(shown_real).mean()),
        },
        notes=notes,
    )


def compare(
    system: str,
    feature_space: str,
    features: NDArray[np.float64],
    real_features: NDArray[np.float64],
    seed: int,
) -> ImageDistance:
    """Both distances of two sets of features [N, D] and [M, D]."""
    ours, theirs = GaussianStatistics(features.shape[1]), GaussianStatistics(features.shape[1])
    ours.add(features)
    theirs.add(real_features)
    kid = kernel_distance(features, real_features, seed=seed)
    return ImageDistance(
        system=system,
        feature_space=feature_space,
        num_images=ours.num,
        num_real=theirs.num,
        frechet_distance=frechet_distance(ours.mean, ours.covariance, theirs.mean, theirs.covariance),
        kid=kid.mean,
        kid_std=kid.std,
        comparable=min(ours.num, theirs.num) >= MIN_HEADLINE_IMAGES,
    )


def _features(space: ImageFeatures, batches: Iterator[NDArray[np.uint8]]) -> NDArray[np.float64]:
    # KID needs the vectors themselves: 1.6 GB for 100,000 vectors of 2,048 numbers. Pictures would take more.
    return np.concatenate([space(images) for images in batches])


def _draw(
    model: ModelUnderTest, features: NDArray[np.float32], rows: NDArray[np.int64], keys: Sequence[str]
) -> Iterator[NDArray[np.uint8]]:
    assert model.voice2face is not None
    for start in range(0, len(rows), _BATCH):
        noise = sample_noise(keys[start : start + _BATCH], model.voice2face.noise_size)
        yield draw_faces(model.voice2face, features[rows[start : start + _BATCH]], noise)


def _read(dataset: ClipDataset, keys: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(keys), _BATCH):
        yield np.stack([dataset.face(int(clip), int(face)) for clip, face in keys[start : start + _BATCH]])
