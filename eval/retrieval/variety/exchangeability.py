"""Exchangeability: whether a drawing of a voice could be a photograph of its speaker.

Draw twice from p(face | voice). If the drawings are calibrated, the speaker's own face is one more draw from the same
distribution, so a drawing is as similar to the speaker's photograph as to another drawing of the voice. Two drawings
that are more similar to each other show too little variety, two that are less similar too much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.faces.protocol import unit_rows
from eval.intervals import bootstrap_intervals


@dataclass(frozen=True)
class MeanCosine:
    """A mean cosine over people, and its 95 % bootstrap interval."""

    mean: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Exchangeability:
    """Mean cosines of E's features, each person weighing the same.

    Attributes:
        num: Number of people.
        two_drawings: Cosine of two drawings of one voice (other sample, other noise).
        photograph: Cosine of a drawing and a photograph of the speaker.
        gap: Difference of the two; 0 for calibrated drawings.
        other_noise: Cosine of two drawings of one sample with other noise of the generator.
    """

    num: int
    two_drawings: MeanCosine
    photograph: MeanCosine
    gap: MeanCosine
    other_noise: MeanCosine


def measure_exchangeability(
    drawings: NDArray[np.floating],
    other_noise: NDArray[np.floating],
    photographs: NDArray[np.floating],
    owners: NDArray[np.integer],
    drawing_centre: NDArray[np.floating],
    photograph_centre: NDArray[np.floating],
) -> Exchangeability:
    """Compare all pairs of drawings of each voice, and all drawings with all photographs of the speaker.

    Args:
        drawings: [P, K, F] E's features of K drawings of one voice of each person.
        other_noise: [P, F] those of the first drawing's sample, drawn with other noise.
        photographs: [M, F] those of photographs.
        owners: [M] the person, in [0, P), whom a photograph shows; everybody has at least one.
        drawing_centre: [F] vector that is subtracted from drawings; their mean over training voices, or 0.
        photograph_centre: [F] vector that is subtracted from photographs; their mean over training people, or 0.
    """
    num_people, num_drawings = drawings.shape[:2]
    drawn = unit_rows(drawings.reshape(-1, drawings.shape[2]) - drawing_centre).reshape(drawings.shape)
    drawn = drawn.astype(np.float64)
    again = unit_rows(other_noise - drawing_centre).astype(np.float64)
    real = unit_rows(photographs - photograph_centre).astype(np.float64)
    real_mean = np.zeros((num_people, real.shape[1]))
    np.add.at(real_mean, owners, real)
    real_mean /= np.bincount(owners, minlength=num_people)[:, None]
    total = drawn.sum(1)
    # The sum over all ordered pairs is the square of the sum less the K products of a unit vector with itself.
    pairs = (np.square(total).sum(1) - num_drawings) / (num_drawings * (num_drawings - 1))
    with_photograph = (total / num_drawings * real_mean).sum(1)
    columns = np.stack([pairs, with_photograph, pairs - with_photograph, (drawn[:, 0] * again).sum(1)], axis=1)
    intervals = bootstrap_intervals(columns, np.arange(num_people), num_people)
    means = [MeanCosine(float(mean), ci95) for mean, ci95 in zip(columns.mean(0), intervals, strict=True)]
    return Exchangeability(num_people, *means)
