"""The image-quality evaluation: distances between the distributions of drawings and of real faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.store.dataset import ClipDataset
from eval.attributes.groups import SmallGroup, group_columns, split_groups
from eval.images.distances import ImageDistance, compare, extract_all, extract_each
from eval.images.face_score import MIN_CLASSES, FaceScore, OnnxClassifier, compare_scores, score_in_judge_space
from eval.images.features import ImageFeatures, JudgeFeatures
from eval.images.kid import MIN_HEADLINE_IMAGES
from eval.images.pictures import PictureSets, choose_pictures
from eval.images.similarity import find_faces
from eval.model_under_test import ModelUnderTest, encode_voices

_SHOWN = 64

DRAWN = "drawings from voices"
DRAWN_FROM_FACES = "drawings from true features (F2F)"
REAL = "bound: other real faces"
REAL_FACES = "real faces"
PIXEL_NOISE = "floor: real faces under heavy noise"


@dataclass(frozen=True)
class GroupDistance:
    """Distance of the drawings of a group of people from the real faces of the same people.

    Attributes:
        group: What the group is made by, such as `sex`.
        value: Which one it is, such as `female`.
        people: Number of people who are drawn.
        distance: The distance, at the headline's variety.
    """

    group: str
    value: str
    people: int
    distance: ImageDistance

    def as_json(self) -> dict[str, Any]:
        """The entry of `groups` in report.json."""
        return {"group": self.group, "value": self.value, "people": self.people, **self.distance.as_json()}


@dataclass(frozen=True)
class ImageMeasurement:
    """All that an image-quality report shows.

    Attributes:
        varieties: Distances of the drawings from voices, by feature space and variety.
        bounds: Distances of drawings from true features, of other real faces, and of faces under noise.
        groups: Distances by group of people, in the first judge's feature space.
        small_groups: Groups of too few people for a distance.
        face_scores: Face scores of the drawings and of real faces, at the headline's variety.
        headline: Variety of the headline: the highest that was measured, since drawings should be distributed as
            real faces are.
        real: [n, S, S, 3] uint8, some of the real faces.
        drawn: [n, S, S, 3] uint8, some of the drawings from voices, by variety: the headline's, and those of variety 0.
        faces_found: Share of drawings of the headline's variety (key `drawings`) and of `real` faces in which dlib's
            HOG detector finds a face, and how many were searched (`num_drawings`, `num_real`).
        faces_found_at: The same share of drawings by variety.
        notes: Sentences that the numbers must be read with.
        missing: Sentences on what was not measured, and what it needs.
    """

    varieties: list[ImageDistance]
    bounds: list[ImageDistance]
    groups: list[GroupDistance]
    small_groups: list[SmallGroup]
    face_scores: list[FaceScore]
    headline: float
    real: NDArray[np.uint8]
    drawn: dict[float, NDArray[np.uint8]]
    faces_found: dict[str, float]
    faces_found_at: dict[float, float]
    notes: list[str]
    missing: list[str]

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
        classifier: A network over whose classes the face score is measured too.
        seed: Seed of noise and subsets.
        progress: Called with a short text before each part of the work.
    """

    num_images: int = MIN_HEADLINE_IMAGES
    varieties: tuple[float, ...] = (0.0,)
    classifier: OnnxClassifier | None = None
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
    random = np.random.default_rng([options.seed, 8])
    headline = max(options.varieties)
    shown = np.sort(random.permutation(options.num_images)[:_SHOWN])
    searched = sets.searched(options.num_images)
    kept = np.union1d(shown, searched)
    classifiers = [] if options.classifier is None else [options.classifier]
    options.progress(f"{len(sets.faces)} real faces")
    real, _ = extract_each([*spaces, *classifiers], sets.photographs(), np.zeros(0, np.int64))
    results: list[list[ImageDistance]] = [[] for _ in spaces]
    at_headline, pictures, found_at = [], {}, {}
    for variety in options.varieties:
        options.progress(f"{options.num_images} drawings from voices, variety {variety:g}")
        # Only drawings of the headline are classified.
        readers = [*spaces, *(classifiers if variety == headline else [])]
        drawn, some = extract_each(readers, sets.drawings(model, features, variety, everything), kept)
        for i, space in enumerate(spaces):
            owners = (sets.owners, sets.face_owners)
            results[i].append(compare(DRAWN, space, drawn[i], real[i], owners, options.seed, variety))
        found_at[variety] = float(find_faces(some[np.isin(kept, searched)]).mean())
        if variety in (0, headline):
            pictures[variety] = some[np.isin(kept, shown)]
        if variety == headline:
            at_headline = drawn
    bounds = []
    for i, space in enumerate(spaces):
        options.progress(f"{space.name}: {options.num_images} drawings from true features")
        bounds += measure_bounds(model, space, sets, real[i])
        noisy = extract_all(space, _with_noise(sets, options.seed))
        bounds.append(compare(PIXEL_NOISE, space, noisy, real[i], (sets.face_owners,) * 2, options.seed))
    missing = []
    groups: list[GroupDistance] = []
    small_groups: list[SmallGroup] = []
    scores: list[FaceScore] = []
    judge = next((i for i, space in enumerate(spaces) if isinstance(space, JudgeFeatures)), None)
    if judge is not None:
        groups, small_groups = _measure_groups(spaces[judge], sets, at_headline[judge], real[judge], headline)
        scores = score_in_judge_space(
            spaces[judge].name,
            (DRAWN, at_headline[judge]),
            (REAL_FACES, real[judge]),
            sets.face_owners,
            options.seed,
        )
        if not scores:
            missing.append(
                f"No face score by {spaces[judge].name}: it needs {MIN_CLASSES} people with two photographs."
            )
    if options.classifier is None:
        missing.append("No face score by a classifier, such as the VGGFace score: none was given (--classifier).")
    else:
        posteriors = {DRAWN: at_headline[-1], REAL_FACES: real[-1]}
        scores += compare_scores(posteriors, options.classifier.name, None, options.seed)
    options.progress("search for faces in real pictures")
    searched_faces = sets.searched(len(sets.faces))
    real_found = np.concatenate([find_faces(faces) for faces in sets.read(searched_faces)])
    notes = []
    if not all(row.comparable for rows in results for row in rows):
        notes.append(
            f"A Frechet distance needs {MIN_HEADLINE_IMAGES:,} pictures on either side to be a headline; "
            "with fewer it is mostly bias and compares only with the other lines of the same table. KID has no such "
            "bias."
        )
    return ImageMeasurement(
        varieties=[row for rows in results for row in rows],
        bounds=bounds,
        groups=groups,
        small_groups=small_groups,
        face_scores=scores,
        headline=headline,
        real=next(sets.read(random.permutation(len(sets.faces))[:_SHOWN])),
        drawn=pictures,
        faces_found={
            "drawings": found_at[headline],
            "real": float(real_found.mean()),
            "num_drawings": len(searched),
            "num_real": len(searched_faces),
        },
        faces_found_at=found_at,
        notes=notes,
        missing=missing,
    )


def _measure_groups(
    space: ImageFeatures,
    sets: PictureSets,
    drawn: NDArray[np.floating],
    real: NDArray[np.floating],
    variety: float,
) -> tuple[list[GroupDistance], list[SmallGroup]]:
    """Distances of the drawings of each group of people from the real faces of the same people."""
    columns = group_columns(sets.dataset)
    large, small = split_groups(columns, np.intersect1d(sets.owners, sets.face_owners))
    groups = []
    for column, value in large:
        ours = columns[column][sets.owners] == value
        theirs = columns[column][sets.face_owners] == value
        owners = (sets.owners[ours], sets.face_owners[theirs])
        distance = compare(DRAWN, space, drawn[ours], real[theirs], owners, sets.seed, variety)
        groups.append(GroupDistance(column, value, len(np.unique(sets.owners[ours])), distance))
    return groups, small


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
    owners, bounds = sets.face_owners, []
    if model.draws_face_features:
        redrawn = extract_all(space, sets.redrawings(model))
        bounds.append(compare(DRAWN_FROM_FACES, space, redrawn, real, (owners[sets.f2f], owners), sets.seed))
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
