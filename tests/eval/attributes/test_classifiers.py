import numpy as np
import pytest

from data.media.waveform import SAMPLE_RATE
from eval.attributes.classifiers import (
    DEFAULT_PITCH_THRESHOLD,
    LinearModel,
    area_under_curve,
    fit_logistic,
    fit_pitch_threshold,
    fit_ridge,
    median_pitch,
)


def hum(frequency: float, seconds: float = 1.0, noise: float = 0.0) -> np.ndarray:
    """A buzz with twenty falling harmonics, as a voice has."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * frequency * h * time + h) / h for h in range(1, 21) if frequency * h < 7000)
    return (0.1 * wave + noise * np.random.default_rng(0).normal(size=len(time))).astype(np.float32)


@pytest.mark.parametrize("frequency", [75, 110, 155, 210, 300, 380])
def test_the_pitch_of_a_hum_is_found_within_two_percent(frequency):
    assert median_pitch(hum(frequency)) == pytest.approx(frequency, rel=0.02)
    assert median_pitch(hum(frequency, noise=0.02)) == pytest.approx(frequency, rel=0.02)


def test_the_pitch_is_found_where_the_fundamental_is_missing():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    telephone = sum(np.sin(2 * np.pi * 120 * h * time) for h in range(3, 20))
    assert median_pitch(telephone) == pytest.approx(120, rel=0.02)


def test_noise_silence_and_a_blink_of_sound_have_no_pitch():
    assert np.isnan(median_pitch(np.random.default_rng(0).normal(size=SAMPLE_RATE)))
    assert np.isnan(median_pitch(np.zeros(SAMPLE_RATE)))
    assert np.isnan(median_pitch(np.ones(100)))


def test_the_threshold_divides_two_groups_of_pitches_and_is_the_usual_one_without_labels():
    random = np.random.default_rng(0)
    pitches = np.concatenate([random.normal(115, 10, 40), random.normal(215, 10, 40), [np.nan]])
    is_female = np.arange(81) >= 40
    assert 135 < fit_pitch_threshold(pitches, is_female) < 195
    assert fit_pitch_threshold(pitches[:3], is_female[:3]) == DEFAULT_PITCH_THRESHOLD


def test_a_classifier_learns_a_direction_and_does_not_care_which_class_is_larger():
    random = np.random.default_rng(1)
    labels = random.random(400) < 0.1
    features = random.normal(size=(400, 5)) * (1, 10, 0.1, 1, 1) + 3.0 * labels[:, None] * (0, 10, 0, 0, 0)
    model = fit_logistic(features, labels)
    right = (model(features) > 0) == labels
    assert right[labels].mean() > 0.85 and right[~labels].mean() > 0.85
    with pytest.raises(ValueError, match="both kinds"):
        fit_logistic(features, np.ones(400, dtype=bool))


def standardised_weights(model: LinearModel, features: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and bias of a model on features of mean 0 and variance 1."""
    centre = features.mean(0)
    bias = model(centre[None])[0]
    return model(centre + np.diag(features.std(0))) - bias, bias


def test_the_logistic_solution_has_balanced_classes_and_a_penalty_of_d_examples():
    random = np.random.default_rng(2)
    features, labels = random.normal(3, 2, size=(60, 8)), np.arange(60) < 12
    weights, bias = standardised_weights(fit_logistic(features, labels, penalty=0.5), features)
    # At the minimum the gradient is zero: X^T (a (p - y)) + penalty D w, with a total weight of N / 2 for each class.
    x = (features - features.mean(0)) / features.std(0)
    residual = np.where(labels, 60 / 2 / 12, 60 / 2 / 48) * (1 / (1 + np.exp(-x @ weights - bias)) - labels)
    assert x.T @ residual + 0.5 * 8 * weights == pytest.approx(np.zeros(8), abs=1e-3)
    assert residual.sum() == pytest.approx(0, abs=1e-3)


def test_separable_classes_with_fewer_examples_than_dimensions_give_small_weights():
    features = np.random.default_rng(2).normal(size=(20, 64))
    weights, _ = standardised_weights(fit_logistic(features, np.arange(20) < 10), features)
    assert np.abs(weights).max() < 0.1  # unpenalised, they would grow without limit


def test_ridge_regression_finds_a_linear_law():
    random = np.random.default_rng(3)
    features = random.normal(size=(500, 4)) * 0.1
    ages = 40 + features @ (100.0, 0, -50, 0)
    assert np.abs(fit_ridge(features, ages, penalty=0.01)(features) - ages).mean() < 0.5


def test_the_area_under_the_curve_of_hand_made_scores():
    labels = np.array([True, True, False, False])
    assert area_under_curve(np.array([2.0, 3.0, 0.0, 1.0]), labels) == 1.0
    assert area_under_curve(np.array([2.0, 0.5, 0.0, 1.0]), labels) == 0.75
    assert area_under_curve(np.zeros(4), labels) == 0.5
    assert np.isnan(area_under_curve(np.zeros(2), np.array([True, True])))
