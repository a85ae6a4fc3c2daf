"""Retrieval, exchangeability, distances, faces found and sex at each variety."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.faces.protocol import FaceRecognizer
from data.store.dataset import ClipDataset
from eval.attributes.classifiers import LinearModel
from eval.attributes.measure import SexReference
from eval.images.distances import ImageDistance, compare, extract_all
from eval.images.features import JudgeFeatures
from eval.images.measure import DRAWN, faces_found, measure_bounds
from eval.images.pictures import PictureSets
from eval.model_under_test import ModelUnderTest, encode_voices, sample_features
from eval.predictions import Floats, Pool, Predictions, clip_noise_keys, extract_drawing_features
from eval.retrieval.galleries import Gallery
from eval.retrieval.metrics import PRIMARY_METRICS, RetrievalResult, Vectors, rank_queries, summarize
from eval.retrieval.variety.exchangeability import Exchangeability, measure_exchangeability

NUM_DRAWINGS = 8
"""Drawings of a voice whose mean feature is a query."""

MAX_PEOPLE = 500
"""Number of people at most of whom a voice is drawn `NUM_DRAWINGS` times."""

MEAN_VARIETY = 0.5
"""Variety of the headline of the mean of several drawings; fixed beforehand, not chosen on a test split."""

_CENTRE_VOICES = 400


@dataclass(frozen=True)
class VarietyPoint:
    """Everything that is measured at one variety.

    Attributes:
        variety: The variety.
        judge: Name of E.
        one: Retrieval by one drawing of each voice, in the headline gallery.
        mean: Retrieval by the mean of E's features of `NUM_DRAWINGS` drawings of one voice of each person.
        centred: Exchangeability by cosines centred on the means of the training split.
        uncentred: Exchangeability by cosines as they are.
        distance: Distances of the drawings from real faces; None for a second judge.
        faces_found: Share of drawings in which dlib's HOG detector finds a face; None for a second judge.
        sex: How often drawings have the sex of the speaker, as `eval.attributes.measure.SexReference` gives it; None
            without a classifier or a reference.
    """

    variety: float
    judge: str
    one: RetrievalResult
    mean: RetrievalResult
    centred: Exchangeability
    uncentred: Exchangeability
    distance: ImageDistance | None
    faces_found: float | None
    sex: dict[str, Any] | None

    def summary(self) -> str:
        """One line about this variety, for the terminal."""
        k = "10" if "10" in self.one.recall else max(self.one.recall, key=int)
        text = (
            f"variety {self.variety:g}: R@{k} {100 * self.one.recall[k]:.1f} % with one drawing, "
            f"{100 * self.mean.recall[k]:.1f} % with the mean of {NUM_DRAWINGS}; two drawings of a voice "
            f"{self.centred.two_drawings.mean:.3f}, drawing and photograph {self.centred.photograph.mean:.3f}"
        )
        return text if self.distance is None else f"{text}; Frechet distance {self.distance.frechet_distance:.4g}"

    def as_json(self) -> dict[str, Any]:
        """The entry of `varieties` in report.json."""
        entry: dict[str, Any] = {"task": "variety", "variety": self.variety, "judge": self.judge}
        entry |= {key: getattr(self.one, key) for key in ("space", "metric", "gallery_kind", "gallery", "chance")}
        for name, result in (("one", self.one), (f"mean_of_{NUM_DRAWINGS}", self.mean)):
            entry |= {f"recall_{name}": result.recall, f"recall_{name}_ci95": result.ci95}
            entry |= {f"queries_{name}": result.queries, f"identities_{name}": result.identities}
        entry["people"] = self.centred.num
        for suffix, cosines in (("", self.centred), ("_uncentred", self.uncentred)):
            for key in ("two_drawings", "photograph", "gap", "other_noise"):
                value = getattr(cosines, key)
                entry |= {f"{key}{suffix}": value.mean, f"{key}{suffix}_ci95": value.ci95}
        if self.distance is not None:
            distance = self.distance.as_json()
            dropped = ("task", "system", "feature_space", "variety")
            entry |= {key: value for key, value in distance.items() if key not in dropped}
        if self.faces_found is not None:
            entry["faces_found"] = self.faces_found
        if self.sex is not None:
            entry |= {f"sex_{key}": value for key, value in self.sex.items()}
        return entry


@dataclass(frozen=True)
class VarietyMeter:
    """What all varieties are measured with.

    Attributes:
        model: A model with a generator.
        judge: E.
        dataset: The judged split.
        test: Predictions for it, with E's features.
        train: Predictions for training people, for the means.
        train_dataset: The split of `train`.
        gallery: The gallery of all recalls.
        seed: Seed of samples and noise.
        sex: Classifier of sex on E's features, and what it is compared with; None with too few labels.
        sets: Pictures whose distributions are compared; None to leave distances and the search for faces out.
        max_people: Number of people at most of whom a voice is drawn several times.
        device: Device that computes the ranks.
    """

    model: ModelUnderTest
    judge: FaceRecognizer
    dataset: ClipDataset
    test: Predictions
    train: Predictions
    train_dataset: ClipDataset
    gallery: Gallery
    seed: int
    sex: tuple[LinearModel, SexReference] | None
    sets: PictureSets | None
    max_people: int = MAX_PEOPLE
    device: str = "cpu"


def first_voices(pool: Pool, max_people: int, seed: int) -> NDArray[np.int64]:
    """Row of the first voice of each person who has a face; of `max_people`, chosen by the seed, in a large split."""
    people = pool.paired()
    if len(people) > max_people:
        people = np.sort(np.random.default_rng([seed, 10]).choice(people, max_people, replace=False))
    first = {int(identity): row for row, identity in reversed(list(enumerate(pool.query_identities)))}
    return np.array([first[int(person)] for person in people], dtype=np.int64)


def with_queries(pool: Pool, gallery: Gallery, queries: NDArray[np.int64]) -> Gallery:
    """The same galleries, asked with these queries, one a person; people without one are not asked for."""
    row_of = np.full(1 + max(pool.query_identities.max(), pool.face_identities.max()), -1, dtype=np.int64)
    row_of[pool.query_identities[queries]] = queries
    draws = []
    for draw in gallery.draws:
        rows = row_of[pool.query_identities[draw.queries]]
        asked = rows >= 0
        if asked.any():
            draws.append(replace(draw, queries=rows[asked], targets=draw.targets[asked]))
    return replace(gallery, draws=tuple(draws))


def measure_variety(
    meter: VarietyMeter, voice_features: Floats, real: NDArray[np.floating] | None, variety: float
) -> VarietyPoint:
    """Measure everything at one variety; each drawing is made and embedded once, whatever it is used for.

    Args:
        meter: What to measure with.
        voice_features: [clips, D] regressed features of the clips of the split; 0 for those that are not drawn.
        real: [M, F] E's features of the real faces of `meter.sets`.
        variety: The variety.
    """
    test, train, sets = meter.test, meter.train, meter.sets
    assert test.judge_face_features is not None and train.judge_face_features is not None
    rows = first_voices(test.pool, meter.max_people, meter.seed)
    several = np.stack([np.repeat(test.clips[rows], NUM_DRAWINGS), np.tile(np.arange(NUM_DRAWINGS), len(rows))], axis=1)
    wanted = [np.stack([test.clips, np.zeros_like(test.clips)], axis=1), several]
    if sets is not None:
        wanted.append(np.stack([sets.clips, sets.numbers], axis=1))
    unique, position = np.unique(np.concatenate(wanted), axis=0, return_inverse=True)
    drawn = _embed(meter, meter.dataset, unique, voice_features[unique[:, 0]], variety)
    parts = np.split(drawn[position.reshape(-1)], np.cumsum([len(part) for part in wanted])[:-1])
    one, eight = parts[0], parts[1].reshape(len(rows), NUM_DRAWINGS, -1)
    keys = clip_noise_keys(meter.dataset, test.clips[rows], meter.seed)
    samples = sample_features(meter.model, test.voice_features[rows], keys, variety)
    other_noise = extract_drawing_features(meter.model, meter.judge, samples, [f"{key}/other" for key in keys])
    centre, face_centre = _drawing_centre(meter, variety), train.judge_face_features.mean(0, dtype=np.float64)
    of_drawn = np.isin(test.pool.face_identities, test.pool.query_identities[rows])
    owners = np.searchsorted(test.pool.query_identities[rows], test.pool.face_identities[of_drawn])
    photographs = test.judge_face_features[of_drawn]
    mean = np.zeros_like(one)
    mean[rows] = eight.mean(1)
    distance = None
    if sets is not None and real is not None:
        both_owners = (sets.owners, sets.face_owners)
        space = JudgeFeatures(meter.judge)
        distance = compare(DRAWN, space, parts[2].astype(np.float64), real, both_owners, meter.seed, variety)
    return VarietyPoint(
        variety=variety,
        judge=meter.judge.info.name,
        one=_recall(meter, meter.gallery, one, centre, face_centre, 1, variety),
        mean=_recall(
            meter, with_queries(test.pool, meter.gallery, rows), mean, centre, face_centre, NUM_DRAWINGS, variety
        ),
        centred=measure_exchangeability(eight, other_noise, photographs, owners, centre, face_centre),
        uncentred=measure_exchangeability(
            eight, other_noise, photographs, owners, np.zeros_like(centre), np.zeros_like(face_centre)
        ),
        distance=distance,
        faces_found=None if sets is None else faces_found(meter.model, sets, voice_features[sets.clips], variety),
        sex=None if meter.sex is None else meter.sex[1].agreement(meter.sex[0](one)),
    )


def measure_varieties(meter: VarietyMeter, varieties: Sequence[float], progress: Callable[[str], None]) -> VarietyCurve:
    """Measure all varieties, and the bounds of the distances.

    Args:
        meter: What to measure with.
        varieties: The varieties in rising order.
        progress: Called with a short text before each part of the work.
    """
    real, bounds = None, []
    name = meter.judge.info.name
    if meter.sets is not None:
        progress(f"{name}: distances of real faces, and of drawings from true features")
        space = JudgeFeatures(meter.judge)
        real = extract_all(space, meter.sets.photographs())
        bounds = measure_bounds(meter.model, space, meter.sets, real)
    voice_features, points = _features_by_clip(meter), []
    for variety in varieties:
        progress(f"{name}: drawings of variety {variety:g}")
        points.append(measure_variety(meter, voice_features, real, variety))
    return VarietyCurve(points, bounds)


@dataclass(frozen=True)
class VarietyCurve:
    """All varieties by one judge.

    Attributes:
        points: What is measured at each variety, in rising order.
        distance_bounds: Distances of drawings from true features and of other real faces; empty for a second judge.
    """

    points: list[VarietyPoint]
    distance_bounds: list[ImageDistance]

    @property
    def headline(self) -> VarietyPoint:
        """The point whose mean of several drawings is a headline: `MEAN_VARIETY`, else the lowest."""
        return next((point for point in self.points if point.variety == MEAN_VARIETY), self.points[0])


def _features_by_clip(meter: VarietyMeter) -> Floats:
    """[clips, D] regressed features; the voices of people without a face, which are drawn too, are not in `test`."""
    features = np.zeros((len(meter.dataset), meter.test.voice_features.shape[1]), np.float32)
    features[meter.test.clips] = meter.test.voice_features
    if meter.sets is not None:
        missing = np.setdiff1d(meter.sets.clips, meter.test.clips)
        features[missing] = encode_voices(meter.model, meter.dataset, missing.tolist())[0]
    return features


def _embed(
    meter: VarietyMeter, dataset: ClipDataset, drawings: NDArray[np.int64], features: Floats, variety: float
) -> Floats:
    """E's features [N, F] of drawings, given as [N, 2] clip and number of the drawing."""
    keys = clip_noise_keys(dataset, drawings[:, 0], meter.seed, drawings[:, 1])
    return extract_drawing_features(meter.model, meter.judge, features, keys, variety)


