import math

import pytest
import torch

from encoder.losses import (
    am_softmax,
    cosine_distance,
    distillation,
    feature_l1,
    info_nce,
    normalised_l2,
    prototype_logits,
)


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_feature_l1_sums_over_entries_and_averages_over_rows() -> None:
    assert feature_l1(rows([1, 2], [0, 0]), rows([0, 0], [0, 4])).item() == (3 + 4) / 2


def test_normalised_l2_ignores_length_and_is_two_for_orthogonal_features() -> None:
    assert normalised_l2(rows([3, 0]), rows([0, 0.1])).item() == pytest.approx(2)
    assert normalised_l2(rows([3, 0]), rows([7, 0])).item() == pytest.approx(0)
    assert normalised_l2(rows([3, 0]), rows([-1, 0])).item() == pytest.approx(4)


def test_cosine_distance_is_half_the_normalised_l2() -> None:
    a, b = torch.randn(5, 8), torch.randn(5, 8)
    torch.testing.assert_close(2 * cosine_distance(a, b), normalised_l2(a, b))


def test_distillation_of_equal_logits_is_the_entropy_and_leaves_the_teacher_alone() -> None:
    logits = rows([2 * math.log(3), 0.0]).requires_grad_()
    loss = distillation(logits, logits, temperature=2)
    assert loss.item() == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    loss.backward()
    assert logits.grad is not None and logits.grad.abs().max() < 1e-6  # at the student's optimum


def test_prototype_logits_are_scaled_cosines() -> None:
    logits = prototype_logits(rows([2, 0]), rows([5, 0], [0, 1], [-1, 0]), scale=10)
    torch.testing.assert_close(logits, rows([10, 0, -10]))


def test_info_nce_of_two_orthogonal_pairs() -> None:
    unit = torch.eye(2)
    assert info_nce(unit, unit, 0.5).item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert info_nce(unit, unit.flip(0), 0.5).item() == pytest.approx(math.log(1 + math.exp(2)))


def test_info_nce_of_equal_embeddings_is_the_logarithm_of_the_batch_size() -> None:
    equal = torch.ones(7, 1)
    assert info_nce(equal, equal, 0.1).item() == pytest.approx(math.log(7))


def test_info_nce_does_not_push_rows_of_one_person_apart() -> None:
    equal = torch.ones(3, 1)
    identities = torch.tensor([4, 4, 4])
    assert info_nce(equal, equal, 0.1, identities).item() == pytest.approx(0)
    assert info_nce(equal, equal, 0.1, torch.tensor([4, 4, 5])).item() == pytest.approx(
        (2 * math.log(2) + math.log(3)) / 3
    )


def test_am_softmax_takes_the_margin_from_the_right_class_alone() -> None:
    loss = am_softmax(rows([0.8, 0.3]), torch.tensor([0]), margin=0.5, scale=2)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(2 * (0.3 - 0.3))))
    without = am_softmax(rows([0.8, 0.3]), torch.tensor([0]), margin=0, scale=2)
    assert without.item() == pytest.approx(math.log(1 + math.exp(-1)))
