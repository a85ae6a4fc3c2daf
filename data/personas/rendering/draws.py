"""Random numbers of a persona or of one of its pictures, independent of the other rows of a batch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_NUM_NORMAL, _NUM_UNIFORM = 96, 128
_LARGEST = 2.2  # largest absolute normal number: beyond it faces look broken


class PrivateDraws:
    """Columns of random numbers, a row per generator, used in order.

    All numbers of a row come from its own generator at once, so they don't depend on the other rows.
    """

    def __init__(self, generators: Iterable[np.random.Generator]) -> None:
        rows = [(g.standard_normal(_NUM_NORMAL), g.random(_NUM_UNIFORM)) for g in generators]
        self._normals = np.clip(np.stack([row[0] for row in rows]), -_LARGEST, _LARGEST)
        self._uniforms = np.stack([row[1] for row in rows])
        self._next_normal = self._next_uniform = 0

    def normal(self, deviation: float = 1.0) -> Values:
        """Normal numbers [M], clipped at 2.2 deviations."""
        column = self._normals[:, self._next_normal]
        self._next_normal += 1
        return np.asarray(column * deviation)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Values:
        """Uniform numbers [M]."""
        column = self._uniforms[:, self._next_uniform]
        self._next_uniform += 1
        return np.asarray(low + (high - low) * column)

    def chance(self, probability: Values | float) -> NDArray[np.bool_]:
        """Booleans [M], true with this probability."""
        return np.asarray(self.uniform() < probability)

    def normal_rows(self, columns: int) -> Values:
        """Normal numbers [M, columns]."""
        return np.stack([self.normal() for _ in range(columns)], 1)
