"""Frechet distance between two sets of image features, in float64.

Heusel et al. 2017, eq. 6: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2). The trace of the root is the sum of the square
roots of the eigenvalues of S1^1/2 S2 S1^1/2. That matrix is symmetric, so no complex numbers and no NaN arise, as they
may from the root of the non-symmetric product S1 S2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
