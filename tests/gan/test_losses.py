from __future__ import annotations

import math

import pytest
import torch

from gan.losses import gradient_penalty, identity_distance, pixel_loss, relativistic_loss, score_gradient


def test_the_relativistic_loss_is_log_two_where_both_score_alike() -> None:
    assert relativistic_loss(torch.tensor([3.0]), torch.tensor([3.0])).item() == pytest.approx(math.log(2))


def test_the_relativistic_loss_is_the_mean_of_softplus_of_the_negative_difference() -> None:
    loss = relativistic_loss(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert loss.item() == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2)


def test_the_penalty_of_a_linear_discriminator_is_half_its_squared_weights() -> None:
    weights = torch.randn(12, requires_grad=True)
    images = torch.randn(5, 3, 2, 2, requires_grad=True)
    penalty = gradient_penalty(score_gradient(images.flatten(1) @ weights, images))
    assert penalty.item() == pytest.approx(0.5 * weights.square().sum().item(), rel=1e-6)
    penalty.backward()
    torch.testing.assert_close(weights.grad, weights.detach())


def test_the_identity_distance_is_that_of_directions_from_the_mean_face() -> None:
    mean, offset = torch.tensor([3.0, -1.0]), torch.tensor([[1.0, 2.0]])
    fakes = mean + torch.cat([3 * offset, -offset, torch.tensor([[-2.0, 1.0]])])
    distances = identity_distance(fakes, mean + offset, mean)
    torch.testing.assert_close(distances, torch.tensor([0.0, 2.0, 1.0]), atol=1e-6, rtol=0)


def test_the_pixel_loss_sees_half_of_the_resolution_and_weighs_each_pair() -> None:
    checkers = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4).expand(2, 3, 8, 8)
    assert pixel_loss(checkers, torch.zeros_like(checkers), torch.ones(2)).item() == 0
    ones = torch.ones(2, 3, 8, 8)
    assert pixel_loss(ones, -ones, torch.tensor([1.0, 0.0])).item() == pytest.approx(1.0)
