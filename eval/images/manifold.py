"""Improved precision and recall of two sets of image features (Kynkaanniemi et al. 2019).

The manifold of a set is the union of balls around its vectors; a ball reaches to the vector's k-th nearest neighbour
within the set. Precision is the share of drawings inside the manifold of real faces (are drawings like real faces?),
recall the share of real faces inside the manifold of drawings (are all kinds of faces drawn?).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances  # matrix products: ten times as fast as scipy's cdist

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
    real_owners: NDArray[np.integer],
    drawn_owners: NDArray[np.integer],
    *,
    num_neighbours: int = NUM_NEIGHBOURS,
    num_subsets: int = 10,
    seed: int = 0,
) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al. 2019, eq. 1 and 2), mean over subsets of one vector a person.

    The nearest neighbours of a photograph are other photographs of the same person; balls that reach to them alone are
    too small for anybody else's face. So a subset holds one vector of each person, and as many on either side, because
    balls shrink as a set grows.

    Args:
        real: [M, D] features of real faces.
        drawn: [N, D] features of drawings.
        real_owners: [M] the person whom a face shows.
        drawn_owners: [N] the person whom a drawing is of.
        num_neighbours: k, the neighbour that a ball reaches to.
        num_subsets: Number of subsets.
        seed: Seed of the subsets.

    Returns:
        Both shares; NaN where a side has too few people for k neighbours.
    """
    num = min(len(np.unique(real_owners)), len(np.unique(drawn_owners)))
    if num <= num_neighbours:
        return PrecisionRecall(float("nan"), float("nan"), num)
    random = np.random.default_rng([seed, 7])
    shares = []
    for _ in range(num_subsets):
        x = _one_a_person(real, real_owners, num, random)
        y = _one_a_person(drawn, drawn_owners, num, random)
        precision = _inside(y, x, _radii(x, num_neighbours)).mean()
        shares.append((precision, _inside(x, y, _radii(y, num_neighbours)).mean()))
    precision, recall = np.mean(shares, axis=0)
    return PrecisionRecall(float(precision), float(recall), num)


def _one_a_person(
    features: NDArray[np.floating], owners: NDArray[np.integer], num: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """A random vector of each of `num` random people."""
    order = random.permutation(len(owners))
    _, first = np.unique(owners[order], return_index=True)
    rows = order[random.permutation(first)[:num]]
    return np.asarray(features[rows], dtype=np.float64)


def _radii(features: NDArray[np.float64], num_neighbours: int) -> NDArray[np.float64]:
    """[N] distance of each vector to its k-th nearest neighbour in the set; itself, at distance 0, doesn't count."""
    blocks = [
        np.partition(euclidean_distances(features[start : start + _BLOCK], features), num_neighbours, axis=1)[
            :, num_neighbours
        ]
        for start in range(0, len(features), _BLOCK)
    ]
    return np.concatenate(blocks)


def _inside(points: NDArray[np.float64], centres: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[N] whether each point lies in at least one ball."""
    blocks = [
        (euclidean_distances(points[start : start + _BLOCK], centres) <= radii).any(axis=1)
        for start in range(0, len(points), _BLOCK)
    ]
    return np.concatenate(blocks)
