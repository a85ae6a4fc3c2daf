"""The retrieval evaluation: everything that docs/protocol.md asks for, measured on one split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.errors import DatasetError
from data.faces.protocol import FaceRecognizer
from data.personas.limit import Knowledge
from data.store.dataset import ClipDataset
from eval.attributes.measure import AttributeClassifiers, fit_classifiers, measure_attributes, sexes_for_galleries
from eval.images.reconstruction import measure_reconstruction
from eval.images.sensitivity import PairSimilarity, measure_sensitivity
from eval.images.similarity import find_faces
from eval.model_under_test import ModelUnderTest, draw_faces, sample_noise
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
from eval.retrieval.breakdowns import measure_groups, measure_lengths
from eval.retrieval.galleries import Gallery, draw_galleries
from eval.retrieval.metrics import (
    METRIC_NAMES,
    PRIMARY_METRICS,
    MetricName,
    QueryRanks,
    RetrievalResult,
    Vectors,
    rank_by_scores,
    rank_queries,
    summarize,
)
from eval.retrieval.spaces import spaces_of

_TRAIN_PEOPLE = 200


@dataclass(frozen=True)
class Options:
    """Options of a retrieval evaluation.

    Attributes:
        gallery_sizes: Sizes of the galleries of random identities.
        num_draws: Number of galleries of each random kind.
        seed: Seed of galleries, noise and samples.
        device: Device that computes the ranks.
        progress: Called with a short text before each part of the work.
    """

    gallery_sizes: tuple[int, ...] = (100, 1000)
    num_draws: int = 100
    seed: int = 0
    device: str = "cpu"
    progress: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True)
class RetrievalMeasurement:
    """Everything that a retrieval report shows: its numbers, and what its figures are made from.

    Attributes:
        results: Results of the model.
        floors: Results of systems that ignore the voice.
        bounds: Results of systems that have more information than a voice.
        groups: Results of the model by group of people; `extra` holds `group` and `value`.
        lengths: Results of the model in the joint space by seconds of speech used; `extra` holds `seconds` and
            `long_enough`.
        headline: The gallery of the headlines.
        curves: Ranks by space in the headline gallery.
        limits: Ranks of the best possible rankers in that gallery by their knowledge; empty unless people are personas.
        whole_split: The gallery of all people, for the figures of single queries.
        test: Predictions for the judged split.
        spaces: Vectors by space.
        attributes: Result of `eval.attributes.measure.measure_attributes`.
        sensitivity: Result of `eval.images.sensitivity.measure_sensitivity`; empty without drawings.
        reconstruction: Result of `eval.images.reconstruction.measure_reconstruction`; None for an encoder alone.
        faces_found: Share of drawings, and of photographs, in which a detector finds a face; None without drawings.
        notes: What was left out, and why.
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
    sensitivity: list[PairSimilarity]
    reconstruction: dict[str, Any] | None
    faces_found: dict[str, Any] | None
    notes: list[str]

    def headlines(self) -> list[RetrievalResult]:
        """The headline result of each space: the headline gallery and the metric of `PRIMARY_METRICS`."""
        gallery = (self.headline.kind, self.headline.size)
        return [
            result
            for result in self.results
            if result.metric == PRIMARY_METRICS[result.space] and (result.gallery_kind, result.gallery) == gallery
        ]


