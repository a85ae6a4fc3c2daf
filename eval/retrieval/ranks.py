"""Exact ranks of right answers, computed block by block without the whole score matrix.

A rank is given by two counts: gallery items scored strictly higher than the right one, and items with the same score.
Recall is the *expectation over random orders of the ties* (`hit_probability`), so that a system with the same
prediction for every voice reaches exactly chance, whatever the order of a sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

Metric = Literal["cosine", "l2", "l1"]
METRICS: tuple[Metric, ...] = get_args(Metric)

# Relative difference up to which two scores are a tie: float64 sums of the same float32 numbers differ by far less,
# different faces by far more.
_TIE = 1e-10


@dataclass(frozen=True)
class RankCounts:
    """Number of gallery items before the right one, for each query.

    Attributes:
        better: [Q] int64, items scored strictly better than the right one.
        tied: [Q] int64, other items with the same score.
    """

    better: NDArray[np.int64]
    tied: NDArray[np.int64]

    @property
    def middle_rank(self) -> NDArray[np.float64]:
        """[Q] ranks from 1, ties counted half: the expectation over random orders of the ties."""
        return 1.0 + self.better + 0.5 * self.tied

    def hit_probability(self, k: int) -> NDArray[np.float64]:
        """[Q] in [0, 1]: the probability that the right item is among the first k, ties in random order."""
        return np.clip((k - self.better) / (self.tied + 1.0), 0.0, 1.0)


def score_matrix(queries: torch.Tensor, gallery: torch.Tensor, metric: Metric) -> torch.Tensor:
    """Scores of every query with every gallery item; higher is better.

    Args:
        queries: [Q, D] float64.
        gallery: [M, D] float64.
        metric: `cosine` (0 for a zero vector), `l2` (minus the squared Euclidean distance, which gives the same ranks
            as the distance) or `l1` (minus the sum of absolute differences).

    Returns:
        [Q, M] float64.
    """
    if metric == "cosine":
        return _unit(queries) @ _unit(gallery).T
    if metric == "l2":
        squares = queries.square().sum(1)[:, None] + gallery.square().sum(1)[None, :]
        return 2.0 * (queries @ gallery.T) - squares
    if metric == "l1":
        return -torch.cdist(queries, gallery, p=1)
    raise ValueError(f"unknown metric {metric!r}: one of {METRICS}")


def count_ranks(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    targets: NDArray[np.integer],
    metric: Metric,
    *,
    block_size: int = 8192,
    device: str = "cpu",
) -> RankCounts:
    """Exact ranks of `gallery[targets[i]]` for `queries[i]`.

    Args:
        queries: [Q, D] finite.
        gallery: [M, D] finite; it is read block by block and may be memory-mapped.
        targets: [Q] row in the gallery of the right item for each query.
        metric: See `score_matrix`.
        block_size: Rows of a block of queries and of the gallery; block_size ** 2 float64 scores are held at a time.
        device: Device that computes the scores.

    Raises:
        ValueError: If shapes disagree or a value is not finite (no score compares as higher than NaN).

    Example:
        >>> import numpy as np
        >>> faces = np.eye(3)
        >>> voices = np.array([[1.0, 0.1, 0.0], [0.9, 0.5, 0.0]])
        >>> ranks = count_ranks(voices, faces, np.array([0, 1]), "cosine")
        >>> ranks.middle_rank.tolist()
        [1.0, 2.0]
    """
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"[Q, D] and [M, D] expected, got {queries.shape} and {gallery.shape}")
    targets = np.asarray(targets, dtype=np.int64)
    if targets.shape != (len(queries),):
        raise ValueError(f"one target a query expected, got {targets.shape} for {len(queries)} queries")
    if len(targets) and not (targets.min() >= 0 and targets.max() < len(gallery)):
        raise ValueError(f"targets outside the gallery of {len(gallery)}")
    better = np.zeros(len(queries), dtype=np.int64)
    tied = np.zeros(len(queries), dtype=np.int64)
    for rows in _blocks(len(queries), block_size):
        block = _load(queries[rows], device, "queries")
        target_rows = torch.from_numpy(targets[rows]).to(device)
        right = _load(gallery[targets[rows]], device, "gallery")
        right_score = _pairwise(block, right, metric)[:, None]
        tolerance = _TIE * _magnitude(block, right, metric)[:, None]
        num_better = torch.zeros(len(block), dtype=torch.int64, device=device)
        num_tied = torch.zeros_like(num_better)
        for columns in _blocks(len(gallery), block_size):
            excess = score_matrix(block, _load(gallery[columns], device, "gallery"), metric) - right_score
            same = excess.abs() <= tolerance
            num_better += ((excess > 0) & ~same).sum(1)
            num_tied += same.sum(1)
            # The right item is no tie of itself. It is found by position, since its score may be rounded differently.
            inside = (target_rows >= columns.start) & (target_rows < columns.stop)
            own = (target_rows - columns.start).clamp(0, excess.shape[1] - 1)
            num_tied -= (inside & same.gather(1, own[:, None])[:, 0]).long()
        better[rows] = num_better.cpu().numpy()
        tied[rows] = num_tied.cpu().numpy()
    return RankCounts(better, tied)


def _blocks(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _load(rows: NDArray[np.floating], device: str, name: str) -> torch.Tensor:
    tensor = torch.from_numpy(np.asarray(rows, dtype=np.float64)).to(device)
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} hold values that are not finite")
    return tensor


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    norms = vectors.norm(dim=1, keepdim=True)
    return torch.where(norms > 1e-12, vectors / norms.clamp_min(1e-12), torch.zeros_like(vectors))


def _pairwise(left: torch.Tensor, right: torch.Tensor, metric: Metric) -> torch.Tensor:
    if metric == "cosine":
        return (_unit(left) * _unit(right)).sum(1)
    if metric == "l2":
        return 2.0 * (left * right).sum(1) - left.square().sum(1) - right.square().sum(1)
    return -(left - right).abs().sum(1)


def _magnitude(left: torch.Tensor, right: torch.Tensor, metric: Metric) -> torch.Tensor:
    """[Q] magnitude of the terms of a score, to which its rounding error is proportional."""
    if metric == "cosine":
        return torch.ones(len(left), dtype=left.dtype, device=left.device)
    power = 2 if metric == "l2" else 1
    return left.abs().pow(power).sum(1) + right.abs().pow(power).sum(1)
