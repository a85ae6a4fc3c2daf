"""Losses of generator and discriminator on one batch, by name; the loop is in `gan.train`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.faces.protocol import FaceEncoderInfo
from gan.augment import AugmentConfig, augment
from gan.condition import FaceBatch
from gan.config import ObjectiveConfig
from gan.identity import FaceNetwork, load_face_network
from gan.losses import gradient_penalty, identity_loss, pixel_loss, relativistic_loss
from gan.perceptual import Lpips, load_lpips, normalised_map_distance

Autocast = Callable[[], AbstractContextManager[Any]]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Switch off `requires_grad` of a module's parameters, so that gradients only pass through; restored on exit."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@dataclass(frozen=True)
class FrozenNetworks:
    """The pretrained networks that some losses need.

    Attributes:
        face_network: T, for the identity loss and the perceptual loss by its maps; None if no loss needs it.
        lpips: LPIPS, for the perceptual loss by it; None if no loss needs it.
    """

    face_network: FaceNetwork | None = None
    lpips: Lpips | None = None


@dataclass(frozen=True)
class Terms:
    """Losses and statistics of one phase for a batch.

    Attributes:
        losses: Scalars with gradient, by name; their sum is minimised.
        statistics: Scalars without gradient, by name; they are only logged.
    """

    losses: dict[str, Tensor]
    statistics: dict[str, Tensor]


def load_frozen_networks(
    config: ObjectiveConfig,
    face_encoder: FaceEncoderInfo,
    face_encoder_path: str | None,
    device: torch.device,
) -> FrozenNetworks:
    """Load the networks that the configured losses need.

    Args:
        config: Weights of the losses.
        face_encoder: T, as the data set names it.
        face_encoder_path: Path of T's file, if it is not where the data set says.
        device: Device of the networks.

    Raises:
        ModelError: If weights are missing or damaged.
    """
    face_network: FaceNetwork | None = None
    lpips: Lpips | None = None
    if config.perceptual > 0 and config.perceptual_network != "face_network":
        lpips = load_lpips("alex" if config.perceptual_network == "lpips_alex" else "vgg").to(device)
    if config.identity > 0 or (config.perceptual > 0 and lpips is None):
        face_network = load_face_network(face_encoder, face_encoder_path)
        face_network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FrozenNetworks(face_network, lpips)


class Objective:
    """The losses of both phases.

    Args:
        config: Weights of the losses.
        augment_config: Augmentation of what the discriminator sees.
        networks: The pretrained networks that some losses need.
        autocast: Enters the run's precision; the penalty stays outside of it.
    """

    def __init__(
        self, config: ObjectiveConfig, augment_config: AugmentConfig, networks: FrozenNetworks, autocast: Autocast
    ) -> None:
        self.config = config
        self.augment_config = augment_config
        self.face_network = networks.face_network
        self.lpips = networks.lpips
        self.autocast = autocast
        # A stride, not the first rows: the same drawings are chosen however the batch is spread over processes.
        self.stride = round(1 / config.judged_share)
        # The adversary comes first: it is the balancer's reference where it is used at all.
        self.weights = {name: getattr(config, name) for name in ("adversarial", "identity", "perceptual", "pixel")}

    def discriminator_terms(
        self, discriminator: nn.Module, batch: FaceBatch, fake_images: Tensor, penalty_weight: float
    ) -> Terms:
        """Losses and statistics of the discriminator.

        Args:
            discriminator: As wrapped for training.
            batch: Real images and conditions.
            fake_images: [N, 3, S, S] drawings for the batch's conditions, without gradient.
            penalty_weight: Gamma times the interval in the steps that have a penalty, else 0.

        Returns:
            Losses `adversarial`, `mismatched` and, in its steps, `penalty`; statistics `real_score` and `fake_score`,
            of which only the difference has a meaning.
        """
        images = torch.cat([batch.images, fake_images.float()])
        images = augment(images, batch.numbers[:, 0].repeat(2, 1), self.augment_config)
        conditions = torch.stack([batch.condition, batch.other_condition], dim=1).repeat(2, 1, 1)
        if penalty_weight > 0:
            images = images.detach().requires_grad_()
            scores = discriminator(images, conditions)
        else:
            with self.autocast():
                scores = discriminator(images, conditions)
        (real, mismatched), (fake, _) = (half.unbind(1) for half in scores.float().chunk(2))
        losses = {
            "adversarial": relativistic_loss(real, fake),
            "mismatched": self.config.mismatched * relativistic_loss(real, mismatched),
        }
        if penalty_weight > 0:
            # One gradient serves R1 and R2: a sum of means over two halves is twice the mean over both.
            losses["penalty"] = penalty_weight * 2 * gradient_penalty(torch.cat([real, fake]), images)
        return Terms(losses, {"real_score": real.detach().mean(), "fake_score": fake.detach().mean()})

    def generator_losses(
        self, discriminator: nn.Module | None, batch: FaceBatch, fake_images: Tensor
    ) -> dict[str, Tensor]:
        """Losses of the generator, each a scalar function of the drawings; the balancer combines them.

        Args:
            discriminator: Unwrapped; it gets no gradients. None where there is no adversary.
            batch: Real images and conditions.
            fake_images: [N, 3, S, S] float32 drawings that require gradients.

        Returns:
            A loss for each weight above zero.
        """
        losses: dict[str, Tensor] = {}
        if discriminator is not None:
            losses["adversarial"] = self._adversarial(discriminator, batch, fake_images)
        # Clamped as for display: a network that ignores the range would pull drawings out of it.
        fake, real = fake_images[:: self.stride].clamp(-1, 1), batch.images[:: self.stride]
        seen = torch.ones_like(batch.from_voice) if self.config.voice_judged else ~batch.from_voice
        weights = seen[:: self.stride].float()
        with self.autocast():
            if self.face_network is not None:
                fake_maps, fake_features = self.face_network.maps_and_features(fake)
                if self.config.identity > 0:
                    losses["identity"] = identity_loss(fake_features, batch.true_feature[:: self.stride])
                if self.config.perceptual > 0 and self.lpips is None:
                    with torch.no_grad():
                        real_maps, _ = self.face_network.maps_and_features(real)
                    losses["perceptual"] = (weights * normalised_map_distance(fake_maps, real_maps)).mean()
            if self.config.perceptual > 0 and self.lpips is not None:
                losses["perceptual"] = (weights * self.lpips(fake, real)).mean()
        if self.config.pixel > 0:
            losses["pixel"] = pixel_loss(fake_images, batch.images, seen.float())
        return losses

    def _adversarial(self, discriminator: nn.Module, batch: FaceBatch, fake_images: Tensor) -> Tensor:
        numbers = batch.numbers[:, 1]
        conditions = batch.condition.unsqueeze(1)
        with frozen(discriminator), self.autocast():
            with torch.no_grad():
                real_images = augment(batch.images, numbers, self.augment_config)
                real_scores = discriminator(real_images, conditions)
            fake_scores = discriminator(augment(fake_images, numbers, self.augment_config), conditions)
        return relativistic_loss(fake_scores.float(), real_scores.float())
