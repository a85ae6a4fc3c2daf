"""Who the personas are."""

import numpy as np

from data.personas.population import (
    FACE_NOISE,
    TRAITS,
    VOICE_NOISE,
    age_in_years,
    draw_population,
    persona_rng,
)


def test_a_smaller_population_is_the_beginning_of_a_larger_one() -> None:
    small, large = draw_population(7, seed=3), draw_population(200, seed=3)
    for name in ("is_male", "traits", "face_traits", "voice_traits"):
        assert np.array_equal(getattr(small, name), getattr(large, name)[:7])
    assert not np.array_equal(small.traits, draw_population(7, seed=4).traits)


def test_traits_are_truncated_normal_and_ages_lie_between_18_and_80() -> None:
    population = draw_population(20_000, seed=0)
    assert abs(population.is_male.mean() - 0.5) < 0.02
    ages = age_in_years(population.traits[:, 0])
    assert 18 <= ages.min() < 19 and 79 < ages.max() < 80.001
    assert np.abs(population.traits.mean(0)).max() < 0.15 and np.abs(population.traits[:, 1:].std(0) - 1).max() < 0.02
    assert 2.6 < np.abs(population.traits[:, 1:]).max() <= 3.0001
    assert np.abs(np.corrcoef(np.column_stack([population.is_male, population.traits]).T) - np.eye(5)).max() < 0.03


def test_face_and_voice_see_the_traits_through_noise_of_their_own() -> None:
    population = draw_population(20_000, seed=1)
    for i, trait in enumerate(TRAITS[1:], start=1):
        face, voice = FACE_NOISE[trait], VOICE_NOISE[trait]
        seen = np.stack([population.traits[:, i], population.face_traits[:, i], population.voice_traits[:, i]])
        expected = 1 / np.sqrt([1 + face**2, 1 + voice**2, (1 + face**2) * (1 + voice**2)])
        correlations = np.corrcoef(seen)[[0, 0, 1], [1, 2, 2]]
        assert np.abs(correlations - expected).max() < 0.02
        assert np.abs(seen.std(1) - 1).max() < 0.02


def test_private_draws_differ_by_seed_stream_and_index() -> None:
    draws = [
        persona_rng(*arguments).random()
        for arguments in [(0, "face", 1), (0, "face", 1, 0), (0, "voice", 1), (1, "face", 1), (0, "image", 1, 0)]
    ]
    assert len(set(draws)) == len(draws)
    assert persona_rng(0, "face", 1).random() == draws[0]
