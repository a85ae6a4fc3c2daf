from types import SimpleNamespace
from typing import Any

import numpy as np

from data.faces.protocol import unit_rows
from eval.images.distances import compare
from eval.images.kid import kernel_distance

SIZE = 64
OWNERS = (np.arange(800), np.arange(800))


def cloud(seed: int, spread: float) -> np.ndarray:
    """800 unit vectors around one direction, as face features are; the spread is a share of the usual one."""
    random = np.random.default_rng(seed)
    centre = np.zeros(SIZE)
    centre[0] = 0.6
    return unit_rows(centre + spread * random.normal(size=(800, SIZE)) / 8).astype(np.float64)


def test_kid_of_unit_features_sees_a_cloud_that_has_collapsed_to_a_twentieth_of_its_variance():
    space: Any = SimpleNamespace(name="E", size=SIZE, is_unit=True)
    real, other, collapsed = cloud(0, 1), cloud(1, 1), cloud(2, 0.05**0.5)
    # The same mean, so that only the spread differs.
    collapsed += real.mean(0) - collapsed.mean(0)
    seen, none = (compare("drawings", space, drawn, real, OWNERS, 0) for drawn in (collapsed, other))
    assert seen.kid > 0.01 and seen.kid > 5 * abs(none.kid)
    assert seen.recall < 0.05 < none.recall
    # Without the scale it would be blind: a hundredth of that.
    assert kernel_distance(collapsed, real, num_subsets=2).mean < 0.01 * seen.kid


def test_features_that_are_no_unit_vectors_are_compared_as_they_are():
    space: Any = SimpleNamespace(name="other", size=SIZE, is_unit=False)
    random = np.random.default_rng(3)
    first, second = random.normal(size=(300, SIZE)), random.normal(size=(300, SIZE)) + 0.5
    owners = (np.arange(300), np.arange(300))
    assert compare("drawings", space, first, second, owners, 0).kid == kernel_distance(first, second).mean
    row = compare("drawings", space, first, second, owners, 0, variety=0.5).as_json()
    assert row["variety"] == 0.5 and row["comparable"] is False
    assert {"frechet_distance", "kid", "improved_precision", "improved_recall"} <= set(row)
