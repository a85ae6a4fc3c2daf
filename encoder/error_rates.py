"""Error rates of verification: the receiver operating characteristic, the area under it, and the equal error rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.floating] | NDArray[np.integer]


class ErrorRates:
    """Error rates of a system that scores pairs, over all its thresholds.

    Pairs of equal score are accepted together: between two thresholds the curve is a straight line, as if their order
    were random. A system with one score for all pairs so has an area of .5 and an equal error rate of .5.

    Attributes:
        num_same: Number of pairs of one person.
        num_different: Number of pairs of two people.
    """

    def __init__(self, scores: NDArray[np.floating], is_same: NDArray[np.bool_]) -> None:
        """Sort the pairs.

        Args:
            scores: [N] finite; higher for pairs that are more likely of one person.
            is_same: [N] whether a pair is of one person.

        Raises:
            ValueError: If a score is not finite, or one of the two kinds of pairs is missing.
        """
        is_same = np.asarray(is_same, dtype=bool)
        if not np.isfinite(scores).all():
            raise ValueError("scores hold values that are not finite")
        self.num_same = int(is_same.sum())
        self.num_different = int(len(is_same) - self.num_same)
        if not self.num_same or not self.num_different:
            raise ValueError("error rates need pairs of one person and pairs of two people")
        self._order = np.argsort(scores)[::-1]
        sorted_scores = np.asarray(scores)[self._order]
        self._is_same = is_same[self._order]
        # Last pair of each score: a threshold lies behind it.
        self._ends = np.append(np.flatnonzero(sorted_scores[1:] != sorted_scores[:-1]), len(sorted_scores) - 1)

    def curve(self, weights: Weights | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points of the receiver operating characteristic, from the strictest threshold to the most lenient.

        Args:
            weights: [N] weight of each pair, for bootstraps; 1 by default.

        Returns:
            Rates of false and of true acceptances, both from 0 to 1; NaN if one kind of pairs has no weight.
        """
        if weights is None:
            true = np.cumsum(self._is_same)[self._ends]
            false = self._ends + 1 - true
        else:
            own = np.asarray(weights, dtype=np.float64)[self._order]
            true = np.cumsum(own * self._is_same)[self._ends]
            false = np.cumsum(own * ~self._is_same)[self._ends]
        with np.errstate(invalid="ignore"):
            return np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])

    def area_under_curve(self, weights: Weights | None = None) -> float:
        """Probability that a pair of one person scores above a pair of two, ties counted half; .5 for guessing."""
        false, true = self.curve(weights)
        return float(np.sum(np.diff(false) * (true[1:] + true[:-1])) / 2)

    def equal_error_rate(self, weights: Weights | None = None) -> float:
        """Error where false acceptances and false refusals are equally frequent, interpolated between thresholds."""
        false, true = self.curve(weights)
        excess = false + true - 1  # false acceptances minus false refusals: rises from -1 to 1
        if np.isnan(excess).any():
            return float("nan")
        above = int(np.argmax(excess >= 0))
        share = -excess[above - 1] / (excess[above] - excess[above - 1])
        return float(false[above - 1] + share * (false[above] - false[above - 1]))
