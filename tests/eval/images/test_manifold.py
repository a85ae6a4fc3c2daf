import numpy as np
import pytest

from eval.images import manifold
from eval.images.manifold import PrecisionRecall


def precision_recall(real: np.ndarray, drawn: np.ndarray, num_neighbours: int = 3) -> PrecisionRecall:
    """Each vector is another person's."""
    return manifold.precision_recall(
        real, drawn, np.arange(len(real)), np.arange(len(drawn)), num_neighbours=num_neighbours
    )


def test_precision_and_recall_of_points_on_a_line_by_hand():
    # k = 1. Real 0, 1, 3, 10: radii 1, 1, 2, 7. Drawn 2, 2.5, 6, 20: radii 0.5, 0.5, 3.5, 14.
    real, drawn = np.array([[0.0], [1.0], [3.0], [10.0]]), np.array([[2.0], [2.5], [6.0], [20.0]])
    measured = precision_recall(real, drawn, num_neighbours=1)
    assert measured.precision == 3 / 4  # 20 lies in no ball of a real point
    assert measured.recall == 2 / 4  # 3 lies in the balls of 2.5 and 6, 10 in that of 20; 0 and 1 in none
    assert measured.num == 4


def test_drawings_that_are_all_alike_are_precise_and_have_no_recall():
    random = np.random.default_rng(0)
    real = random.normal(size=(700, 8))
    collapsed = random.normal(size=(700, 8)) * 0.05
    measured = precision_recall(real, collapsed)
    assert measured.precision > 0.95 and measured.recall < 0.05
    swapped = precision_recall(collapsed, real)
    assert (swapped.precision, swapped.recall) == pytest.approx((measured.recall, measured.precision))


def test_two_samples_of_one_distribution_cover_each_other_and_distant_ones_do_not():
    random = np.random.default_rng(1)
    same = precision_recall(random.normal(size=(600, 4)), random.normal(size=(600, 4)))
    assert same.precision > 0.8 and same.recall > 0.8
    apart = precision_recall(random.normal(size=(600, 4)), random.normal(size=(600, 4)) + 20)
    assert apart.precision == 0 and apart.recall == 0


def test_the_blocks_do_not_change_the_result(monkeypatch):
    random = np.random.default_rng(2)
    real, drawn = random.normal(size=(101, 5)), random.normal(size=(101, 5)) * 0.8
    whole = precision_recall(real, drawn)
    monkeypatch.setattr(manifold, "_BLOCK", 7)
    assert precision_recall(real, drawn) == whole


def test_several_pictures_of_a_person_do_not_shrink_the_balls():
    random = np.random.default_rng(4)
    people = random.normal(size=(250, 8))
    owners = np.repeat(np.arange(250), 4)
    photographs = people[owners] + 0.01 * random.normal(size=(1000, 8))
    others = random.normal(size=(250, 8))
    measured = manifold.precision_recall(photographs, others, owners, np.arange(250))
    assert measured.num == 250 and measured.precision > 0.5
    assert precision_recall(photographs, random.normal(size=(1000, 8))).precision < 0.05  # as if all were strangers


def test_the_larger_side_is_cut_to_the_smaller_and_too_few_vectors_have_no_result():
    random = np.random.default_rng(3)
    assert precision_recall(random.normal(size=(50, 3)), random.normal(size=(20, 3))).num == 20
    few = precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))
    assert np.isnan(few.precision) and few.num == 3
    assert precision_recall(np.eye(4), np.eye(4)).precision == pytest.approx(1)
