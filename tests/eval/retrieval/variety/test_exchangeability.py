import numpy as np
import pytest

from data.faces.protocol import unit_rows
from eval.retrieval.variety.exchangeability import measure_exchangeability

NUM_PEOPLE, NUM_DRAWINGS, SIZE = 200, 8, 64


def people(spread: float) -> dict[str, np.ndarray]:
    """Photographs at distance 1 around what a voice tells of each person, and drawings at a given distance."""
    random = np.random.default_rng(0)
    told = random.normal(size=(NUM_PEOPLE, SIZE))
    owners = np.repeat(np.arange(NUM_PEOPLE), 2)
    own = told + random.normal(size=told.shape)
    drawings = told[:, None] + spread * random.normal(size=(NUM_PEOPLE, NUM_DRAWINGS, SIZE))
    zero = np.zeros(SIZE)
    return {
        "drawings": drawings,
        "other_noise": drawings[:, 0],
        "photographs": own[owners],
        "owners": owners,
        "drawing_centre": zero,
        "photograph_centre": zero,
    }


def test_calibrated_drawings_are_as_alike_as_a_drawing_and_a_photograph():
    measured = measure_exchangeability(**people(spread=1))
    assert measured.num == NUM_PEOPLE and measured.two_drawings.mean == pytest.approx(0.5, abs=0.03)
    assert abs(measured.gap.mean) < 0.02 and measured.gap.ci95[0] < 0 < measured.gap.ci95[1]
    assert measured.other_noise.mean == pytest.approx(1)


def test_too_little_variety_is_a_positive_gap_and_too_much_a_negative_one():
    little, much = (measure_exchangeability(**people(spread)) for spread in (0.2, 2))
    assert little.gap.ci95[0] > 0.1 and much.gap.ci95[1] < -0.1
    assert little.gap.mean == pytest.approx(little.two_drawings.mean - little.photograph.mean)


def test_the_means_are_those_of_all_pairs_one_by_one():
    given = people(spread=0.7)
    centre = np.random.default_rng(1).normal(size=SIZE)
    given |= {"drawing_centre": centre, "photograph_centre": -centre, "other_noise": given["drawings"][:, 1]}
    measured = measure_exchangeability(**given)
    drawn = [unit_rows(drawings - centre) for drawings in given["drawings"]]
    real = unit_rows(given["photographs"] + centre)
    pairs = [d[i] @ d[j] for d in drawn for i in range(NUM_DRAWINGS) for j in range(i)]
    assert measured.two_drawings.mean == pytest.approx(np.mean(pairs), abs=1e-5)
    crossed = [np.mean(d @ real[given["owners"] == person].T) for person, d in enumerate(drawn)]
    assert measured.photograph.mean == pytest.approx(np.mean(crossed), abs=1e-5)
    assert measured.other_noise.mean == pytest.approx(np.mean([d[0] @ d[1] for d in drawn]), abs=1e-5)


def test_people_weigh_the_same_however_many_photographs_they_have():
    given = people(spread=1)
    once = measure_exchangeability(**given)
    repeated = np.concatenate([np.arange(len(given["owners"])), np.repeat([0, 1], 50)])
    given |= {"photographs": given["photographs"][repeated], "owners": given["owners"][repeated]}
    assert measure_exchangeability(**given).photograph.mean == pytest.approx(once.photograph.mean)
