"""How well features tell people apart who were not trained on: same person or not, and who of all these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError
from data.faces.protocol import unit_rows

FALSE_ACCEPT_RATE = 0.01

MAX_FACES = 6000
"""More faces than this are not compared with each other: pairs grow with the square."""


@dataclass(frozen=True)
class Verification:
    """Scores over all pairs of faces.

    Attributes:
        equal_error_rate: Where as many pairs of one person are refused as pairs of two are accepted.
        true_accept_rate: Pairs of one person accepted where one in a hundred pairs of two people is.
        nearest_neighbour: How often the most similar other face is of the same person, among those who have another.
        num_faces: Faces compared.
        num_people: Whose.
    """

    equal_error_rate: float
    true_accept_rate: float
    nearest_neighbour: float
    num_faces: int
    num_people: int

    def rates(self) -> dict[str, float]:
        """The rates by name, without the counts."""
        return {
            "equal_error_rate": self.equal_error_rate,
            "true_accept_rate": self.true_accept_rate,
            "nearest_neighbour": self.nearest_neighbour,
        }

    def summary(self) -> str:
        """One line for people."""
        return (
            f"equal error rate {100 * self.equal_error_rate:.2f} %, TAR at FAR 1 % {100 * self.true_accept_rate:.1f} %,"
            f" nearest neighbour right {100 * self.nearest_neighbour:.1f} %"
            f" ({self.num_faces} faces of {self.num_people} people)"
        )


def verify(features: NDArray[np.floating], identities: NDArray[np.integer]) -> Verification:
    """Compare every face with every other.

    Args:
        features: [N, D] of any length but zero.
        identities: [N], whose each is; N at most `MAX_FACES`.

    Raises:
        DatasetError: If there are no two people, or nobody has two faces.
    """
    assert len(features) <= MAX_FACES, len(features)
    units = unit_rows(features)
    similarity = units @ units.T
    same = identities[:, None] == identities[None, :]
    upper = np.triu(np.ones(same.shape, bool), 1)
    genuine, impostor = similarity[same & upper], similarity[~same & upper]
    if not len(genuine) or not len(impostor):
        raise DatasetError("verification needs two people at least, and somebody with two faces")
    np.fill_diagonal(similarity, -2)
    has_another = (same.sum(axis=1) > 1).nonzero()[0]
    nearest = identities[similarity[has_another].argmax(axis=1)]
    return Verification(
        equal_error_rate=equal_error_rate(genuine, impostor),
        true_accept_rate=float((genuine > np.quantile(impostor, 1 - FALSE_ACCEPT_RATE)).mean()),
        nearest_neighbour=float((nearest == identities[has_another]).mean()),
        num_faces=len(features),
        num_people=len(np.unique(identities)),
    )


def equal_error_rate(genuine: NDArray[np.floating], impostor: NDArray[np.floating]) -> float:
    """The error at the threshold where both errors are equal; between two thresholds, their mean.

    Args:
        genuine: Similarities of pairs of one person.
        impostor: Of pairs of two people.
    """
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    thresholds = np.unique(genuine)
    refused = np.searchsorted(genuine, thresholds, side="left") / len(genuine)
    accepted = 1 - np.searchsorted(impostor, thresholds, side="left") / len(impostor)
    best = int(np.argmin(np.abs(refused - accepted)))
    return float(refused[best] + accepted[best]) / 2