def _drawing_centre(meter: VarietyMeter, variety: float) -> NDArray[np.float64]:
    """[F] mean of E's features of one drawing of each training voice, in a large split of some of them."""
    train = meter.train
    if variety == 0 and train.judge_drawing_features is not None:
        return train.judge_drawing_features.mean(0, dtype=np.float64)
    rows = np.arange(len(train.clips))[:: -(-len(train.clips) // _CENTRE_VOICES)]
    drawings = np.stack([train.clips[rows], np.zeros_like(rows)], axis=1)
    drawn = _embed(meter, meter.train_dataset, drawings, train.voice_features[rows], variety)
    return drawn.mean(0, dtype=np.float64)


def _recall(
    meter: VarietyMeter,
    gallery: Gallery,
    queries: Floats,
    centre: NDArray[np.float64],
    face_centre: NDArray[np.float64],
    num_drawings: int,
    variety: float,
) -> RetrievalResult:
    assert meter.test.judge_face_features is not None
    vectors = Vectors(
        queries.astype(np.float64), meter.test.judge_face_features.astype(np.float64), centre, face_centre
    )
    metric = PRIMARY_METRICS["image"]
    ranks = rank_queries(meter.test.pool, gallery, vectors, metric, meter.device)
    system = f"model, {'one drawing' if num_drawings == 1 else f'mean of {num_drawings} drawings'}"
    result = summarize(
        ranks,
        gallery,
        system=f"{system}, variety {variety:g}",
        space="image",
        metric=metric,
        judge=meter.judge.info.name,
        extra={"variety": variety, "drawings": num_drawings},
    )
    assert result is not None  # everybody in a gallery has a voice
    return result
