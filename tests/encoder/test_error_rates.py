import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from encoder.error_rates import ErrorRates


def rates(same: list[float], different: list[float]) -> ErrorRates:
    return ErrorRates(np.array([*same, *different]), np.arange(len(same) + len(different)) < len(same))


def test_scores_that_one_threshold_parts_have_no_error() -> None:
    parted = rates([0.8, 0.9], [0.1, 0.2, 0.7])
    assert (parted.equal_error_rate(), parted.area_under_curve()) == (0, 1)
    turned = rates([0.1], [0.8, 0.9])
    assert (turned.equal_error_rate(), turned.area_under_curve()) == (1, 0)


def test_a_hand_made_case() -> None:
    # At a threshold of .5 one of four pairs of one person is refused, and one of four of two people accepted.
    by_hand = rates([0.3, 0.5, 0.8, 0.9], [0.1, 0.2, 0.4, 0.6])
    assert by_hand.equal_error_rate() == pytest.approx(0.25)
    assert by_hand.area_under_curve() == pytest.approx(13 / 16)  # of 16 comparisons .3 loses two and .5 one
    assert (by_hand.num_same, by_hand.num_different) == (4, 4)


def test_between_two_thresholds_the_equal_error_rate_is_interpolated() -> None:
    # Above .5 one of three is accepted rightly, none wrongly; at .5 all of the first and one of two of the second kind.
    # On the line between these points, (0, 1/3) and (1/2, 1), both errors are equal at 2/7.
    assert rates([0.9, 0.5, 0.5], [0.5, 0.1]).equal_error_rate() == pytest.approx(2 / 7)


def test_one_score_for_all_pairs_is_guessing() -> None:
    constant = rates([1.0] * 3, [1.0] * 50)
    assert constant.equal_error_rate() == pytest.approx(0.5)
    assert constant.area_under_curve() == pytest.approx(0.5)


@settings(max_examples=60)
@given(st.integers(2, 200), st.integers(1, 30), st.integers(0, 2**32 - 1), st.booleans())
def test_scores_with_ties_are_rated_as_scikit_learn_rates_them(
    num: int, num_levels: int, seed: int, weighted: bool
) -> None:
    random = np.random.default_rng(seed)
    is_same = random.random(num) < 0.4
    is_same[:2] = (True, False)
    scores = random.integers(0, num_levels, num) / 7 + 0.3 * is_same
    weights = random.integers(1, 5, num).astype(float) if weighted else None
    ours = ErrorRates(scores, is_same)
    assert ours.area_under_curve(weights) == pytest.approx(roc_auc_score(is_same, scores, sample_weight=weights))
    false, true, _ = roc_curve(is_same, scores, sample_weight=weights, drop_intermediate=False)
    theirs = brentq(lambda rate: 1 - rate - interp1d(false, true)(rate), 0, 1)
    # Where the curve rises straight at this rate, the interpolation takes one of the rates there.
    assert ours.equal_error_rate(weights) == pytest.approx(theirs, abs=1e-6)


def test_weights_count_as_copies() -> None:
    scores, is_same = np.array([0.1, 0.9, 0.5, 0.4, 0.2]), np.array([True, True, False, True, False])
    weights = np.array([2, 1, 3, 0, 1])
    copies = np.repeat(np.arange(5), weights)
    once, often = ErrorRates(scores, is_same), ErrorRates(scores[copies], is_same[copies])
    assert once.area_under_curve(weights) == pytest.approx(often.area_under_curve())
    assert once.equal_error_rate(weights) == pytest.approx(often.equal_error_rate())
    assert np.isnan(once.equal_error_rate(is_same.astype(float)))  # no pair of two people is left


@pytest.mark.parametrize(
    ("scores", "is_same", "message"),
    [
        ([0.1, np.nan], [True, False], "not finite"),
        ([0.1, 0.2], [True, True], "pairs of two people"),
        ([], [], "pairs of one person"),
    ],
)
def test_what_has_no_error_rate_is_refused(scores: list[float], is_same: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ErrorRates(np.array(scores), np.array(is_same, dtype=bool))