def measure_retrieval(
    model: ModelUnderTest, judge: FaceRecognizer | None, dataset: ClipDataset, train: ClipDataset, options: Options
) -> RetrievalMeasurement:
    """Evaluate a model on a split.

    Args:
        model: The model.
        judge: E, not T; without it everything about drawings is left out.
        dataset: The judged split.
        train: The training split, which means and classifiers are taken from.
        options: Options.

    Raises:
        DatasetError: If a split holds too few people who have both a voice and a face.
    """
    seed = options.seed
    notes: list[str] = []
    options.progress("predictions for the judged split")
    test = predict_split(model, judge, dataset, seed=seed)
    options.progress("predictions for training people, for the means")
    train_predictions = predict_split(model, judge, train, seed=seed, max_identities=_TRAIN_PEOPLE)
    options.progress("classifiers of sex and age, fitted to labelled training people")
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

    options.progress("ranks")
    scorer = _Scorer(options.device)
    results, floors, curves = [], [], {}
    headline = galleries[0]
    for space, vectors in spaces.items():
        for gallery in galleries:
            for metric in METRIC_NAMES:
                results += scorer.score(test.pool, gallery, vectors, "model", space, metric, judges[space])
        primary = PRIMARY_METRICS[space]
        curves[space] = rank_queries(test.pool, headline, vectors, primary, options.device)
        for gallery in galleries:
            shuffled = rank_shuffled_voices(test.pool, gallery, vectors, primary, seed=seed, device=options.device)
            floors += scorer.summarize(shuffled, gallery, SHUFFLED, space, primary, judges[space])
            # Centred, the mean prediction is chance by definition; uncentred, it shows the advantage of average faces.
            floors += scorer.score(
                test.pool, gallery, mean_prediction(vectors), MEAN_FACE, space, "cosine", judges[space]
            )
    bounds = _bounds(model, judge, test, train_predictions, dataset, scorer, options, notes)
    for gallery in galleries:
        for knows, ranks in _limits(dataset, test, gallery).items():
            bounds += scorer.summarize(ranks, gallery, LIMIT_NAMES[knows], "latent", "likelihood", "the truth")
    draws = model.voice2face is not None and judge is not None
    options.progress("comparisons of drawings")
    sensitivity = measure_sensitivity(model, judge, dataset, test, train_predictions, seed) if draws and judge else []
    return RetrievalMeasurement(
        results=results,
        floors=floors,
        bounds=bounds,
        groups=measure_groups(dataset, test, headline, curves, judges),
        lengths=measure_lengths(model, dataset, test, train_predictions, headline, judges["joint"], options.device),
        headline=headline,
        curves=curves,
        limits=_limits(dataset, test, headline),
        whole_split=next(g for g in galleries if g.kind == "whole_split"),
        test=test,
        spaces=spaces,
        attributes=measure_attributes(dataset, test, train_predictions, classifiers),
        sensitivity=sensitivity,
        reconstruction=None if model.voice2face is None else measure_reconstruction(model, dataset, test, seed),
        faces_found=_faces_found(model, dataset, test, seed) if draws else None,
        notes=notes,
    )


@dataclass(frozen=True)
class _Scorer:
    """Results as lists of one, or of none where a gallery has no query."""

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
        ranks = rank_queries(pool, gallery, vectors, metric, self.device)
        return self.summarize(ranks, gallery, system, space, metric, judge, extra)

    def summarize(
        self,
        ranks: QueryRanks,
        gallery: Gallery,
        system: str,
        space: str,
        metric: str,
        judge: str,
        extra: dict[str, Any] | None = None,
    ) -> list[RetrievalResult]:
        result = summarize(ranks, gallery, system=system, space=space, metric=metric, judge=judge, extra=extra)
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
            notes.append("No bound by another real image: nobody in this split has two faces.")
            break
        for gallery in _redraw(pair[0], options):
            bounds += scorer.score(pair[0], gallery, pair[1], SAME_PERSON, "image-to-image", "centred_cosine", name)
    if judge is not None and model.voice2face is not None:
        options.progress("drawings from true features")
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
    """Ranks of the best possible rankers; empty where true traits are not known."""
    scores = {knows: limit_scores(dataset, knows) for knows in LIMIT_NAMES}
    return {knows: rank_by_scores(test.pool, gallery, known) for knows, known in scores.items() if known is not None}


def _redraw(pool: Pool, options: Options) -> list[Gallery]:
    return draw_galleries(pool, sizes=options.gallery_sizes, num_draws=options.num_draws, seed=options.seed)


def _faces_found(model: ModelUnderTest, dataset: ClipDataset, test: Predictions, seed: int) -> dict[str, Any]:
    """Detection in at most 200 drawings, one a voice, and in at most 200 photographs of the same people."""
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
