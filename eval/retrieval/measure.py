"""The retrieval evaluation: gathers what the protocol asks for, in one pass over a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError
from data.faces.protocol import FaceRecognizer
from data.media.waveform import SAMPLE_RATE
from data.personas.limit import Knowledge
from data.store.dataset import ClipDataset
from eval.attributes.measure import AttributeClassifiers, fit_classifiers, measure_attributes, sexes_for_galleries
from eval.images.reconstruction import measure_reconstruction
from eval.images.sensitivity import PairSimilarity, measure_sensitivity
from eval.images.similarity import find_faces
from eval.model_under_test import ModelUnderTest, draw_faces, encode_voices, sample_noise
from eval.personas.limits import LIMIT_NAMES, limit_scores
from eval.predictions import Pool, Predictions, clip_noise_keys, predict_split
from eval.retrieval.baselines import (
    MEAN_FACE,
    SAME_PERSON,
    SHUFFLED,
    TRUE_FEATURE,
    drawn_from_true_features,
    mean_prediction,
    rank_shuffled_voices,
    real_to_real,
    same_pictures,
)
from eval.retrieval.galleries import Gallery, draw_galleries
from eval.retrieval.metrics import (
    METRIC_NAMES,
    MetricName,
    QueryRanks,
    RetrievalResult,
    Vectors,
    answer,
    rank_by_scores,
    summarise,
)
from eval.retrieval.spaces import spaces_of

PRIMARY: dict[str, MetricName] = {"joint": "cosine", "feature": "centred_cosine", "image": "centred_cosine"}
"""The metric that stands for each space in headlines; fixed beforehand, so that no test split chooses it."""

LENGTHS = (1.0, 3.0, 6.0)
"""Seconds of speech heard, for the length curve."""

MIN_GROUP = 10
"""People in a group that gets a row of its own."""

_TRAIN_PEOPLE = 200


@dataclass(frozen=True)
class Options:
    """Of a retrieval evaluation.

    Attributes:
        gallery_sizes: Of random identities.
        num_draws: Galleries of each random kind.
        seed: Decides galleries, noise and samples.
        device: Where ranks are computed.
        progress: Told what is being done.
    """

    gallery_sizes: tuple[int, ...] = (100, 1000)
    num_draws: int = 100
    seed: int = 0
    device: str = "cpu"
    progress: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True)
class RetrievalMeasurement:
    """All that a retrieval report shows; the pictures need more than the numbers.

    Attributes:
        results: Of the model.
        floors: Of systems that don't listen.
        bounds: Of systems that know more than a voice tells.
        groups: Of the model, by group of people; `extra` holds `group` and `value`.
        lengths: Of the model in the joint space by seconds heard; `extra` holds `seconds` and `long_enough`.
        headline: The gallery that headlines are about.
        curves: QueryRanks by space, in the headline gallery.
        limits: QueryRanks of the best possible rankers there, by what they know; empty unless people are personas.
        whole_split: The gallery of all people, for the pictures of single queries.
        test: Predictions of the judged split.
        spaces: Vectors by space.
        attributes: See `eval.attributes.measure.measure_attributes`.
        listening: See `eval.images.sensitivity`.
        reconstruction: See `eval.images.reconstruction`.
        faces_found: Share of drawings, and of photographs, in which a detector finds a face.
        notes: What was left out and why.
    """

    results: list[RetrievalResult]
    floors: list[RetrievalResult]
    bounds: list[RetrievalResult]
    groups: list[RetrievalResult]
    lengths: list[RetrievalResult]
    headline: Gallery
    curves: dict[str, QueryRanks]
    limits: dict[Knowledge, QueryRanks]
    whole_split: Gallery
    test: Predictions
    spaces: dict[str, Vectors]
    attributes: dict[str, Any]
    listening: list[PairSimilarity]
    reconstruction: dict[str, Any] | None
    faces_found: dict[str, Any] | None
    notes: list[str]

    def headlines(self) -> list[RetrievalResult]:
        """The line of each space that stands for it: the headline gallery, the metric fixed beforehand."""
        gallery = (self.headline.kind, self.headline.size)
        return [
            result
            for result in self.results
            if result.metric == PRIMARY[result.space] and (result.gallery_kind, result.gallery) == gallery
        ]


def measure_retrieval(
    model: ModelUnderTest, judge: FaceRecognizer | None, dataset: ClipDataset, train: ClipDataset, options: Options
) -> RetrievalMeasurement:
    """Evaluate a model on a split.

    Args:
        model: The model.
        judge: E, not T; None leaves out everything that looks at drawings.
        dataset: The judged split.
        train: The training split: centres and classifiers come from it.
        options: How.

    Raises:
        DatasetError: If a split holds too few people who have both a voice and a face.
    """
    seed = options.seed
    notes: list[str] = []
    options.progress("hearing and drawing the judged split")
    test = predict_split(model, judge, dataset, seed=seed)
    options.progress("hearing and drawing training people, for the centres")
    train_predictions = predict_split(model, judge, train, seed=seed, max_identities=_TRAIN_PEOPLE)
    options.progress("reading sex and age off the labelled training people")
    classifiers = fit_classifiers(train, judge, seed)
    galleries, sex_note = _galleries(dataset, test, classifiers, options)
    notes += sex_note
    spaces = spaces_of(test, train_predictions)
    judges = {"joint": model.face_encoder.name, "feature": model.face_encoder.name}
    if judge is not None:
        judges["image"] = judge.info.name
    if "image" not in spaces:
        notes.append(
            "No image space: the model is an encoder alone."
            if model.voice2face is None
            else "No image space: no judge."
        )

    options.progress("ranking")
    scorer = _Scorer(options.device)
    results, floors, curves = [], [], {}
    headline = galleries[0]
    for space, vectors in spaces.items():
        for gallery in galleries:
            for metric in METRIC_NAMES:
                results += scorer.score(test.pool, gallery, vectors, "model", space, metric, judges[space])
        primary = PRIMARY[space]
        curves[space] = answer(test.pool, headline, vectors, primary, options.device)
        for gallery in galleries:
            shuffled = rank_shuffled_voices(test.pool, gallery, vectors, primary, seed=seed, device=options.device)
            floors += scorer.summarise(shuffled, gallery, SHUFFLED, space, primary, judges[space])
            # Centred, the mean answer is chance by construction; uncentred it shows what average faces win.
            floors += scorer.score(
                test.pool, gallery, mean_prediction(vectors), MEAN_FACE, space, "cosine", judges[space]
            )
    bounds = _bounds(model, judge, test, train_predictions, dataset, scorer, options, notes)
    for gallery in galleries:
        for knows, answers in _limits(dataset, test, gallery).items():
            bounds += scorer.summarise(answers, gallery, LIMIT_NAMES[knows], "latent", "likelihood", "the truth")
    painted = model.voice2face is not None and judge is not None
    options.progress("comparing drawings")
    listening = measure_sensitivity(model, judge, dataset, test, train_predictions, seed) if painted and judge else []
    return RetrievalMeasurement(
        results=results,
        floors=floors,
        bounds=bounds,
        groups=_groups(dataset, test, headline, curves, judges),
        lengths=_lengths(model, dataset, test, train_predictions, headline, scorer, judges["joint"]),
        headline=headline,
        curves=curves,
        limits=_limits(dataset, test, headline),
        whole_split=next(g for g in galleries if g.kind == "whole_split"),
        test=test,
        spaces=spaces,
        attributes=measure_attributes(dataset, test, train_predictions, classifiers),
        listening=listening,
        reconstruction=None if model.voice2face is None else measure_reconstruction(model, dataset, test, seed),
        faces_found=_faces_found(model, dataset, test, seed) if painted else None,
        notes=notes,
    )


@dataclass(frozen=True)
class _Scorer:
    device: str

    def score(
        self,
        pool: Pool,
        gallery: Gallery,
        vectors: Vectors,
        system: str,
        space: str,
        metric: MetricName,
        judge: str,
        extra: dict[str, Any] | None = None,
    ) -> list[RetrievalResult]:
        answers = answer(pool, gallery, vectors, metric, self.device)
        return self.summarise(answers, gallery, system, space, metric, judge, extra)

    def summarise(
        self,
        answers: QueryRanks,
        gallery: Gallery,
        system: str,
        space: str,
        metric: str,
        judge: str,
        extra: dict[str, Any] | None = None,
    ) -> list[RetrievalResult]:
        result = summarise(answers, gallery, system=system, space=space, metric=metric, judge=judge, extra=extra)
        return [] if result is None else [result]


def _galleries(
    dataset: ClipDataset, test: Predictions, classifiers: AttributeClassifiers, options: Options
) -> tuple[list[Gallery], list[str]]:
    people = test.pool.paired()
    sexes, note = sexes_for_galleries(dataset, test, classifiers)
    galleries = draw_galleries(
        test.pool, sizes=options.gallery_sizes, num_draws=options.num_draws, seed=options.seed, sexes=sexes
    )
    if not galleries:
        raise DatasetError(f"{dataset.root}: too few people for a gallery")
    for size in options.gallery_sizes:
        if size > len(people):
            note.append(f"No gallery of {size}: only {len(people)} people of this split have both a voice and a face.")
    return galleries, note


def _bounds(
    model: ModelUnderTest,
    judge: FaceRecognizer | None,
    test: Predictions,
    train: Predictions,
    dataset: ClipDataset,
    scorer: _Scorer,
    options: Options,
    notes: list[str],
) -> list[RetrievalResult]:
    networks = [(model.face_encoder.name, test.face_features, train.face_features)]
    if judge is not None and test.judge_face_features is not None and train.judge_face_features is not None:
        networks.append((judge.info.name, test.judge_face_features, train.judge_face_features))
    bounds: list[RetrievalResult] = []
    for name, faces, train_faces in networks:
        pair = real_to_real(test.pool, faces.astype(np.float64), train_faces.mean(0, dtype=np.float64))
        if pair is None:
            notes.append("No bound by another real image: nobody in this split has two.")
            break
        for gallery in _redraw(pair[0], options):
            bounds += scorer.score(pair[0], gallery, pair[1], SAME_PERSON, "image-to-image", "centred_cosine", name)
    if judge is not None and model.voice2face is not None:
        options.progress("drawing from true features")
        pool, vectors = drawn_from_true_features(model, judge, test, train, options.seed)
        for gallery in _redraw(pool, options):
            bounds += scorer.score(
                pool,
                same_pictures(gallery),
                vectors,
                TRUE_FEATURE,
                "image",
                "centred_cosine",
                judge.info.name,
            )
    return bounds


def _limits(dataset: ClipDataset, test: Predictions, gallery: Gallery) -> dict[Knowledge, QueryRanks]:
    """What the best possible rankers answer; empty where the truth is not known."""
    scores = {knows: limit_scores(dataset, knows) for knows in LIMIT_NAMES}
    return {knows: rank_by_scores(test.pool, gallery, known) for knows, known in scores.items() if known is not None}


def _redraw(pool: Pool, options: Options) -> list[Gallery]:
    return draw_galleries(pool, sizes=options.gallery_sizes, num_draws=options.num_draws, seed=options.seed)


def _groups(
    dataset: ClipDataset, test: Predictions, gallery: Gallery, curves: dict[str, QueryRanks], judges: dict[str, str]
) -> list[RetrievalResult]:
    people = range(len(dataset.identities))
    attributes = [dataset.attributes(person) for person in people]
    columns: dict[str, NDArray[np.str_]] = {
        "sex": np.array([a.sex or "unknown" for a in attributes]),
        "age": np.array(["unknown" if a.age is None else age_band(a.age) for a in attributes]),
        "nationality": np.array([a.nationality or "unknown" for a in attributes]),
        "voice recordings": np.array(["several" if len(dataset.voices_of(p)) > 1 else "one" for p in people]),
    }
    rows = []
    for space, answers in curves.items():
        for column, values in columns.items():
            for value in np.unique(values[test.pool.paired()]):
                members = values[answers.owners] == value
                if len(np.unique(answers.owners[members])) < MIN_GROUP or members.all():
                    continue
                row = summarise(
                    answers,
                    gallery,
                    system="model",
                    space=space,
                    metric=PRIMARY[space],
                    judge=judges[space],
                    keep=members,
                    extra={"group": column, "value": str(value)},
                )
                rows += [] if row is None else [row]
    return rows


def age_band(age: float) -> str:
    """The decade-wide band of an age, open at both ends."""
    bands = ((20, "under 20"), (30, "20-29"), (40, "30-39"), (50, "40-49"), (60, "50-59"))
    return next((name for limit, name in bands if age < limit), "60 and over")


def _lengths(
    model: ModelUnderTest,
    dataset: ClipDataset,
    test: Predictions,
    train: Predictions,
    gallery: Gallery,
    scorer: _Scorer,
    judge: str,
) -> list[RetrievalResult]:
    """The same questions, but only the beginning of each clip is heard."""
    rows = []
    for seconds in LENGTHS:
        embeddings = test.voice_embeddings.copy()
        longer = np.flatnonzero(dataset.durations[test.clips] > seconds)
        clips = test.clips[longer].tolist()
        embeddings[longer] = encode_voices(model, dataset, clips, int(seconds * SAMPLE_RATE))[1]
        vectors = Vectors(
            embeddings, test.face_embeddings, train.voice_embeddings.mean(0), train.face_embeddings.mean(0)
        )
        long_enough = float((dataset.durations[test.clips] >= seconds).mean())
        extra = {"seconds": seconds, "long_enough": long_enough}
        rows += scorer.score(test.pool, gallery, vectors, "model", "joint", PRIMARY["joint"], judge, extra)
    return rows


def _faces_found(model: ModelUnderTest, dataset: ClipDataset, test: Predictions, seed: int) -> dict[str, Any]:
    """Over at most 200 voices, one drawing each, beside the photographs of the same people."""
    assert model.voice2face is not None
    rows = np.arange(len(test.clips))[:: -(-len(test.clips) // 200)]
    noise = sample_noise(clip_noise_keys(dataset, test.clips[rows], seed), model.voice2face.noise_size)
    drawings = draw_faces(model.voice2face, test.voice_features[rows], noise)
    faces = test.faces[:: -(-len(test.faces) // 200)]
    photographs = np.stack([dataset.face(int(clip), int(face)) for clip, face in faces])
    return {
        "detector": "dlib HOG, pictures enlarged to 256 px",
        "drawings": float(find_faces(drawings).mean()),
        "num_drawings": len(drawings),
        "photographs": float(find_faces(photographs).mean()),
        "num_photographs": len(photographs),
    }
