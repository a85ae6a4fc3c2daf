"""Exact ranks of right answers, computed block by block without the whole score matrix.

A rank is given by two counts: gallery items scored strictly higher than the right one, and items with the same score.
Recall is the *expectation over random orders of the ties* (`hit_probability`), so that a system with the same
prediction for every voice reaches exactly chance, whatever the order of a sort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from data.workers import use_one_thread

Metric = Literal["cosine", "l2", "l1"]
METRICS: tuple[Metric, ...] = get_args(Metric)

# Relative difference up to which two scores are a tie: float64 sums of the same float32 numbers differ by far less,
# different faces by far more.
_TIE = 1e-10

_ZERO_NORM = 1e-12  # up to which a vector counts as zero
_UNIT_ROUNDOFF = 2.0**-24  # of float32
_DOUBTFUL_SHARE = 64  # of a block's scores: one of so many may be in doubt
_PAIRS_AT_ONCE = 4096


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


class Rows(Protocol):
    """Vectors that are read block by block: an array, a memory-mapped file, or an object that makes its rows.

    Several threads read at once.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Number and length of the vectors."""

    def __getitem__(self, rows: Any, /) -> NDArray[np.floating]:
        """[n, D] the rows of a slice or of an array of row numbers."""


def count_ranks(
    queries: NDArray[np.floating],
    gallery: Rows,
    targets: NDArray[np.integer],
    metric: Metric,
    *,
    block_size: int = 1024,
    device: str = "cpu",
) -> RankCounts:
    """Exact ranks of `gallery[targets[i]]` for `queries[i]`.

    Scores are compared in float64. With the cosine, a product in float32 decides first about the items whose score is
    farther from the right one's than its rounding error can be; float64 decides about the few others.

    Args:
        queries: [Q, D] finite.
        gallery: [M, D] finite; it is read block by block and may be memory-mapped.
        targets: [Q] row in the gallery of the right item for each query.
        metric: See `score_matrix`.
        block_size: Rows of a block of queries and of the gallery; each of torch's threads holds block_size ** 2 scores.
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
    if len(queries.shape) != 2 or len(gallery.shape) != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"[Q, D] and [M, D] expected, got {queries.shape} and {gallery.shape}")
    num_items = gallery.shape[0]
    target_rows: NDArray[np.int64] = np.asarray(targets, dtype=np.int64)
    if target_rows.shape != (len(queries),):
        raise ValueError(f"one target a query expected, got {target_rows.shape} for {len(queries)} queries")
    if len(target_rows) and not (target_rows.min() >= 0 and target_rows.max() < num_items):
        raise ValueError(f"targets outside the gallery of {num_items}")
    better = np.zeros(len(queries), dtype=np.int64)
    tied = np.zeros(len(queries), dtype=np.int64)
    blocks = list(_blocks(num_items, block_size))
    # A thread for each share of the gallery: threads that share each small product and comparison wait for each other.
    num_threads = min(torch.get_num_threads(), len(blocks)) if torch.device(device).type == "cpu" else 1
    shares = [blocks[first::num_threads] for first in range(num_threads)]
    for rows in _blocks(len(queries), block_size):
        count = partial(_count_share, queries[rows], gallery, target_rows[rows], metric, device)
        for counter in map(count, shares) if num_threads == 1 else _map_in_threads(count, shares):
            better[rows] += counter.better.cpu().numpy()
            tied[rows] += counter.tied.cpu().numpy()
    return RankCounts(better, tied)


def _count_share(
    queries: NDArray[np.floating],
    gallery: Rows,
    targets: NDArray[np.int64],
    metric: Metric,
    device: str,
    share: Sequence[slice],
) -> _Counter:
    """Counts of some blocks of the gallery."""
    counter = _Counter(queries, gallery, targets, metric, device)
    for rows in share:
        counter.add(gallery[rows], rows.start)
    return counter


def _map_in_threads(count: Callable[[Sequence[slice]], _Counter], shares: Sequence[Sequence[slice]]) -> list[_Counter]:
    """Call it for each share in a thread of its own, in which torch uses no other threads."""
    num_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(shares), initializer=use_one_thread) as pool:
            return list(pool.map(count, shares))
    finally:
        torch.set_num_threads(num_threads)  # the mathematics library has one setting for all threads


