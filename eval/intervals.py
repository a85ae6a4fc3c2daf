"""Confidence intervals of means over people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bootstrap_interval(
    values: NDArray[np.floating],
    owners: NDArray[np.integer],
    num_owners: int,
    *,
    num_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean, resampling people instead of single values.

    Values of one person are correlated; resampling them one by one would give intervals that are too narrow.

    Args:
        values: [N].
        owners: [N] the person that each value belongs to, in [0, num_owners).
        num_owners: Number of people.
        num_resamples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The 2.5th and the 97.5th percentile; the mean twice if there is only one person.
    """
    columns = np.asarray(values)[:, None]
    return bootstrap_intervals(columns, owners, num_owners, num_resamples=num_resamples, seed=seed)[0]


def bootstrap_intervals(
    values: NDArray[np.floating],
    owners: NDArray[np.integer],
    num_owners: int,
    *,
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[tuple[float, float]]:
    """`bootstrap_interval` of each column of [N, K] values, with the same resamples of people for all columns."""
    sums = np.stack([np.bincount(owners, weights=column, minlength=num_owners) for column in values.T], axis=1)
    sizes = np.bincount(owners, minlength=num_owners).astype(np.float64)
    random = np.random.default_rng(seed)
    means = np.empty((num_resamples, values.shape[1]))
    for i in range(num_resamples):
        weights = np.bincount(random.integers(0, num_owners, num_owners), minlength=num_owners)
        means[i] = (weights @ sums) / (weights @ sizes)
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return [(float(lower), float(upper)) for lower, upper in zip(low, high, strict=True)]
