import math

import numpy as np
import pytest
import torch

from encoder.faces.margin import AngularMargin, angular_margin_logits


def test_the_right_angle_grows_by_the_margin_and_the_others_stay() -> None:
    cosines = torch.tensor([[math.cos(0.5), 0.2, -0.3], [0.1, 0.4, math.cos(1.2)]])
    logits = angular_margin_logits(cosines, torch.tensor([0, 2]), margin=0.3, scale=10.0)
    expected = [[10 * math.cos(0.8), 2.0, -3.0], [1.0, 4.0, 10 * math.cos(1.5)]]
    torch.testing.assert_close(logits, torch.tensor(expected))


def test_no_margin_leaves_a_scaled_softmax() -> None:
    cosines = torch.rand(5, 4) * 1.9 - 0.95
    torch.testing.assert_close(angular_margin_logits(cosines, torch.tensor([0, 1, 2, 3, 0]), 0.0, 7.0), 7 * cosines)


def test_the_loss_of_a_hand_computed_case() -> None:
    # The feature (3, 4) / 5 between the directions (1, 0) and (0, 1), the second is right, m = .1, s = 2.
    margin = AngularMargin(2, 2)
    margin.directions.data = torch.tensor([[2.0, 0.0], [0.0, 0.5]])
    cosines = margin(torch.tensor([[30.0, 40.0]]))
    torch.testing.assert_close(cosines, torch.tensor([[0.6, 0.8]]))
    label = torch.tensor([1])
    loss = torch.nn.functional.cross_entropy(angular_margin_logits(cosines, label, 0.1, 2.0), label)
    right, wrong = math.exp(2 * math.cos(math.acos(0.8) + 0.1)), math.exp(2 * 0.6)
    assert loss.item() == pytest.approx(-math.log(right / (right + wrong)), abs=1e-6)


def test_the_right_logit_falls_all_the_way_round_without_a_jump() -> None:
    angles = torch.linspace(0.01, math.pi - 0.01, 2000)
    logits = angular_margin_logits(angles.cos()[:, None], torch.zeros(2000, dtype=torch.int64), 0.5, 1.0)[:, 0]
    steps = logits.diff()
    assert (steps < 0).all() and steps.abs().max() < 0.002


def test_gradients_are_finite_where_feature_and_direction_coincide_or_oppose() -> None:
    cosines = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    angular_margin_logits(cosines, torch.tensor([0, 0]), 0.4, 16.0).sum().backward()
    assert cosines.grad is not None and np.isfinite(cosines.grad.numpy()).all()
