"""Sex and age from face features by linear models, and sex from the pitch of a voice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data.media.waveform import SAMPLE_RATE

MIN_LABELS = 20
"""Labelled people of either kind that a classifier needs in the training split."""

DEFAULT_PITCH_THRESHOLD = 165.0
"""Pitch in Hz between men's and women's usual voices, used where too few labels are there to measure it."""


LinearModel = Callable[[NDArray[np.floating]], NDArray[np.float64]]
"""[N] logits of a classifier, or values of a regression, from features [N, D]."""


def fit_logistic(features: NDArray[np.floating], labels: NDArray[np.bool_], *, penalty: float = 1.0) -> LinearModel:
    """Logistic regression on standardised features with an L2 penalty; both classes weigh the same.

    Args:
        features: [N, D].
        labels: [N], both values present.
        penalty: Weight of the squared weights, in units of D examples: with N < D examples that a plane
            separates, a penalty of one example would leave the weights nearly free.

    Returns:
        The logit of a true label.

    Raises:
        ValueError: If only one label is present.
    """
    if labels.all() or not labels.any():
        raise ValueError("a classifier needs examples of both kinds")
    classifier = LogisticRegression(
        C=1 / (penalty * features.shape[1]), class_weight="balanced", max_iter=1000, tol=1e-6
    )
    return make_pipeline(StandardScaler(), classifier).fit(_float64(features), labels).decision_function


def fit_ridge(features: NDArray[np.floating], targets: NDArray[np.floating], penalty: float = 1.0) -> LinearModel:
    """Ridge regression on standardised features [N, D]; the penalty is in units of D examples."""
    model = make_pipeline(StandardScaler(), Ridge(alpha=penalty * features.shape[1]))
    return model.fit(_float64(features), targets).predict


def _float64(features: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(features, dtype=np.float64)


def area_under_curve(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> float:
    """Probability that a positive scores above a negative, ties counted half.

    Unlike agreement it does not depend on where a classifier fitted to photographs has its threshold for drawings.

    Args:
        scores: [N].
        labels: [N].

    Returns:
        0.5 for guessing; NaN if only one label is present.
    """
    if labels.all() or not labels.any():
        return float("nan")
    return float(roc_auc_score(labels, scores))


def median_pitch(waveform: NDArray[np.floating], low: float = 60.0, high: float = 400.0) -> float:
    """Median fundamental frequency of the voiced frames, by normalised autocorrelation.

    Args:
        waveform: [T] at 16 kHz.
        low: Lowest pitch that is searched for, Hz.
        high: Highest pitch that is searched for, Hz.

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
    # Division by the window's autocorrelation keeps a periodic signal's height at every lag (Boersma 1993, eq. 9).
    window_correlation = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * size)) ** 2)[:size]
    normalised = (
        correlation
        / np.maximum(correlation[:, :1], 1e-12)
        * (window_correlation[0] / np.maximum(window_correlation, 1e-3 * window_correlation[0]))
    )
    shortest, longest = int(SAMPLE_RATE / high), int(SAMPLE_RATE / low)
    candidates = normalised[:, shortest : longest + 1]
    # Two periods look as periodic as one, so the first peak that is nearly as high as the highest counts.
    peaks = np.zeros_like(candidates, dtype=bool)
    peaks[:, 1:-1] = (candidates[:, 1:-1] >= candidates[:, :-2]) & (candidates[:, 1:-1] > candidates[:, 2:])
    height = np.where(peaks, candidates, -1.0).max(1)
    first = (peaks & (candidates >= 0.9 * height[:, None])).argmax(1)
    voiced = (height > 0.6) & (energy > 0.05 * np.percentile(energy, 90))
    if voiced.sum() < 5:
        return float("nan")
    return float(np.median(SAMPLE_RATE / (shortest + first[voiced])))


def fit_pitch_threshold(pitches: NDArray[np.floating], is_female: NDArray[np.bool_]) -> float:
    """The pitch that best separates women's from men's voices, both sexes weighing the same.

    Args:
        pitches: [N] Hz, NaN where unknown.
        is_female: [N].

    Returns:
        Hz; `DEFAULT_PITCH_THRESHOLD` with fewer than ten voices of either sex.
    """
    known = np.isfinite(pitches)
    values, female = pitches[known], is_female[known]
    if female.sum() < MIN_LABELS // 2 or (~female).sum() < MIN_LABELS // 2:
        return DEFAULT_PITCH_THRESHOLD
    ordered = np.sort(values)
    cuts = (ordered[1:] + ordered[:-1]) / 2
    right = [(values[female] > cut).mean() + (values[~female] <= cut).mean() for cut in cuts]
    return float(cuts[int(np.argmax(right))])
