"""The best possible retrieval, against numbers known from the design and against brute force."""

import numpy as np
import pytest

from data.errors import ConfigError
from data.personas.limit import optimal_scores, retrieval_limit
from data.personas.population import FACE_NOISE, TRAIT_RANGES, TRAITS, VOICE_NOISE, Population, draw_population

PEOPLE = draw_population(20_000, seed=7)


def limit_of(people: Population, knows: str, gallery_size: int, num_queries: int) -> list[float]:
    recall = retrieval_limit(
        people.is_male,
        people.face_traits,
        people.voice_traits,
        gallery_size,
        num_queries=num_queries,
        seed=1,
        knows=knows,
        traits=people.traits,
    )
    assert list(recall) == [1, 5, 10]
    return list(recall.values())


@pytest.mark.parametrize(
    ("knows", "expected"),
    [("shared", [0.518, 0.903, 0.979]), ("voice", [0.366, 0.771, 0.917]), ("sex", [0.018, 0.103, 0.206])],
)
def test_the_limits_of_the_design_are_met(knows: str, expected: list[float]) -> None:
    # The study's own standard error is .0065.
    assert limit_of(PEOPLE, knows, 100, 40_000) == pytest.approx(expected, abs=0.015)


def test_sex_alone_gives_what_counting_gives() -> None:
    # Of 99 others each is of the own sex with probability 1/2: R@1 = E[1 / (1 + B(99, 1/2))] = (1 - 2^-100) / 50.
    assert limit_of(PEOPLE, "sex", 100, 40_000)[0] == pytest.approx(0.02, abs=1e-3)


def brute_force_scores(voices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[Q, G] log p(face | voice) / p(face) by simulation: particles of the prior, weighted by densities."""
    rng = np.random.default_rng(3)
    total = np.zeros((len(voices), len(faces)))
    for i, trait in enumerate(TRAITS):
        particles = rng.standard_normal(60_000)
        low, high = TRAIT_RANGES[trait]
        particles = particles[(particles > low) & (particles < high)]

        def densities(seen: np.ndarray, noise: float, particles: np.ndarray) -> np.ndarray:
            distance = seen[:, None] * np.sqrt(1 + noise**2) - particles
            return np.exp(-0.5 * (distance / noise) ** 2)

        of_voice = densities(voices[:, i], VOICE_NOISE[trait], particles)
        of_face = densities(faces[:, i], FACE_NOISE[trait], particles)
        joint = of_voice @ of_face.T / len(particles)
        total += np.log(joint / of_voice.mean(1)[:, None] / of_face.mean(1)[None])
    return total


def test_scores_agree_with_a_brute_force_simulation() -> None:
    few = slice(0, 60)
    everybody_male = np.ones(60, np.bool_)
    arguments = (everybody_male, PEOPLE.voice_traits[few], everybody_male, PEOPLE.face_traits[few])
    expected = brute_force_scores(PEOPLE.voice_traits[few].astype(float), PEOPLE.face_traits[few].astype(float))
    difference = optimal_scores(*arguments) - expected
    # Simulation is poor where a face is next to impossible; such faces never come first.
    assert np.abs(difference[expected > -5]).max() < 0.1


def test_recall_agrees_with_a_brute_force_simulation_on_few_people() -> None:
    people = draw_population(120, seed=4)
    scores = brute_force_scores(people.voice_traits.astype(float), people.face_traits.astype(float))
    scores[people.is_male[:, None] != people.is_male[None]] = -np.inf
    rng, hits = np.random.default_rng(0), []
    for _ in range(8_000):
        gallery = rng.choice(120, 30, replace=False)
        rank = (scores[gallery[0], gallery] > scores[gallery[0], gallery[0]]).sum()
        hits.append([rank < 1, rank < 5, rank < 10])
    assert limit_of(people, "voice", 30, 20_000) == pytest.approx(np.mean(hits, 0), abs=0.02)


def test_knowing_more_never_hurts_and_larger_galleries_are_harder() -> None:
    shared, voice, sex = (np.array(limit_of(PEOPLE, knows, 50, 10_000)) for knows in ("shared", "voice", "sex"))
    assert (shared > voice).all() and (voice > sex).all()
    assert (np.array(limit_of(PEOPLE, "voice", 500, 10_000)) < voice).all()


def test_a_gallery_of_everybody_is_possible_and_of_more_is_an_error() -> None:
    people = draw_population(10, seed=0)
    assert limit_of(people, "voice", 10, 10)[2] == 1
    with pytest.raises(ConfigError, match="galleries of 11 can't be drawn from 10 personas"):
        limit_of(people, "voice", 11, 10)
