"""Do drawings have the sex and the age of the voice? Judged through classifiers on the judge's features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.media.waveform import SAMPLE_RATE

MIN_LABELS = 20
"""Fewer labelled people of a kind in the training split make no classifier."""

DEFAULT_PITCH_THRESHOLD = 165.0
"""Hz between men's and women's usual voices, where too few labels are there to measure it."""


@dataclass(frozen=True)
class LinearModel:
    """w x + b on standardised features; a logit for a classifier, a number for a regression."""

    weights: NDArray[np.float64]
    bias: float

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """[N] from [N, D]."""
        return features @ self.weights + self.bias


def fit_logistic(
    features: NDArray[np.floating], labels: NDArray[np.bool_], *, penalty: float = 1.0, num_steps: int = 50
) -> LinearModel:
    """Logistic regression with an L2 penalty and balanced classes, by Newton's method.

    Args:
        features: [N, D].
        labels: [N], both values present.
        penalty: Of the squared weights, in units of one example.
        num_steps: At most so many Newton steps.

    Raises:
        ValueError: If only one label is present.
    """
    if labels.all() or not labels.any():
        raise ValueError("a classifier needs examples of both kinds")
    centre, scale = features.mean(0), features.std(0) + 1e-8
    x = np.hstack([(features - centre) / scale, np.ones((len(features), 1))])
    y = labels.astype(np.float64)
    importance = np.where(labels, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    # In D dimensions a penalty of one example would leave N < D separable examples unchecked.
    ridge = np.full(x.shape[1], penalty * features.shape[1])
    ridge[-1] = 1e-6
    solution = np.zeros(x.shape[1])
    for _ in range(num_steps):
        probability = 1 / (1 + np.exp(-np.clip(x @ solution, -30, 30)))
        gradient = x.T @ (importance * (probability - y)) + ridge * solution
        curvature = importance * probability * (1 - probability)
        step = np.linalg.solve((x * curvature[:, None]).T @ x + np.diag(ridge), gradient)
        solution -= step
        if np.abs(step).max() < 1e-8:
            break
    weights = solution[:-1] / scale
    return LinearModel(weights, float(solution[-1] - centre @ weights))


def fit_ridge(features: NDArray[np.floating], targets: NDArray[np.floating], penalty: float = 1.0) -> LinearModel:
    """Ridge regression on standardised features; `penalty` in units of D examples."""
    centre, scale = features.mean(0), features.std(0) + 1e-8
    x = (features - centre) / scale
    gram = x.T @ x + penalty * features.shape[1] * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (targets - targets.mean())) / scale
    return LinearModel(weights, float(targets.mean() - centre @ weights))


def area_under_curve(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Probability that a positive scores above a negative, ties half; 0.5 is blind. NaN with one label only.

    Unlike agreement it does not depend on where a classifier made for photographs puts its threshold on
    drawings.
    """
    positive, negative = np.asarray(scores)[labels], np.asarray(scores)[~labels]
    if not len(positive) or not len(negative):
        return float("nan")
    difference = positive[:, None] - negative[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def median_pitch(waveform: NDArray[np.floating], low: float = 60.0, high: float = 400.0) -> float:
    """Median fundamental frequency of the voiced frames, by normalised autocorrelation.

    Args:
        waveform: [T] at 16 kHz.
        low: Lowest pitch looked for, Hz.
        high: Highest.

    Returns:
        Hz; NaN if fewer than five frames are voiced.
    """
    size, hop = SAMPLE_RATE // 20, SAMPLE_RATE // 50  # 50 ms hold three periods of the lowest pitch
    if len(waveform) < size:
        return float("nan")
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(waveform, np.float64), size)[::hop]
    frames = frames - frames.mean(1, keepdims=True)
    energy = np.square(frames).mean(1)
    window = np.hanning(size)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames * window, 2 * size)) ** 2)[:, :size]
    # Divided by the window's own, a periodic signal keeps its height at every lag (Boersma 1993, eq. 9).
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * size)) ** 2)[:size]
    normalised = correlation / np.maximum(correlation[:, :1], 1e-12) * (own[0] / np.maximum(own, 1e-3 * own[0]))
    shortest, longest = int(SAMPLE_RATE / high), int(SAMPLE_RATE / low)
    candidates = normalised[:, shortest : longest + 1]
    # The first peak nearly as high as the highest: two periods look as periodic as one.
    peaks = np.zeros_like(candidates, dtype=bool)
    peaks[:, 1:-1] = (candidates[:, 1:-1] >= candidates[:, :-2]) & (candidates[:, 1:-1] > candidates[:, 2:])
    height = np.where(peaks, candidates, -1.0).max(1)
    first = (peaks & (candidates >= 0.9 * height[:, None])).argmax(1)
    voiced = (height > 0.6) & (energy > 0.05 * np.percentile(energy, 90))
    if voiced.sum() < 5:
        return float("nan")
    return float(np.median(SAMPLE_RATE / (shortest + first[voiced])))


def pitch_threshold(pitches: NDArray[np.floating], is_female: NDArray[np.bool_]) -> float:
    """The pitch that best divides labelled voices, classes weighing the same, Hz.

    Args:
        pitches: [N] Hz, NaN where unknown.
        is_female: [N].
    """
    known = np.isfinite(pitches)
    values, female = pitches[known], is_female[known]
    if female.sum() < MIN_LABELS // 2 or (~female).sum() < MIN_LABELS // 2:
        return DEFAULT_PITCH_THRESHOLD
    ordered = np.sort(values)
    cuts = (ordered[1:] + ordered[:-1]) / 2
    right = [(values[female] > cut).mean() + (values[~female] <= cut).mean() for cut in cuts]
    return float(cuts[int(np.argmax(right))])
