"""Floors and bounds: the scores of systems that hear nothing, and scores that no model of voices can pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.faces.protocol import FaceRecognizer
from eval.model_under_test import ModelUnderTest
from eval.predictions import Floats, Pool, Predictions, extract_drawing_features
from eval.retrieval.galleries import Gallery, GalleryDraw
from eval.retrieval.metrics import MetricName, QueryRanks, Vectors, rank_queries
from eval.retrieval.ranks import RankCounts

SHUFFLED = "floor: shuffled voices"
MEAN_FACE = "floor: the mean answer to everybody"
SAME_PERSON = "bound: another real image of the person"
TRUE_FEATURE = "bound: drawn from the true feature (F2F)"
TRUE_FEATURE_BY_T = "bound: drawn from the true feature (F2F), seen by T"

_NUM_SHUFFLES = 10


def rank_shuffled_voices(
    pool: Pool, gallery: Gallery, vectors: Vectors, metric: MetricName, *, seed: int, device: str = "cpu"
) -> QueryRanks:
    """Ranks of ten shuffles together, since the score of a single one varies where predictions form clusters."""
    shuffles = [
        rank_queries(pool, gallery, shuffle_voices(pool, vectors, [seed, i]), metric, device)
        for i in range(_NUM_SHUFFLES)
    ]
    return QueryRanks(
        RankCounts(
            np.concatenate([ranks.counts.better for ranks in shuffles]),
            np.concatenate([ranks.counts.tied for ranks in shuffles]),
        ),
        np.concatenate([ranks.queries for ranks in shuffles]),
        np.concatenate([ranks.identities for ranks in shuffles]),
    )


def shuffle_voices(pool: Pool, vectors: Vectors, seed: Sequence[int] = (0,)) -> Vectors:
    """The model's predictions, each assigned to a voice of another person, so that they say nothing of the speaker."""
    order = np.random.default_rng([*seed, 3]).permutation(np.unique(pool.query_identities))
    successor = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    rows_of = {identity: np.flatnonzero(pool.query_identities == identity) for identity in order.tolist()}
    seen: dict[int, int] = {}
    rows = []
    for identity in pool.query_identities.tolist():
        other = rows_of[successor[identity]]
        seen[identity] = seen.get(identity, -1) + 1
        rows.append(other[seen[identity] % len(other)])
    return Vectors(vectors.queries[rows], vectors.faces, vectors.query_centre, vectors.face_centre)


def mean_prediction(vectors: Vectors) -> Vectors:
    """The mean prediction over the training split for every voice.

    Centred, it is a zero vector, whose ties give exactly chance. Uncentred, it prefers average faces.
    """
    everybody = np.repeat(vectors.query_centre[None], len(vectors.queries), axis=0)
    return Vectors(everybody, vectors.faces, vectors.query_centre, vectors.face_centre)


def real_to_real(pool: Pool, faces: NDArray[np.floating], centre: NDArray[np.floating]) -> tuple[Pool, Vectors] | None:
    """Each real face as a query for another real face of the same person.

    Args:
        pool: The pool of the voices, whose faces are used.
        faces: [M, F] features of the faces.
        centre: [F] mean of faces over the training split.

    Returns:
        A pool whose queries are faces, and its vectors; None if nobody has two faces.
    """
    _, counts = np.unique(pool.face_identities, return_counts=True)
    if not (counts > 1).any():
        return None
    return (
        Pool(pool.face_identities, pool.face_identities, np.arange(len(pool.face_identities))),
        Vectors(faces, faces, centre, centre),
    )


def same_pictures(gallery: Gallery) -> Gallery:
    """The gallery of the query faces themselves, for reconstructions: each query's right answer is its own face."""
    draws = (GalleryDraw(draw.queries, draw.queries, np.arange(len(draw.queries))) for draw in gallery.draws)
    return replace(gallery, draws=tuple(draws))


def drawn_from_true_features(
    model: ModelUnderTest,
    network: FaceRecognizer,
    test: Predictions,
    train: Predictions,
    faces: tuple[Floats, Floats],
    seed: int,
    max_train: int = 200,
) -> tuple[Pool, Vectors]:
    """F2F: drawings of T's features of real faces, compared with these faces; the loss of the generator alone.

    Args:
        model: A model with a generator.
        network: The face network that sees the drawings: E, or T itself.
        test: Predictions for the judged split.
        train: Predictions for training people.
        faces: The network's features of the faces of `test` and of `train`.
        seed: Seed of the drawings' noise.
        max_train: Number of training faces that are drawn, for the mean of drawings.
    """
    drawn, drawn_train = (
        extract_drawing_features(
            model, network, side.face_features[:limit], [f"{seed}/f2f/{c}/{j}" for c, j in side.faces[:limit]]
        )
        for side, limit in ((test, None), (train, max_train))
    )
    pool = Pool.of_voices(test.pool.face_identities, test.pool.face_identities)
    return pool, Vectors(drawn, faces[0], drawn_train.mean(0), faces[1].mean(0))