class _Counter:
    """Counts of better and of tied items for a block of queries, over the gallery's blocks.

    Attributes:
        better: [Q] int64.
        tied: [Q] int64.
    """

    def __init__(
        self,
        queries: NDArray[np.floating],
        gallery: Rows,
        targets: NDArray[np.int64],
        metric: Metric,
        device: str,
    ) -> None:
        self._metric, self._device = metric, device
        self._queries = _load(queries, device, "queries")
        self._targets = torch.from_numpy(targets).to(device)
        right = _load(gallery[targets], device, "gallery")
        self._right_score = _pairwise(self._queries, right, metric)
        self._tolerance = _TIE * _magnitude(self._queries, right, metric)
        self.better = torch.zeros(len(queries), dtype=torch.int64, device=device)
        self.tied = torch.zeros_like(self.better)
        self._units = _unit(self._queries) if metric == "cosine" else None
        self._buffers: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def add(self, items: NDArray[np.floating], start: int) -> None:
        """Count a block of the gallery.

        Args:
            items: [B, D] its vectors.
            start: Number of the first one in the gallery.
        """
        # Reduced precisions of products have no error bound here.
        if self._units is not None and torch.get_float32_matmul_precision() == "highest":
            self._add_screened(self._units, items, start)
        else:
            self._add_all(items, start)

    def _add_all(self, items: NDArray[np.floating], start: int) -> None:
        scores = score_matrix(self._queries, _load(items, self._device, "gallery"), self._metric)
        excess = scores - self._right_score[:, None]
        same = excess.abs() <= self._tolerance[:, None]
        self.better += ((excess > 0) & ~same).sum(1)
        self.tied += same.sum(1)
        # The right item is no tie of itself. It is found by position, since its score may be rounded differently.
        inside = (self._targets >= start) & (self._targets < start + len(items))
        own = (self._targets - start).clamp(0, excess.shape[1] - 1)
        self.tied -= (inside & same.gather(1, own[:, None])[:, 0]).long()

    def _add_screened(self, units: torch.Tensor, items: NDArray[np.floating], start: int) -> None:
        """Count by cosines in float32 whose errors are bounded, and by float64 where the bound leaves a doubt."""
        shape, size = (len(units), len(items)), units.shape[1]
        # Items, scores, mask and queries in float32, made once: new memory for each block would take long.
        if self._buffers is None or len(self._buffers[0]) < len(items):
            self._buffers = (
                torch.empty(len(items), size, device=self._device),
                torch.empty(shape[0] * shape[1], device=self._device),
                torch.empty(shape[0] * shape[1], dtype=torch.bool, device=self._device),
                units.float(),
            )
        item_units = self._buffers[0][: len(items)]
        scores, mask = (buffer[: shape[0] * shape[1]].view(shape) for buffer in self._buffers[1:3])
        _load_units(items, self._device, item_units)
        torch.mm(self._buffers[3], item_units.T, out=scores)
        # D u for a sum of D products of unit vectors in any order (Higham 2002, section 3.1), and the roundings before.
        bound = 1.01 * (1.5 * size + 12) * _UNIT_ROUNDOFF
        low, high = ((self._right_score + sign * bound).float()[:, None] for sign in (-1, 1))
        num_above = torch.gt(scores, high, out=mask).sum(1, dtype=torch.int32)
        in_doubt = torch.nonzero(torch.gt(scores, low, out=mask).sum(1, dtype=torch.int32) - num_above)[:, 0]
        near = mask[in_doubt] & ~(scores[in_doubt] > high[in_doubt])
        pairs = torch.nonzero(near)
        if len(pairs) > scores.numel() / _DOUBTFUL_SHARE:  # all at once is faster
            self._add_all(items, start)
            return
        self.better += num_above
        for rows, columns in zip(*(part.split(_PAIRS_AT_ONCE) for part in pairs.T), strict=True):
            asked = in_doubt[rows]
            loaded = _load(items[columns.cpu().numpy()], self._device, "gallery")
            norms = loaded.norm(dim=1)
            cosines = torch.where(norms > _ZERO_NORM, (units[asked] * loaded).sum(1) / norms.clamp_min(_ZERO_NORM), 0.0)
            excess = cosines - self._right_score[asked]
            same = excess.abs() <= self._tolerance[asked]
            is_own = columns + start == self._targets[asked]  # the right item is no tie of itself
            self.better.index_add_(0, asked, ((excess > 0) & ~same).long())
            self.tied.index_add_(0, asked, (same & ~is_own).long())


def _blocks(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _load(rows: NDArray[np.floating], device: str, name: str) -> torch.Tensor:
    tensor = torch.from_numpy(np.asarray(rows, dtype=np.float64)).to(device)
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} hold values that are not finite")
    return tensor


def _load_units(rows: NDArray[np.floating], device: str, out: torch.Tensor) -> None:
    """Write unit vectors in float32, each number within a relative error of (D / 2 + 4) roundings.

    Args:
        rows: [B, D].
        device: Device of the result.
        out: [B, D] float32.
    """
    if rows.dtype == np.float32:
        tensor = torch.from_numpy(np.ascontiguousarray(rows)).to(device)
        norms = tensor.norm(dim=1, keepdim=True)
        if (norms < 1e15).all():  # finite, and no square overflows
            torch.mul(tensor, torch.where(norms > _ZERO_NORM, norms.clamp_min(_ZERO_NORM).reciprocal(), 0.0), out=out)
            return
    out.copy_(_unit(_load(rows, device, "gallery")))


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    norms = vectors.norm(dim=1, keepdim=True)
    return torch.where(norms > _ZERO_NORM, vectors / norms.clamp_min(_ZERO_NORM), torch.zeros_like(vectors))


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
