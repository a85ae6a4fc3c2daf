"""Losses of generator and discriminator on one batch, by name; the loop is in `gan.train`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError
from data.faces.protocol import FaceEncoderInfo
from gan.augment import AugmentConfig, augment
from gan.balancer import Loss
from gan.condition import FaceBatch
from gan.config import ObjectiveConfig
from gan.identity import FaceNetwork, load_face_network
from gan.losses import gradient_penalty, identity_distance, pixel_loss, relativistic_loss, score_gradient
from gan.perceptual import Lpips, load_lpips, normalised_map_distance

Autocast = Callable[[], AbstractContextManager[Any]]


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
class AdversarialTerms:
    """Losses of the discriminator, and from the same pass the gradient of the generator's adversarial loss.

    Attributes:
        losses: Scalars with gradient, by name; their sum is minimised by the discriminator.
        statistics: Scalars without gradient, by name; they are only logged.
        drawing_gradient: Function that gives the gradient [N, 3, S, S] of the generator's adversarial loss at the
            drawings, after the backward pass of the losses. Its argument is the factor that they were multiplied by.
    """

    losses: dict[str, Tensor]
    statistics: dict[str, Tensor]
    drawing_gradient: Callable[[float], Tensor]


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
        ConfigError: If T doesn't take pictures of the configured size.
        ModelError: If weights are missing or damaged.
    """
    face_network: FaceNetwork | None = None
    lpips: Lpips | None = None
    if config.perceptual > 0 and config.perceptual_network != "face_network":
        lpips = load_lpips("alex" if config.perceptual_network == "lpips_alex" else "vgg").to(device)
    if config.identity > 0 or (config.perceptual > 0 and lpips is None):
        face_network = load_face_network(face_encoder, face_encoder_path)
        if config.face_network_size is not None:
            try:
                face_network(torch.zeros(1, 3, 64, 64), config.face_network_size)
            except RuntimeError:
                raise ConfigError(
                    f"objective.face_network_size {config.face_network_size}: {face_encoder.name} takes "
                    f"{face_network.input_size} px only; leave the key out"
                ) from None
        face_network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FrozenNetworks(face_network, lpips)


