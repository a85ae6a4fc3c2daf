"""What a number has to be compared with: systems that hear nothing, and bounds that no voice can pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.faces.protocol import FaceRecognizer
from eval.model_under_test import ModelUnderTest
from eval.predictions import Pool, Predictions, extract_drawing_features
from eval.retrieval.galleries import Gallery, GalleryDraw
from eval.retrieval.metrics import MetricName, QueryRanks, Vectors, answer
from eval.retrieval.ranks import RankCounts

SHUFFLED = "floor: shuffled voices"
MEAN_FACE = "floor: the mean answer to everybody"
SAME_PERSON = "bound: another real image of the person"
TRUE_FEATURE = "bound: drawn from the true feature (F2F)"

_NUM_SHUFFLES = 10


def rank_shuffled_voices(
    pool: Pool, gallery: Gallery, vectors: Vectors, metric: MetricName, *, seed: int, device: str = "cpu"
) -> QueryRanks:
    """The answers of ten shuffles together: a single one is far from its mean where answers come in clusters."""
    shuffles = [
        answer(pool, gallery, shuffled_voices(pool, vectors, [seed, i]), metric, device) for i in range(_NUM_SHUFFLES)
    ]
    return QueryRanks(
        RankCounts(
            np.concatenate([answers.counts.better for answers in shuffles]),
            np.concatenate([answers.counts.tied for answers in shuffles]),
        ),
        np.concatenate([answers.queries for answers in shuffles]),
        np.concatenate([answers.owners for answers in shuffles]),
    )


def shuffled_voices(pool: Pool, vectors: Vectors, seed: Sequence[int] = (0,)) -> Vectors:
    """The model's own answers, each given to somebody else: what its answers score without their meaning."""
    order = np.random.default_rng([*seed, 3]).permutation(np.unique(pool.query_identities))
    successor = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    rows_of = {owner: np.flatnonzero(pool.query_identities == owner) for owner in order.tolist()}
    seen: dict[int, int] = {}
    rows = []
    for owner in pool.query_identities.tolist():
        other = rows_of[successor[owner]]
        seen[owner] = seen.get(owner, -1) + 1
        rows.append(other[seen[owner] % len(other)])
    return Vectors(vectors.queries[rows], vectors.faces, vectors.query_centre, vectors.face_centre)


def mean_prediction(vectors: Vectors) -> Vectors:
    """The mean over the training split as the answer to everybody.

    Once centred it is a zero vector, which ties with everything: exactly chance. Uncentred it prefers
    average faces, whoever speaks.
    """
    everybody = np.repeat(vectors.query_centre[None], len(vectors.queries), axis=0)
    return Vectors(everybody, vectors.faces, vectors.query_centre, vectors.face_centre)


def real_to_real(pool: Pool, faces: NDArray[np.floating], centre: NDArray[np.floating]) -> tuple[Pool, Vectors] | None:
    """Each real face as the query for another real face of the same person; None if nobody has two.

    Args:
        pool: The voices' pool, for its faces.
        faces: [M, F] features.
        centre: [F] their mean over the training split.
    """
    _, counts = np.unique(pool.face_identities, return_counts=True)
    if not (counts > 1).any():
        return None
    return (
        Pool(pool.face_identities, pool.face_identities, np.arange(len(pool.face_identities))),
        Vectors(faces, faces, centre, centre),
    )


def same_pictures(gallery: Gallery) -> Gallery:
    """The gallery whose right answers are the very faces that are the queries, for reconstructions."""
    draws = (GalleryDraw(draw.queries, draw.queries, np.arange(len(draw.queries))) for draw in gallery.draws)
    return replace(gallery, draws=tuple(draws))


def drawn_from_true_features(
    model: ModelUnderTest, judge: FaceRecognizer, test: Predictions, train: Predictions, seed: int, max_train: int = 200
) -> tuple[Pool, Vectors]:
    """F2F: the painter fed with T's features of real faces, judged by E: what drawing loses, voices aside."""
    assert test.judge_face_features is not None and train.judge_face_features is not None
    drawn, drawn_train = (
        extract_drawing_features(
            model, judge, side.face_features[:limit], [f"{seed}/f2f/{c}/{j}" for c, j in side.faces[:limit]]
        )
        for side, limit in ((test, None), (train, max_train))
    )
    pool = Pool.of_voices(test.pool.face_identities, test.pool.face_identities)
    return pool, Vectors(drawn, test.judge_face_features, drawn_train.mean(0), train.judge_face_features.mean(0))
