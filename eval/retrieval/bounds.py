"""Bounds in a face network's space: another photograph of the person, and the drawing of the true feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.faces.protocol import FaceRecognizer
from eval.model_under_test import ModelUnderTest
from eval.predictions import Floats, Pool, Predictions
from eval.retrieval.baselines import SAME_PERSON, drawn_from_true_features, real_to_real, same_pictures
from eval.retrieval.galleries import Gallery, draw_galleries
from eval.retrieval.metrics import RetrievalResult
from eval.retrieval.scorer import Scorer


def other_photograph(
    pool: Pool, name: str, faces: tuple[Floats, Floats], scorer: Scorer, sizes: Sequence[int], num_draws: int, seed: int
) -> list[RetrievalResult]:
    """Retrieval of a person by another photograph of theirs.

    Args:
        pool: Voices and faces of the judged split.
        name: Name of the face network.
        faces: Its features of the pool's faces, and of training faces.
        scorer: Scorer.
        sizes: Sizes of galleries.
        num_draws: Number of galleries of each random kind.
        seed: Seed of the galleries.

    Returns:
        Nothing where nobody has two faces.
    """
    pair = real_to_real(pool, faces[0].astype(np.float64), faces[1].mean(0, dtype=np.float64))
    if pair is None:
        return []
    results: list[RetrievalResult] = []
    for gallery in _redraw(pair[0], sizes, num_draws, seed):
        results += scorer.score(pair[0], gallery, pair[1], SAME_PERSON, "image-to-image", "centred_cosine", name)
    return results


def true_feature(
    model: ModelUnderTest,
    network: FaceRecognizer,
    test: Predictions,
    train: Predictions,
    faces: tuple[Floats, Floats],
    system: str,
    scorer: Scorer,
    sizes: Sequence[int],
    num_draws: int,
    seed: int,
) -> list[RetrievalResult]:
    """Retrieval of a face by the drawing of its true feature (F2F).

    Args:
        model: A model with a generator.
        network: The face network that sees the drawings.
        test: Predictions for the judged split.
        train: Predictions for training people.
        faces: The network's features of the faces of `test` and of `train`.
        system: Name of the results.
        scorer: Scorer.
        sizes: Sizes of galleries.
        num_draws: Number of galleries of each random kind.
        seed: Seed of galleries and noise.

    Returns:
        Nothing where the generator's condition isn't a face feature.
    """
    if not model.draws_face_features:
        return []
    pool, vectors = drawn_from_true_features(model, network, test, train, faces, seed)
    results: list[RetrievalResult] = []
    for gallery in _redraw(pool, sizes, num_draws, seed):
        same = same_pictures(gallery)
        results += scorer.score(pool, same, vectors, system, "image", "centred_cosine", network.info.name)
    return results


def _redraw(pool: Pool, sizes: Sequence[int], num_draws: int, seed: int) -> list[Gallery]:
    return draw_galleries(pool, sizes=sizes, num_draws=num_draws, seed=seed)
