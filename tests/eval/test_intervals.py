import numpy as np
import pytest

from eval.intervals import bootstrap_interval, bootstrap_intervals


def test_the_interval_resamples_people_not_questions():
    # Ten people, each asked a hundred times and always with the same outcome: the data are ten coin flips.
    values = np.repeat([0.0, 1.0] * 5, 100)
    low, high = bootstrap_interval(values, np.repeat(np.arange(10), 100), 10)
    assert high - low > 0.5
    assert bootstrap_interval(np.ones(1), np.zeros(1, dtype=int), 1) == (1.0, 1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = (random.random(100) < 0.3).astype(float)
        low, high = bootstrap_interval(values, np.arange(100), 100, num_resamples=300, seed=trial)
        covered += low <= 0.3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_intervals_of_several_columns_are_those_of_each_alone():
    random = np.random.default_rng(3)
    values, owners = random.uniform(size=(50, 3)), random.integers(0, 12, 50)
    together = bootstrap_intervals(values, owners, 12)
    for column, interval in zip(values.T, together, strict=True):
        assert interval == pytest.approx(bootstrap_interval(column, owners, 12))
