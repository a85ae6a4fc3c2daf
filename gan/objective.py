"""What generator and discriminator are trained for: named loss terms of one batch, nothing of the loop."""

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
    """Let gradients flow through a module but not into it; restores what was, also after an error."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@dataclass(frozen=True)
class Judges:
    """The frozen networks that look at drawings; None where no term needs them."""

    face_network: FaceNetwork | None = None
    lpips: Lpips | None = None


def load_judges(
    config: ObjectiveConfig,
    face_encoder: FaceEncoderInfo,
    face_encoder_path: str | None,
    device: torch.device,
) -> Judges:
    """Load what the configured terms need.

    Args:
        config: Which terms there are.
        face_encoder: T, as the data set names it.
        face_encoder_path: Where T's file is, if not where the data set says.
        device: Where the judges live.

    Raises:
        ModelError: If a judge's weights are missing or damaged.
    """
    face_network: FaceNetwork | None = None
    lpips: Lpips | None = None
    if config.perceptual > 0 and config.perceptual_network != "face_network":
        lpips = load_lpips("alex" if config.perceptual_network == "lpips_alex" else "vgg").to(device)
    if config.identity > 0 or (config.perceptual > 0 and lpips is None):
        face_network = load_face_network(face_encoder, face_encoder_path)
        face_network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Judges(face_network, lpips)


class Objective:
    """The loss terms.

    Args:
        config: Which terms, and how much of each.
        augment_config: What images go through on their way to the discriminator.
        judges: The networks that some terms need.
        autocast: Enters the run's precision; the penalty stays outside of it.
    """

    def __init__(
        self, config: ObjectiveConfig, augment_config: AugmentConfig, judges: Judges, autocast: Autocast
    ) -> None:
        self.config = config
        self.augment_config = augment_config
        self.face_network = judges.face_network
        self.lpips = judges.lpips
        self.autocast = autocast
        # A stride, not the first rows: the same drawings are judged however the batch is spread over processes.
        self.stride = round(1 / config.judged_share)
        # The adversary comes first: it is the balancer's reference where it is used at all.
        self.weights = {name: getattr(config, name) for name in ("adversarial", "identity", "perceptual", "pixel")}

    def discriminator_terms(
        self, discriminator: nn.Module, batch: FaceBatch, fake_images: Tensor, penalty_weight: float
    ) -> dict[str, Tensor]:
        """Loss terms of the discriminator; their sum is minimised.

        Args:
            discriminator: As wrapped for training.
            batch: Real images and conditions.
            fake_images: [N, 3, S, S] drawings for the batch's conditions, without gradient.
            penalty_weight: Gamma times the interval in the steps that have a penalty, else 0.

        Returns:
            `adversarial`, `mismatched` and, in its steps, `penalty`; besides, without gradient, `real_score` and
            `fake_score`, relative to each other and therefore logged together.
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
        terms = {
            "adversarial": relativistic_loss(real, fake),
            "mismatched": self.config.mismatched * relativistic_loss(real, mismatched),
        }
        if penalty_weight > 0:
            # One gradient serves R1 and R2: a sum of means over two halves is twice the mean over both.
            terms["penalty"] = penalty_weight * 2 * gradient_penalty(torch.cat([real, fake]), images)
        return terms | {"real_score": real.detach().mean(), "fake_score": fake.detach().mean()}

    def generator_terms(
        self, discriminator: nn.Module | None, batch: FaceBatch, fake_images: Tensor
    ) -> dict[str, Tensor]:
        """Loss terms of the generator, each a scalar function of the drawings; the balancer combines them.

        Args:
            discriminator: Unwrapped; it gets no gradients. None where there is no adversary.
            batch: Real images and conditions.
            fake_images: [N, 3, S, S] float32 drawings that require gradients.

        Returns:
            A term for each weight above zero.
        """
        terms: dict[str, Tensor] = {}
        if discriminator is not None:
            terms["adversarial"] = self._adversarial(discriminator, batch, fake_images)
        # Judged as they would be shown: a network that knows nothing of the range would pull drawings out of it.
        fake, real = fake_images[:: self.stride].clamp(-1, 1), batch.images[:: self.stride]
        seen = torch.ones_like(batch.from_voice) if self.config.voice_judged else ~batch.from_voice
        weights = seen[:: self.stride].float()
        with self.autocast():
            if self.face_network is not None:
                fake_maps, fake_features = self.face_network.maps_and_features(fake)
                if self.config.identity > 0:
                    terms["identity"] = identity_loss(fake_features, batch.true_feature[:: self.stride])
                if self.config.perceptual > 0 and self.lpips is None:
                    with torch.no_grad():
                        real_maps, _ = self.face_network.maps_and_features(real)
                    terms["perceptual"] = (weights * normalised_map_distance(fake_maps, real_maps)).mean()
            if self.config.perceptual > 0 and self.lpips is not None:
                terms["perceptual"] = (weights * self.lpips(fake, real)).mean()
        if self.config.pixel > 0:
            terms["pixel"] = pixel_loss(fake_images, batch.images, seen.float())
        return terms

    def _adversarial(self, discriminator: nn.Module, batch: FaceBatch, fake_images: Tensor) -> Tensor:
        numbers = batch.numbers[:, 1]
        conditions = batch.condition.unsqueeze(1)
        with frozen(discriminator), self.autocast():
            with torch.no_grad():
                real_images = augment(batch.images, numbers, self.augment_config)
                real_scores = discriminator(real_images, conditions)
            fake_scores = discriminator(augment(fake_images, numbers, self.augment_config), conditions)
        return relativistic_loss(fake_scores.float(), real_scores.float())
