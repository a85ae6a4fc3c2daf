import numpy as np
import pytest

from eval.personas.readouts import trait_correlations


def population(num_people: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of which the first four numbers are traits and the fifth is the sex; traits follow the sex too."""
    random = np.random.default_rng(seed)
    is_male = random.random(num_people) < 0.5
    traits = random.standard_normal((num_people, 4))
    features = np.column_stack([0.1 * traits, 0.3 * (is_male - 0.5), np.ones((num_people, 1))])
    return features, traits + is_male[:, None], is_male


def test_traits_that_features_hold_are_read_and_others_are_not() -> None:
    features, traits, _ = population(800, 0)
    others, other_traits, is_male = population(600, 1)
    assert (trait_correlations(features, traits, others, other_traits, is_male) > 0.95).all()
    correlations = trait_correlations(features[:, 3:], traits, others[:, 3:], other_traits, is_male)
    assert correlations[3] > 0.95
    # The sex alone tells these traits to a degree, but nothing within a sex.
    assert correlations[:3] == pytest.approx([0, 0, 0], abs=0.15)