class Objective:
    """The losses of discriminator and generator.

    Args:
        config: Weights of the losses.
        augment_config: Augmentation of what the discriminator sees.
        networks: The pretrained networks that some losses need.
        feature_mean: [D] mean of T's features of the training faces.
        autocast: Enters the run's precision.
    """

    def __init__(
        self,
        config: ObjectiveConfig,
        augment_config: AugmentConfig,
        networks: FrozenNetworks,
        feature_mean: Tensor,
        autocast: Autocast,
    ) -> None:
        self.config = config
        self.augment_config = augment_config
        self.face_network = networks.face_network
        self.lpips = networks.lpips
        self.feature_mean = feature_mean
        self.judged_mean = feature_mean
        self.autocast = autocast
        # The adversary comes first: it is the balancer's reference where it is used at all.
        self.weights = {name: getattr(config, name) for name in ("adversarial", "identity", "perceptual", "pixel")}

    @torch.no_grad()
    def measure_judged_mean(self, crops: Tensor) -> None:
        """Take the centre of the identity loss from crops at the size that T sees, where it isn't T's own.

        Args:
            crops: [M, 3, S, S] uint8 training faces.
        """
        size = self.config.face_network_size
        if self.face_network is None or size is None:
            return
        device = self.feature_mean.device
        features = [self.face_network(part.to(device) / 127.5 - 1, size) for part in crops.split(64)]
        self.judged_mean = torch.cat(features).mean(dim=0)

    def adversarial(
        self, discriminator: nn.Module, batch: FaceBatch, drawings: Tensor, gamma: float, probability: float = 1.0
    ) -> AdversarialTerms:
        """Losses of the discriminator, and the generator's adversarial gradient.

        Both sides are updated from one pass of the discriminator (simultaneous gradient descent), because its gradient
        at a drawing is what both need: the generator's loss softplus(real - fake) and the discriminator's
        softplus(fake - real) differ in the factor of that gradient alone.

        A pair is scored with its condition where a photograph belongs to the condition, else without one: real faces
        with random conditions do not exist, and the discriminator would know drawings by their conditions.

        Args:
            discriminator: As wrapped for training.
            batch: Real images and conditions.
            drawings: [N, 3, S, S] float32 drawings for the batch's conditions that require gradients.
            gamma: Weight of the penalty.
            probability: Probability of the augmentation.

        Returns:
            Losses `adversarial`, `mismatched` and `penalty`; statistics `real_score` and `fake_score`, of which only
            the difference has a meaning, and `penalty`, unweighted.
        """
        num_images = len(batch.images)
        real_images = augment(batch.images, batch.numbers, self.augment_config, probability)
        augmented = augment(drawings, batch.numbers, self.augment_config, probability)
        conditions = torch.stack([batch.condition, batch.other_condition], dim=1)
        # Rows whose penalty is computed come first; both lists are on the CPU and their lengths known without waiting.
        penalised, others = batch.penalised.nonzero()[:, 0], (~batch.penalised).nonzero()[:, 0]
        order = torch.cat([penalised, others]).to(drawings.device, non_blocking=True)
        place = order.argsort()
        parts, score_parts, gradient, penalty = [], [], None, None
        for rows in (order[: len(penalised)], order[len(penalised) :]):
            if not len(rows):
                continue
            images = torch.stack([real_images[rows], augmented[rows].detach()]).flatten(0, 1).requires_grad_()
            with self.autocast():
                scores = discriminator(images, conditions[rows].repeat(2, 1, 1)).float().unflatten(0, (2, -1))
            if len(penalised) and gradient is None:
                own = torch.where(batch.pictured[rows], scores[..., 0], scores[..., -1])
                with self.autocast():
                    gradient = score_gradient(own, images)
                # One gradient serves R1 and R2: a sum of means over two halves is twice the mean over both.
                penalty = 2 * gradient_penalty(gradient)
            parts.append(images)
            score_parts.append(scores)
        real, fake = torch.cat(score_parts, dim=1)[:, place]
        pictured = batch.pictured
        real_own = torch.where(pictured, real[:, 0], real[:, -1])
        fake_own = torch.where(pictured, fake[:, 0], fake[:, -1])
        losses = {"adversarial": relativistic_loss(real_own, fake_own)}
        if self.config.mismatched:
            pairs = F.softplus(real[:, 1] - real[:, 0]) * pictured  # without a picture the condition isn't the face's
            losses["mismatched"] = self.config.mismatched * pairs.mean()
        statistics = {"real_score": real_own.detach().mean(), "fake_score": fake_own.detach().mean()}
        if penalty is not None:
            # By the share that is meant, not the one in this part of a batch: so parts add up to the whole.
            losses["penalty"] = gamma * penalty * len(penalised) / (self.config.penalised_share * num_images)
            statistics["penalty"] = penalty.detach()

        def drawing_gradient(factor: float) -> Tensor:
            # d softplus(fake - real) / d fake is sigmoid(fake - real), d softplus(real - fake) / d fake is
            # -sigmoid(real - fake); the latter is the former times -exp(real - fake).
            difference = (real_own - fake_own).detach().clamp(-30, 30)
            gradients = []
            for number, images in enumerate(parts):
                if number == 0 and gradient is not None:
                    # The backward pass added the penalty's gradient to these rows: take the scores' own.
                    weights = -torch.sigmoid(difference[order[: len(penalised)]]) / num_images
                    gradients.append(weights[:, None, None, None] * gradient.detach().chunk(2)[1])
                else:
                    assert images.grad is not None
                    weights = -difference[order[len(penalised) :]].exp() / factor
                    gradients.append(weights[:, None, None, None] * images.grad.float().chunk(2)[1])
            return torch.autograd.grad(augmented, drawings, torch.cat(gradients)[place])[0]

        return AdversarialTerms(losses, statistics, drawing_gradient)

    def judge(self, batch: FaceBatch, drawings: Tensor, images_seen: int) -> dict[str, Loss]:
        """Losses of the generator besides the adversarial one; the balancer combines them.

        Args:
            batch: Real images and conditions.
            drawings: [N, 3, S, S] float32 drawings that require gradients.
            images_seen: Images seen before this step.

        Returns:
            A loss for each weight above zero whose time it is.
        """
        config = self.config
        reconstructs = config.reconstruction_end is None or images_seen < config.reconstruction_end
        seen = batch.pictured if config.voice_judged else batch.pictured & ~batch.from_voice
        losses: dict[str, Loss] = {}
        if config.pixel > 0 and reconstructs:
            losses["pixel"] = Loss(pixel_loss(drawings, batch.images, seen.float()))
        perceptual = config.perceptual > 0 and reconstructs
        rows = batch.judged.nonzero()[:, 0]
        names = [name for name, used in (("identity", config.identity > 0), ("perceptual", perceptual)) if used]
        if not names:
            return losses
        if not len(rows):  # of a small part of a batch: the balancer needs the same losses in all processes
            return losses | {name: Loss(0 * drawings.sum(), config.judged_share) for name in names}
        # By the share that is meant, as for the penalty.
        coverage = config.judged_share
        weight = len(rows) / (coverage * len(batch.judged))
        rows = rows.to(drawings.device, non_blocking=True)
        # Clamped as for display: a network that ignores the range would pull drawings out of it.
        fake, real = drawings[rows].clamp(-1, 1), batch.images[rows]
        with self.autocast():
            if self.face_network is not None and (config.identity > 0 or self.lpips is None):
                fake_maps, fake_features = self.face_network.maps_and_features(fake, config.face_network_size)
                with torch.no_grad():
                    # The target is what T sees in this very crop, mirrored and small as it is: a drawing that equals
                    # it can't be told from it, whereas T's feature of the photograph is out of reach (cosine .85).
                    real_maps, real_features = self.face_network.maps_and_features(real, config.face_network_size)
                if config.identity > 0:
                    # Conditions are features at T's own size, drawings perhaps not: each has its own centre.
                    others = batch.condition[rows] - self.feature_mean + self.judged_mean
                    targets = torch.where(batch.pictured[rows, None], real_features, others)
                    distance = identity_distance(fake_features, targets, self.judged_mean)
                    losses["identity"] = Loss(weight * distance.mean(), coverage)
                if perceptual and self.lpips is None:
                    distance = normalised_map_distance(fake_maps, real_maps)
                    losses["perceptual"] = Loss(weight * (seen[rows] * distance).mean(), coverage)
            if perceptual and self.lpips is not None:
                losses["perceptual"] = Loss(weight * (seen[rows] * self.lpips(fake, real)).mean(), coverage)
        return losses
