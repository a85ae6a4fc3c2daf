"""The image-quality evaluation: distances between the distributions of drawings and of real faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.store.dataset import ClipDataset
from eval.images.distances import ImageDistance, compare, extract_all
from eval.images.features import ImageFeatures
from eval.images.kid import MIN_HEADLINE_IMAGES
from eval.images.pictures import PictureSets, choose_pictures
from eval.images.similarity import find_faces
from eval.model_under_test import ModelUnderTest, encode_voices

_SHOWN = 64

DRAWN = "drawings from voices"
DRAWN_FROM_FACES = "drawings from true features (F2F)"
REAL = "bound: other real faces"
PIXEL_NOISE = "floor: real faces under heavy noise"


@dataclass(frozen=True)
class ImageMeasurement:
    """All that an image-quality report shows.

    Attributes:
        varieties: Distances of the drawings from voices, by feature space and variety.
        bounds: Distances of drawings from true features, of other real faces, and of faces under noise.
        headline: Variety of the headline: the highest that was measured, since drawings should be distributed as
            real faces are.
        real: [n, S, S, 3] uint8, some of the real faces.
        drawn: [n, S, S, 3] uint8, some of the drawings from voices, by variety: the headline's, and those of variety 0.
        faces_found: Share of drawings of the headline's variety (key `drawings`) and of `real` faces in which dlib's
            HOG detector finds a face, and how many were searched (`num_drawings`, `num_real`).
        faces_found_at: The same share of drawings by variety.
        notes: Sentences that the numbers must be read with.
    """

    varieties: list[ImageDistance]
    bounds: list[ImageDistance]
    headline: float
    real: NDArray[np.uint8]
    drawn: dict[float, NDArray[np.uint8]]
    faces_found: dict[str, float]
    faces_found_at: dict[float, float]
    notes: list[str]

    @property
    def results(self) -> list[ImageDistance]:
        """Distances of the drawings of the headline's variety, one a feature space."""
        return [row for row in self.varieties if row.variety == self.headline]


@dataclass(frozen=True)
class ImageOptions:
    """Options of an image-quality evaluation.

    Attributes:
        num_images: Number of drawings; voices are used repeatedly, each time with other noise.
        varieties: Varieties of the drawings, in rising order.
        seed: Seed of noise and subsets.
        progress: Called with a short text before each part of the work.
    """

    num_images: int = MIN_HEADLINE_IMAGES
    varieties: tuple[float, ...] = (0.0,)
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
    sets = choose_pictures(dataset, options.num_images, options.seed)
    options.progress("voices")
    voices, row_of = np.unique(sets.clips, return_inverse=True)
    features = encode_voices(model, dataset, voices.tolist())[0][row_of]
    everything = np.arange(options.num_images)
    results, bounds = [], []
    for space in spaces:
        options.progress(f"{space.name}: real faces")
        real = extract_all(space, sets.photographs())
        for variety in options.varieties:
            options.progress(f"{space.name}: {options.num_images} drawings from voices, variety {variety:g}")
            drawn = extract_all(space, sets.drawings(model, features, variety, everything))
            results.append(compare(DRAWN, space, drawn, real, (sets.owners, sets.face_owners), options.seed, variety))
        options.progress(f"{space.name}: {options.num_images} drawings from true features")
        bounds += measure_bounds(model, space, sets, real)
        noisy = extract_all(space, _with_noise(sets, options.seed))
        bounds.append(compare(PIXEL_NOISE, space, noisy, real, (sets.face_owners, sets.face_owners), options.seed))
    random = np.random.default_rng([options.seed, 8])
    headline = max(options.varieties)
    shown = np.sort(random.permutation(options.num_images)[:_SHOWN])
    options.progress("search for faces in the drawings")
    found_at = {variety: faces_found(model, sets, features, variety) for variety in options.varieties}
    searched = sets.searched(len(sets.faces))
    real_found = np.concatenate([find_faces(faces) for faces in sets.read(searched)])
    notes = []
    if not all(row.comparable for row in results):
        notes.append(
            f"A Frechet distance needs {MIN_HEADLINE_IMAGES:,} pictures on either side to be a headline; "
            "with fewer it is mostly bias and compares only with the other lines of the same table. KID has no such "
            "bias."
        )
    return ImageMeasurement(
        varieties=results,
        bounds=bounds,
        headline=headline,
        real=next(sets.read(random.permutation(len(sets.faces))[:_SHOWN])),
        drawn={
            variety: next(sets.drawings(model, features, variety, shown))
            for variety in options.varieties
            if variety in (0, headline)
        },
        faces_found={
            "drawings": found_at[headline],
            "real": float(real_found.mean()),
            "num_drawings": len(sets.searched(options.num_images)),
            "num_real": len(searched),
        },
        faces_found_at=found_at,
        notes=notes,
    )


def measure_bounds(
    model: ModelUnderTest, space: ImageFeatures, sets: PictureSets, real: NDArray[np.floating]
) -> list[ImageDistance]:
    """Distances of the drawings from true features, and of one half of the people from the other.

    Args:
        model: A model with a generator.
        space: Feature space.
        sets: The pictures.
        real: [M, D] features of the real faces.
    """
    redrawn = extract_all(space, sets.redrawings(model))
    owners = sets.face_owners
    bounds = [compare(DRAWN_FROM_FACES, space, redrawn, real, (owners[sets.f2f], owners), sets.seed)]
    half, other = sets.in_half, ~sets.in_half
    if min(half.sum(), other.sum()) >= 2:
        bounds.append(compare(REAL, space, real[half], real[other], (owners[half], owners[other]), sets.seed))
    return bounds


def faces_found(model: ModelUnderTest, sets: PictureSets, features: NDArray[np.float32], variety: float) -> float:
    """Share of drawings from voices in which dlib's HOG detector finds a face, among those of `sets.searched`."""
    rows = sets.searched(len(sets.clips))
    return float(np.concatenate([find_faces(d) for d in sets.drawings(model, features, variety, rows)]).mean())


def _with_noise(sets: PictureSets, seed: int) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng([seed, 9])
    for faces in sets.photographs():
        yield np.clip(faces + random.normal(0, 64, faces.shape), 0, 255).astype(np.uint8)
