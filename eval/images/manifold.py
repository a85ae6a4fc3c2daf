"""Improved precision and recall of two sets of image features (Kynkaanniemi et al. 2019).

The manifold of a set is the union of balls around its vectors; a ball reaches to the vector's k-th nearest neighbour
within the set. Precision is the share of drawings inside the manifold of real faces (are drawings like real faces?),
recall the share of real faces inside the manifold of drawings (are all kinds of faces drawn?).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

NUM_NEIGHBOURS = 3
"""The k of the paper's recommendation."""

_BLOCK = 512


@dataclass(frozen=True)
class PrecisionRecall:
    """Improved precision and recall, in [0, 1], and the number of vectors on each side."""

    precision: float
    recall: float
    num: int


def precision_recall(
    real: NDArray[np.floating],
    drawn: NDArray[np.floating],
    *,
    num_neighbours: int = NUM_NEIGHBOURS,
    seed: int = 0,
) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al. 2019, eq. 1 and 2).

    Both sides have the same number of vectors, because balls shrink as a set grows.

    Args:
        real: [M, D] features of real faces.
        drawn: [N, D] features of drawings.
        num_neighbours: k, the neighbour that a ball reaches to.
        seed: Chooses the vectors of the larger side.

    Returns:
        Both shares; NaN where a side has too few vectors for k neighbours.
    """
    num = min(len(real), len(drawn))
    random = np.random.default_rng([seed, 7])
    real, drawn = (_choose(np.asarray(side, dtype=np.float64), num, random) for side in (real, drawn))
    if num <= num_neighbours:
        return PrecisionRecall(float("nan"), float("nan"), num)
    inside_real = _inside(drawn, real, _radii(real, num_neighbours))
    inside_drawn = _inside(real, drawn, _radii(drawn, num_neighbours))
    return PrecisionRecall(float(inside_real.mean()), float(inside_drawn.mean()), num)


def _choose(features: NDArray[np.float64], num: int, random: np.random.Generator) -> NDArray[np.float64]:
    if len(features) == num:
        return features
    return features[np.sort(random.choice(len(features), num, replace=False))]


def _radii(features: NDArray[np.float64], num_neighbours: int) -> NDArray[np.float64]:
    """[N] distance of each vector to its k-th nearest neighbour in the set; itself, at distance 0, doesn't count."""
    blocks = [
        np.partition(cdist(features[start : start + _BLOCK], features), num_neighbours, axis=1)[:, num_neighbours]
        for start in range(0, len(features), _BLOCK)
    ]
    return np.concatenate(blocks)


def _inside(points: NDArray[np.float64], centres: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[N] whether each point lies in at least one ball."""
    blocks = [
        (cdist(points[start : start + _BLOCK], centres) <= radii).any(axis=1) for start in range(0, len(points), _BLOCK)
    ]
    return np.concatenate(blocks)
