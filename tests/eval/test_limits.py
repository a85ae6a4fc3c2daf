from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.personas.limit import retrieval_limit
from data.personas.population import draw_population
from eval.galleries import Pool, draw_galleries
from eval.limits import limit_answers
from eval.retrieval import recall_curve

PEOPLE = 300


def dataset_of(population: Any) -> Any:
    return SimpleNamespace(persona_traits=lambda: population)


@pytest.mark.parametrize("knows", ["shared", "voice", "sex"])
def test_the_models_galleries_have_the_limit_of_the_population(knows: Any) -> None:
    population = draw_population(PEOPLE, 0)
    # Two voices and three faces a person: the limit is one of people, whichever clip or picture stands for them.
    pool = Pool.of_voices(np.repeat(np.arange(PEOPLE), 2), np.repeat(np.arange(PEOPLE), 3))
    gallery = draw_galleries(pool, sizes=(100,), num_draws=100)[0]
    answers = limit_answers(dataset_of(population), pool, gallery, knows)
    assert answers is not None and len(answers.counts.better) == 100 * 100
    expected = retrieval_limit(
        population.is_male,
        population.face_traits,
        population.voice_traits,
        100,
        knows=knows,
        traits=population.traits,
    )
    curve = recall_curve(answers, gallery)
    for k in (1, 5, 10):
        assert curve[k - 1] == pytest.approx(expected[k], abs=0.02)


def test_people_who_are_no_personas_have_no_known_limit() -> None:
    pool = Pool.of_voices(np.arange(4), np.arange(4))
    assert limit_answers(dataset_of(None), pool, draw_galleries(pool, sizes=())[0], "voice") is None
