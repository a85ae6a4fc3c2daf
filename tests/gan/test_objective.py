from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch
from torch import nn

from data.faces.registry import load_recognizer
from gan.augment import NUMBERS, AugmentConfig
from gan.condition import FaceBatch
from gan.config import ObjectiveConfig
from gan.discriminator import Discriminator, DiscriminatorConfig
from gan.identity import load_face_network
from gan.objective import FrozenNetworks, Objective, frozen
from tests.synthetic import TinyWorld

PLAIN = ObjectiveConfig(identity=0, perceptual=0, voice_judged=False)
NO_CHANGE = AugmentConfig(0, 0, 0)


class LinearDiscriminator(nn.Module):
    """Scores w . x for the first condition, and nothing for the second."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3 * 64 * 64) / 100)

    def forward(self, images: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
        scores = images.flatten(1) @ self.weights
        return torch.stack([scores, torch.zeros_like(scores)][: feature.shape[1]], dim=1)


def make_batch(num_images: int = 4, feature_size: int = 6) -> FaceBatch:
    torch.manual_seed(0)
    return FaceBatch(
        images=torch.rand(num_images, 3, 64, 64) * 2 - 1,
        condition=torch.randn(num_images, feature_size),
        other_condition=torch.randn(num_images, feature_size),
        true_feature=torch.randn(num_images, feature_size),
        from_voice=torch.tensor([True, False] * (num_images // 2)),
        noise=torch.randn(num_images, 2, 4),
        numbers=torch.rand(num_images, 2, NUMBERS),
    )


def make_objective(config: ObjectiveConfig = PLAIN) -> Objective:
    return Objective(config, NO_CHANGE, FrozenNetworks(), contextlib.nullcontext)


def test_the_penalty_is_half_gamma_times_r1_plus_r2() -> None:
    discriminator, batch = LinearDiscriminator(), make_batch()
    terms = make_objective().discriminator_terms(discriminator, batch, torch.zeros_like(batch.images), 3.0)
    # For a linear discriminator R1 = R2 = ||w||^2, so gamma / 2 (R1 + R2) = gamma ||w||^2.
    assert terms.losses["penalty"].item() == pytest.approx(3 * discriminator.weights.square().sum().item(), rel=1e-5)


def test_real_images_with_another_persons_condition_count_as_fakes() -> None:
    discriminator, batch = LinearDiscriminator(), make_batch()
    terms = make_objective().discriminator_terms(discriminator, batch, torch.zeros_like(batch.images), 0.0)
    scores = batch.images.flatten(1) @ discriminator.weights
    assert terms.losses["mismatched"].item() == pytest.approx(
        0.5 * nn.functional.softplus(-scores).mean().item(), rel=1e-5
    )
    assert set(terms.losses) == {"adversarial", "mismatched"}
    assert all(loss.requires_grad for loss in terms.losses.values())
    assert not any(value.requires_grad for value in terms.statistics.values())


def test_the_generators_phase_leaves_no_gradient_in_the_discriminator() -> None:
    discriminator, batch = Discriminator(DiscriminatorConfig(widths=(8, 8, 4, 4, 4)), 6, 64), make_batch()
    drawing = torch.zeros_like(batch.images).requires_grad_()
    terms = make_objective().generator_losses(discriminator, batch, drawing)
    sum(terms.values()).backward()
    assert drawing.grad is not None and drawing.grad.abs().sum() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in discriminator.parameters())


def test_a_module_is_trainable_again_also_after_an_error_and_what_was_frozen_stays_so() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    with pytest.raises(RuntimeError), frozen(module):
        assert not module.weight.requires_grad
        raise RuntimeError
    assert module.weight.requires_grad and not module.bias.requires_grad


def test_drawings_from_a_voice_are_not_compared_with_the_pixels_of_one_crop() -> None:
    batch, objective = make_batch(), make_objective()
    drawing = torch.zeros_like(batch.images).requires_grad_()
    objective.generator_losses(None, batch, drawing)["pixel"].backward()
    pull = drawing.grad.flatten(1).abs().sum(1)
    assert (pull[batch.from_voice] == 0).all() and (pull[~batch.from_voice] > 0).all()
    everything = make_objective(dataclasses.replace(PLAIN, voice_judged=True))
    drawing.grad = None
    everything.generator_losses(None, batch, drawing)["pixel"].backward()
    assert (drawing.grad.flatten(1).abs().sum(1) > 0).all()


def test_without_a_discriminator_the_adversarial_loss_is_absent() -> None:
    batch = make_batch()
    terms = make_objective().generator_losses(None, batch, torch.zeros_like(batch.images).requires_grad_())
    assert set(terms) == {"pixel"}


def test_identity_and_perceptual_losses_see_clamped_drawings(tiny_world: TinyWorld) -> None:
    info = load_recognizer("insightface:tiny", tiny_world.pack_root).info
    networks = FrozenNetworks(load_face_network(info))
    config = dataclasses.replace(PLAIN, identity=1.0, perceptual=1.0, pixel=0.0, adversarial=0.0, judged_share=1.0)
    batch = make_batch(feature_size=info.feature_size)
    drawing = (2 * batch.images.flip(0)).requires_grad_()
    terms = Objective(config, NO_CHANGE, networks, contextlib.nullcontext).generator_losses(None, batch, drawing)
    assert set(terms) == {"identity", "perceptual"}
    sum(terms.values()).backward()
    outside = drawing.detach().abs() > 1
    assert (drawing.grad[outside] == 0).all() and (drawing.grad[~outside] != 0).any()
