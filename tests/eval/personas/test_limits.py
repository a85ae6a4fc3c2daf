from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.personas.limit import retrieval_limit
from data.personas.population import Population, draw_population
from data.store.clip import Attributes
from data.store.dataset import ClipDataset
from eval.personas.limits import limit_scores
from eval.predictions import Pool
from eval.retrieval.galleries import draw_galleries
from eval.retrieval.metrics import rank_by_scores, recall_curve
from tests.synthetic import TinyWorld

PEOPLE = 300


def dataset_of(population: Population) -> Any:
    """What the limit reads of a data set of a population."""
    return SimpleNamespace(
        info=SimpleNamespace(extra={"population": {"seed": population.seed}}),
        identities=range(len(population)),
        person_vectors=lambda column: getattr(population, column),
        attributes=lambda person: Attributes("male" if population.is_male[person] else "female"),
    )


@pytest.mark.parametrize("knows", ["shared", "voice", "sex"])
def test_the_models_galleries_have_the_limit_of_the_population(knows: Any) -> None:
    population = draw_population(PEOPLE, 0)
    # Two voices and three faces a person: the limit is one of people, whichever clip or picture stands for them.
    pool = Pool.of_voices(np.repeat(np.arange(PEOPLE), 2), np.repeat(np.arange(PEOPLE), 3))
    gallery = draw_galleries(pool, sizes=(100,), num_draws=100)[0]
    scores = limit_scores(dataset_of(population), knows)
    assert scores is not None
    ranks = rank_by_scores(pool, gallery, scores)
    assert len(ranks.counts.better) == 100 * 100
    expected = retrieval_limit(
        population.is_male,
        population.face_traits,
        population.voice_traits,
        100,
        knows=knows,
        traits=population.traits,
    )
    curve = recall_curve(ranks, gallery)
    for k in (1, 5, 10):
        assert curve[k - 1] == pytest.approx(expected[k], abs=0.02)


def test_people_who_are_no_personas_have_no_known_limit(tiny_world: TinyWorld) -> None:
    assert limit_scores(ClipDataset(tiny_world.dataset, "all"), "voice") is None
