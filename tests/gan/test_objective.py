from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import gan.objective as objective_module
from data.errors import ConfigError
from data.faces.registry import load_recognizer
from gan.augment import AugmentConfig, augment
from gan.condition import FaceBatch
from gan.config import ObjectiveConfig
from gan.discriminator import Discriminator, DiscriminatorConfig
from gan.identity import FaceNetwork, load_face_network
from gan.objective import FrozenNetworks, Objective
from tests.gan.batches import make_batch
from tests.synthetic import TinyWorld, draw_face

PLAIN = ObjectiveConfig(identity=0, perceptual=0, voice_judged=False, penalised_share=1.0, judged_share=1.0)
NO_CHANGE = AugmentConfig(0, 0, 0)


class LinearDiscriminator(nn.Module):
    """Scores w . x for the first condition, and nothing for the others."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3 * 64 * 64) / 100)

    def forward(self, images: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
        scores = images.flatten(1) @ self.weights
        return torch.stack([scores, torch.zeros_like(scores), torch.zeros_like(scores)], dim=1)


def make_objective(
    config: ObjectiveConfig = PLAIN,
    augment_config: AugmentConfig = NO_CHANGE,
    networks: FrozenNetworks | None = None,
    mean: torch.Tensor | None = None,
) -> Objective:
    mean = torch.zeros(6) if mean is None else mean
    return Objective(config, augment_config, networks or FrozenNetworks(), mean, contextlib.nullcontext)


def trained_discriminator() -> Discriminator:
    torch.manual_seed(3)
    discriminator = Discriminator(DiscriminatorConfig(widths=(8, 8, 4, 4, 4), condition_size=8), 6, 64)
    for parameter in discriminator.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return discriminator


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("mixed", [(), (1, 3, 6)])
@pytest.mark.parametrize("changes", [NO_CHANGE, AugmentConfig(0.125, 0.2, 0.3)])
def test_one_pass_gives_the_losses_and_gradients_of_two_passes(
    share: float, mixed: tuple[int, ...], changes: AugmentConfig
) -> None:
    """Against losses and autograd as the papers' formulas say, for both networks, also inside a part of a batch."""
    batch = make_batch(penalised_share=share, mixed=mixed)
    discriminator, gamma, factor = trained_discriminator(), 0.7, 0.5
    drawings = torch.tanh(torch.randn(8, 3, 64, 64)).requires_grad_()
    config = dataclasses.replace(PLAIN, mismatched=0.5, penalised_share=share)
    terms = make_objective(config, changes).adversarial(discriminator, batch, drawings, gamma, 0.8)
    (sum(terms.losses.values()) * factor).backward()
    gradients = [parameter.grad.clone() for parameter in discriminator.parameters()]
    at_drawings = terms.drawing_gradient(factor)
    assert drawings.grad is None

    def own_score(images: torch.Tensor) -> torch.Tensor:
        scores = discriminator(images, batch.condition[:, None])
        return torch.where(batch.pictured, scores[:, 0], scores[:, 1])

    real = augment(batch.images, batch.numbers, changes, 0.8).requires_grad_()
    again = drawings.detach().clone().requires_grad_()
    fake = augment(again, batch.numbers, changes, 0.8)
    seen = fake.detach().requires_grad_()
    real_scores, fake_scores = own_score(real), own_score(seen)
    expected = {"adversarial": F.softplus(fake_scores - real_scores).mean()}
    right = discriminator(real, batch.condition[:, None])[:, 0]
    wrong = discriminator(real, batch.other_condition[:, None])[:, 0]
    expected["mismatched"] = 0.5 * (F.softplus(wrong - right) * batch.pictured).mean()
    squares = [
        torch.autograd.grad(scores.sum(), images, create_graph=True)[0].flatten(1).square().sum(1)[batch.penalised]
        for scores, images in ((real_scores, real), (fake_scores, seen))
    ]
    expected["penalty"] = gamma / 2 * (squares[0] + squares[1]).sum() / (share * 8)
    for name, loss in expected.items():
        assert terms.losses[name].item() == pytest.approx(loss.item(), rel=1e-4), name
    assert terms.losses.keys() == expected.keys()
    assert not any(value.requires_grad for value in terms.statistics.values())
    theirs = torch.autograd.grad(sum(expected.values()) * factor, list(discriminator.parameters()), allow_unused=True)
    for gradient, other in zip(gradients, theirs, strict=True):
        other = torch.zeros_like(gradient) if other is None else other
        torch.testing.assert_close(gradient, other, rtol=2e-3, atol=2e-4 * float(gradient.abs().max()) + 1e-9)

    loss = F.softplus(real_scores.detach() - own_score(fake)).mean()
    (wanted,) = torch.autograd.grad(loss, again)
    assert wanted.abs().max() > 0
    torch.testing.assert_close(at_drawings, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("share", [0.125, 0.5, 1.0])
def test_the_penalty_is_half_gamma_times_r1_plus_r2_whatever_share_is_penalised(share: float) -> None:
    discriminator, batch = LinearDiscriminator(), make_batch(penalised_share=share)
    objective = make_objective(dataclasses.replace(PLAIN, penalised_share=share))
    drawings = torch.zeros_like(batch.images).requires_grad_()
    # For a linear discriminator R1 = R2 = ||w||^2, so gamma / 2 (R1 + R2) = gamma ||w||^2; parts of a batch add up.
    parts = [batch[slice(0, 4)], batch[slice(4, 8)]]
    penalties = [
        objective.adversarial(discriminator, part, drawings[:4], 3.0).losses.get("penalty", torch.zeros(()))
        for part in parts
    ]
    mean = torch.stack(penalties).mean().item()
    assert mean == pytest.approx(3 * discriminator.weights.square().sum().item(), rel=1e-5)


def test_real_images_with_another_persons_condition_count_as_fakes() -> None:
    discriminator, batch = LinearDiscriminator(), make_batch(mixed=(1,))
    drawings = torch.zeros_like(batch.images).requires_grad_()
    terms = make_objective().adversarial(discriminator, batch, drawings, 0.0)
    scores = batch.images.flatten(1) @ discriminator.weights
    # Nobody's picture belongs to a mixed condition: there is no right pair that could be compared with a wrong one.
    expected = 0.5 * (F.softplus(-scores) * batch.pictured).mean().item()
    assert terms.losses["mismatched"].item() == pytest.approx(expected, rel=1e-5)
    off = make_objective(dataclasses.replace(PLAIN, mismatched=0.0))
    assert set(off.adversarial(discriminator, batch, drawings, 1.0).losses) == {"adversarial", "penalty"}


def test_drawings_from_a_voice_or_a_mixed_condition_are_not_compared_with_the_pixels_of_one_crop() -> None:
    batch, objective = make_batch(mixed=(1,)), make_objective()
    drawing = torch.zeros_like(batch.images).requires_grad_()
    objective.judge(batch, drawing, 0)["pixel"].value.backward()
    pull = drawing.grad.flatten(1).abs().sum(1)
    compared = batch.pictured & ~batch.from_voice
    assert (pull[~compared] == 0).all() and (pull[compared] > 0).all()
    everything = make_objective(dataclasses.replace(PLAIN, voice_judged=True))
    drawing.grad = None
    everything.judge(batch, drawing, 0)["pixel"].value.backward()
    assert torch.equal(drawing.grad.flatten(1).abs().sum(1) > 0, batch.pictured)


@pytest.fixture(scope="module")
def face_network(tiny_world: TinyWorld) -> FaceNetwork:
    return load_face_network(load_recognizer("insightface:tiny", tiny_world.pack_root).info)


def identity_objective(network: FaceNetwork, **changes: object) -> Objective:
    settings: dict[str, object] = {"identity": 1.0, "perceptual": 1.0, "pixel": 1.0, "adversarial": 0.0}
    config = dataclasses.replace(PLAIN, **settings | changes)
    return make_objective(config, networks=FrozenNetworks(network), mean=torch.full((32,), 0.01))


def face_batch(network: FaceNetwork, **options: object) -> FaceBatch:
    faces = [torch.from_numpy(draw_face(person)).permute(2, 0, 1) for person in range(8)]
    batch = make_batch(feature_size=32, **options)  # type: ignore[arg-type]
    batch = dataclasses.replace(batch, images=torch.stack(faces), flipped=torch.arange(8) % 2 == 1)
    return batch.to(torch.device("cpu"))


def test_a_drawing_that_equals_its_crop_has_no_identity_loss_also_where_the_crop_is_mirrored(
    face_network: FaceNetwork,
) -> None:
    batch = face_batch(face_network)
    judged = identity_objective(face_network).judge(batch, batch.images.clone(), 0)
    for name in ("identity", "perceptual", "pixel"):
        assert judged[name].value.item() == pytest.approx(0, abs=1e-5), name
    others = identity_objective(face_network).judge(batch, batch.images.flip(0), 0)
    assert others["identity"].value.item() > 0.05


def test_where_no_photograph_belongs_to_a_condition_the_drawing_should_have_its_feature(
    face_network: FaceNetwork,
) -> None:
    batch = face_batch(face_network, mixed=tuple(range(8)))
    objective, drawings = identity_objective(face_network, perceptual=0.0, pixel=0.0), batch.images.flip(0)
    wanted = dataclasses.replace(batch, condition=face_network(drawings))
    assert objective.judge(wanted, drawings, 0)["identity"].value.item() == pytest.approx(0, abs=1e-5)
    assert objective.judge(batch, drawings, 0)["identity"].value.item() > 0.05


class AnySize(nn.Module):
    """A face network that takes pictures of any size, and whose features depend on it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.Sequential(nn.Conv2d(3, 32, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(images.shape[-1])
        return self.layers(images) + 0.01 * images.shape[-1]


def test_the_losses_may_show_smaller_pictures_to_the_face_network_and_have_a_centre_of_that_size() -> None:
    network = FaceNetwork(AnySize(), input_size=112, input_mean=127.5, input_std=127.5, num_maps=1)
    batch = face_batch(network, mixed=(0,))
    objective = identity_objective(network, face_network_size=64, perceptual=0.0, pixel=0.0)
    crops = ((batch.images + 1) * 127.5).round().to(torch.uint8)
    objective.measure_judged_mean(crops)
    torch.testing.assert_close(objective.judged_mean, network(batch.images, 64).mean(0), rtol=1e-3, atol=1e-4)
    network.network.sizes.clear()  # type: ignore[union-attr,operator]
    drawings = batch.images.clone()
    # A mixed condition is a feature at the network's own size: away from its own centre as the drawing from its.
    batch.condition[0] = objective.feature_mean + 3 * (network(drawings[:1], 64)[0] - objective.judged_mean)
    assert objective.judge(batch, drawings, 0)["identity"].value.item() == pytest.approx(0, abs=1e-4)
    assert network.network.sizes == [64, 64, 64]  # type: ignore[union-attr]
    whole = identity_objective(network)
    whole.measure_judged_mean(crops)
    assert torch.equal(whole.judged_mean, whole.feature_mean)


def test_a_face_network_of_one_size_is_not_shown_another(
    tiny_world: TinyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = load_recognizer("insightface:tiny", tiny_world.pack_root).info
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 112 * 112, 32))
    network = FaceNetwork(fixed, input_size=112, input_mean=127.5, input_std=127.5)
    monkeypatch.setattr(objective_module, "load_face_network", lambda *_: network)
    config = dataclasses.replace(PLAIN, identity=1.0, face_network_size=80)
    with pytest.raises(ConfigError, match="face_network_size 80: insightface:tiny/tiny takes 112 px only"):
        objective_module.load_frozen_networks(config, info, None, torch.device("cpu"))
    with pytest.raises(ConfigError, match="face_network_size 32: at least 64 px"):
        dataclasses.replace(PLAIN, face_network_size=32)


def test_a_share_of_the_drawings_is_judged_and_parts_of_a_batch_add_up(face_network: FaceNetwork) -> None:
    objective = identity_objective(face_network, judged_share=0.25)
    batch = face_batch(face_network, judged_share=0.25)
    assert batch.judged.sum() == 2
    drawings = batch.images.flip(0).requires_grad_()
    loss = objective.judge(batch, drawings, 0)["identity"]
    assert loss.coverage == 0.25
    loss.value.backward()
    assert torch.equal(drawings.grad.flatten(1).abs().sum(1) > 0, batch.judged)
    every = dataclasses.replace(batch, judged=torch.ones(8, dtype=torch.bool))
    rows = batch.judged
    distances = [
        identity_objective(face_network).judge(every[slice(i, i + 1)], drawings[i : i + 1], 0)["identity"].value.item()
        for i in range(8)
        if rows[i]
    ]
    assert loss.value.item() == pytest.approx(sum(distances) / 2, rel=1e-4)
    parts = [
        objective.judge(batch[part], drawings[part], 0)["identity"].value.item() for part in (slice(0, 5), slice(5, 8))
    ]
    assert (5 * parts[0] + 3 * parts[1]) / 8 == pytest.approx(loss.value.item(), rel=1e-4)


def test_reconstruction_ends_where_it_should(face_network: FaceNetwork) -> None:
    objective, batch = identity_objective(face_network, reconstruction_end=100), face_batch(face_network)
    drawings = batch.images.flip(0).requires_grad_()
    assert set(objective.judge(batch, drawings, 99)) == {"identity", "perceptual", "pixel"}
    assert set(objective.judge(batch, drawings, 100)) == {"identity"}


def test_without_networks_the_pixel_loss_is_alone() -> None:
    batch = make_batch()
    assert set(make_objective().judge(batch, torch.zeros_like(batch.images).requires_grad_(), 0)) == {"pixel"}


def test_identity_and_perceptual_losses_see_clamped_drawings(face_network: FaceNetwork) -> None:
    batch = make_batch(feature_size=32)
    drawing = (2 * batch.images.flip(0)).requires_grad_()
    losses = identity_objective(face_network, pixel=0.0, voice_judged=True).judge(batch, drawing, 0)
    assert set(losses) == {"identity", "perceptual"}
    sum(loss.value for loss in losses.values()).backward()
    outside = drawing.detach().abs() > 1
    assert (drawing.grad[outside] == 0).all() and (drawing.grad[~outside] != 0).any()
