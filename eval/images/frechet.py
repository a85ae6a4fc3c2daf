"""Distances between two sets of image features, in float64: Frechet distance and KID.

Frechet distance (Heusel et al. 2017, eq. 6): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2). The trace of the
root is the sum of the square roots of the eigenvalues of S1^1/2 S2 S1^1/2. That matrix is symmetric, so no
complex numbers and no NaN arise, as they may from the root of the non-symmetric product S1 S2.

KID (Binkowski et al. 2018): the unbiased squared MMD under the kernel (x y / D + 1)^3, mean over subsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_HEADLINE_IMAGES = 2048
"""Number of images below which a Frechet distance is mostly bias, which falls as 1 / N."""


class GaussianStatistics:
    """Mean and covariance of feature vectors, updated batch by batch and mergeable over processes (Chan et al. 1983).

    Args:
        size: Length D of a vector.

    Example:
        >>> import numpy as np
        >>> statistics = GaussianStatistics(2)
        >>> statistics.add(np.array([[0.0, 0.0], [2.0, 0.0]]))
        >>> statistics.mean.tolist(), statistics.covariance.tolist()
        ([1.0, 0.0], [[2.0, 0.0], [0.0, 0.0]])
    """

    def __init__(self, size: int) -> None:
        self.num = 0
        self.mean: NDArray[np.float64] = np.zeros(size)
        self._scatter: NDArray[np.float64] = np.zeros((size, size))

    def add(self, features: NDArray[np.floating]) -> None:
        """Add feature vectors [N, D].

        Raises:
            ValueError: If the shape is wrong or a value is not finite.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise ValueError(f"[N, {len(self.mean)}] features expected, got {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("features hold values that are not finite")
        if len(rows):
            mean = rows.mean(0)
            self._merge(len(rows), mean, (rows - mean).T @ (rows - mean))

    def merge(self, other: GaussianStatistics) -> None:
        """Add the vectors that another process has seen."""
        if other.num:
            self._merge(other.num, other.mean, other._scatter)

    def _merge(self, num: int, mean: NDArray[np.float64], scatter: NDArray[np.float64]) -> None:
        total = self.num + num
        step = mean - self.mean
        self._scatter = self._scatter + scatter + np.outer(step, step) * (self.num * num / total)
        self.mean = self.mean + step * (num / total)
        self.num = total

    @property
    def covariance(self) -> NDArray[np.float64]:
        """[D, D], unbiased (divided by N - 1).

        Raises:
            ValueError: With fewer than two vectors.
        """
        if self.num < 2:
            raise ValueError(f"a covariance needs at least two vectors, got {self.num}")
        return self._scatter / (self.num - 1)


def frechet_distance(
    mean1: NDArray[np.floating],
    covariance1: NDArray[np.floating],
    mean2: NDArray[np.floating],
    covariance2: NDArray[np.floating],
) -> float:
    """Squared Frechet distance of two Gaussians; called FID in Inception's feature space.

    Args:
        mean1: [D].
        covariance1: [D, D] symmetric, positive semi-definite; it may be singular.
        mean2: [D].
        covariance2: [D, D].

    Returns:
        A number >= 0.

    Example:
        >>> import numpy as np
        >>> frechet_distance(np.zeros(2), np.eye(2), np.array([3.0, 0.0]), np.eye(2))
        9.0
    """
    mean1, covariance1, mean2, covariance2 = (
        np.asarray(a, dtype=np.float64) for a in (mean1, covariance1, mean2, covariance2)
    )
    values, vectors = np.linalg.eigh(covariance1)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    # Rounding leaves tiny negative eigenvalues where a covariance is singular.
    inner = root @ covariance2 @ root
    cross = np.sqrt(np.clip(np.linalg.eigvalsh((inner + inner.T) / 2), 0, None)).sum()
    distance = np.sum((mean1 - mean2) ** 2) + np.trace(covariance1) + np.trace(covariance2) - 2.0 * cross
    return float(max(distance, 0.0))


@dataclass(frozen=True)
class KernelDistance:
    """KID: mean and standard deviation over subsets. Its estimate is unbiased and may be slightly negative."""

    mean: float
    std: float


def kernel_distance(
    features1: NDArray[np.floating],
    features2: NDArray[np.floating],
    *,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> KernelDistance:
    """Kernel inception distance of two sets of features.

    Args:
        features1: [N, D].
        features2: [M, D].
        num_subsets: Number of subsets.
        subset_size: Vectors of each set in a subset; at most as many as the smaller set has.
        seed: Seed of the subsets.

    Raises:
        ValueError: With fewer than two vectors on a side.
    """
    size = min(subset_size, len(features1), len(features2))
    if size < 2:
        raise ValueError("KID needs at least two vectors on either side")
    random = np.random.default_rng(seed)
    estimates = []
    for _ in range(num_subsets):
        x = np.asarray(features1[random.choice(len(features1), size, replace=False)], dtype=np.float64)
        y = np.asarray(features2[random.choice(len(features2), size, replace=False)], dtype=np.float64)
        estimates.append(squared_mmd(x, y))
    return KernelDistance(float(np.mean(estimates)), float(np.std(estimates)))


def squared_mmd(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Unbiased squared maximum mean discrepancy of [N, D] and [M, D] under (x y / D + 1)^3."""

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return (a @ b.T / a.shape[1] + 1.0) ** 3

    within_x, within_y = kernel(x, x), kernel(y, y)
    n, m = len(x), len(y)
    mean_x = (within_x.sum() - np.trace(within_x)) / (n * (n - 1))
    mean_y = (within_y.sum() - np.trace(within_y)) / (m * (m - 1))
    return float(mean_x + mean_y - 2.0 * kernel(x, y).mean())
