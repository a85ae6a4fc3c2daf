"""What another judge than the headline's says of the same drawings, from fewer pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.faces.protocol import FaceRecognizer
from data.store.dataset import ClipDataset
from eval.model_under_test import ModelUnderTest
from eval.predictions import Pool, Predictions, clip_noise_keys, extract_drawing_features, extract_face_features
from eval.retrieval.baselines import TRUE_FEATURE
from eval.retrieval.bounds import other_photograph, true_feature
from eval.retrieval.galleries import draw_galleries
from eval.retrieval.metrics import PRIMARY_METRICS, RetrievalResult
from eval.retrieval.scorer import Scorer
from eval.retrieval.spaces import spaces_of
from eval.retrieval.variety.measure import VarietyMeter, VarietyPoint, measure_varieties

MAX_PEOPLE = 100
"""Number of people of whom a voice is drawn several times for another judge: some judges are slow."""

_FACES_A_PERSON = 2


@dataclass(frozen=True)
class OtherJudge:
    """Numbers of the image space by another judge.

    Attributes:
        name: Name of the judge.
        results: Results of the model: one drawing of one voice of each person, variety 0.
        bounds: Results of another photograph of the person, and of drawings of true features.
        points: What is measured at each variety.
    """

    name: str
    results: list[RetrievalResult]
    bounds: list[RetrievalResult]
    points: list[VarietyPoint]


def measure_other_judge(
    model: ModelUnderTest,
    judge: FaceRecognizer,
    dataset: ClipDataset,
    train_dataset: ClipDataset,
    test: Predictions,
    train: Predictions,
    varieties: Sequence[float],
    scorer: Scorer,
    sizes: Sequence[int],
    num_draws: int,
    seed: int,
    progress: Callable[[str], None],
) -> OtherJudge:
    """Judge the drawings anew: one voice and two photographs of each person.

    Args:
        model: A model with a generator.
        judge: The other judge, not T.
        dataset: The judged split.
        train_dataset: The training split.
        test: Predictions for the judged split.
        train: Predictions for training people.
        varieties: The varieties in rising order.
        scorer: Scorer.
        sizes: Sizes of galleries.
        num_draws: Number of galleries of each random kind.
        seed: Seed of galleries, samples and noise.
        progress: Called with a short text before each part of the work.
    """
    name = judge.info.name
    progress(f"{name}: photographs, drawings of variety 0")
    ours = _judged(model, judge, dataset, thin_out(test), seed)
    theirs = _judged(model, judge, train_dataset, thin_out(train), seed)
    assert ours.judge_face_features is not None and theirs.judge_face_features is not None
    vectors, metric = spaces_of(ours, theirs)["image"], PRIMARY_METRICS["image"]
    galleries = draw_galleries(ours.pool, sizes=sizes, num_draws=num_draws, seed=seed)
    results: list[RetrievalResult] = []
    for gallery in galleries:
        results += scorer.score(ours.pool, gallery, vectors, "model", "image", metric, name, {"variety": 0.0})
    progress(f"{name}: drawings from true features")
    faces = (ours.judge_face_features, theirs.judge_face_features)
    bounds = other_photograph(ours.pool, name, faces, scorer, sizes, num_draws, seed)
    bounds += true_feature(model, judge, ours, theirs, faces, TRUE_FEATURE, scorer, sizes, num_draws, seed)
    meter = VarietyMeter(
        model=model,
        judge=judge,
        dataset=dataset,
        test=ours,
        train=theirs,
        train_dataset=train_dataset,
        gallery=galleries[0],
        seed=seed,
        sex=None,
        sets=None,
        max_people=MAX_PEOPLE,
        device=scorer.device,
    )
    return OtherJudge(name, results, bounds, measure_varieties(meter, varieties, progress).points)


def thin_out(predictions: Predictions) -> Predictions:
    """The first voice and the first two faces of each person, without a judge's features."""
    pool = predictions.pool
    voices, faces = _first(pool.query_identities, 1), _first(pool.face_identities, _FACES_A_PERSON)
    return replace(
        predictions,
        pool=Pool.of_voices(pool.query_identities[voices], pool.face_identities[faces]),
        clips=predictions.clips[voices],
        faces=predictions.faces[faces],
        voice_features=predictions.voice_features[voices],
        voice_embeddings=predictions.voice_embeddings[voices],
        face_features=predictions.face_features[faces],
        face_embeddings=predictions.face_embeddings[faces],
        judge_face_features=None,
        judge_drawing_features=None,
    )


def _first(identities: NDArray[np.int64], num: int) -> NDArray[np.int64]:
    """Rows of the first `num` entries of each identity."""
    rows = [np.flatnonzero(identities == identity)[:num] for identity in np.unique(identities)]
    return np.sort(np.concatenate(rows))


def _judged(
    model: ModelUnderTest, judge: FaceRecognizer, dataset: ClipDataset, predictions: Predictions, seed: int
) -> Predictions:
    keys = clip_noise_keys(dataset, predictions.clips, seed)
    return replace(
        predictions,
        judge_face_features=extract_face_features(judge, dataset, predictions.faces),
        judge_drawing_features=extract_drawing_features(model, judge, predictions.voice_features, keys, 0.0),
    )
