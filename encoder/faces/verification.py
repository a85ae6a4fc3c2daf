"""Verification and nearest-neighbour scores of face features on people outside the training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError
from data.faces.protocol import unit_rows
from encoder.error_rates import ErrorRates

FALSE_ACCEPT_RATE = 0.01

MAX_FACES = 6000
"""Largest number of faces that are compared with each other: the number of pairs grows with its square."""


@dataclass(frozen=True)
class Verification:
    """Scores over all pairs of faces.

    Attributes:
        equal_error_rate: Error at the threshold where false rejections and false acceptances are equally frequent.
        true_accept_rate: Share of pairs of one person that are accepted at a false accept rate of 1 %.
        nearest_neighbour: Share of faces whose most similar other face is of the same person, among people with two.
        num_faces: Number of compared faces.
        num_people: Number of their people.
    """

    equal_error_rate: float
    true_accept_rate: float
    nearest_neighbour: float
    num_faces: int
    num_people: int

    def rates(self) -> dict[str, float]:
        """Rates by name, without the counts."""
        return {
            "equal_error_rate": self.equal_error_rate,
            "true_accept_rate": self.true_accept_rate,
            "nearest_neighbour": self.nearest_neighbour,
        }

    def summary(self) -> str:
        """All scores in one line."""
        return (
            f"equal error rate {100 * self.equal_error_rate:.2f} %, TAR at FAR 1 % {100 * self.true_accept_rate:.1f} %,"
            f" nearest neighbour right {100 * self.nearest_neighbour:.1f} %"
            f" ({self.num_faces} faces of {self.num_people} people)"
        )


def verify(features: NDArray[np.floating], identities: NDArray[np.integer]) -> Verification:
    """Compare every face with every other.

    Args:
        features: [N, D] features, not zero.
        identities: [N] identity of each face; N at most `MAX_FACES`.

    Raises:
        DatasetError: If there are no two people, or nobody has two faces.
    """
    assert len(features) <= MAX_FACES, len(features)
    units = unit_rows(features)
    similarity = units @ units.T
    same = identities[:, None] == identities[None, :]
    upper = np.triu(np.ones(same.shape, bool), 1)
    is_same = same[upper]
    if is_same.all() or not is_same.any():
        raise DatasetError("verification needs two people at least, and somebody with two faces")
    scores = similarity[upper]
    np.fill_diagonal(similarity, -2)
    has_another = (same.sum(axis=1) > 1).nonzero()[0]
    nearest = identities[similarity[has_another].argmax(axis=1)]
    return Verification(
        equal_error_rate=ErrorRates(scores, is_same).equal_error_rate(),
        true_accept_rate=float((scores[is_same] > np.quantile(scores[~is_same], 1 - FALSE_ACCEPT_RATE)).mean()),
        nearest_neighbour=float((nearest == identities[has_another]).mean()),
        num_faces=len(features),
        num_people=len(np.unique(identities)),
    )
