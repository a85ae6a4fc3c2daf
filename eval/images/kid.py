"""KID, the kernel distance between two sets of image features, in float64.

Binkowski et al. 2018: the unbiased squared MMD under the kernel (x y / D + 1)^3, mean over subsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_HEADLINE_IMAGES = 2048
"""Number of images below which a Frechet distance is mostly bias, which falls as 1 / N."""


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
    if size == len(features1) == len(features2):
        num_subsets = 1  # all subsets are the same
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
