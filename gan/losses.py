"""Losses of the adversarial training as pure functions: scores and images in, a scalar to be minimised out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def relativistic_loss(preferred_scores: Tensor, other_scores: Tensor) -> Tensor:
    """Relativistic pairing loss, mean of softplus(-(preferred - other)).

    Jolicoeur-Martineau 2018, in the form of R3GAN (Huang et al. 2024, eq. 2): the discriminator is trained to score
    the real image of a pair higher, the generator to have the drawing scored higher.

    Args:
        preferred_scores: [N] scores that should be higher.
        other_scores: [N] scores of the other image of each pair.

    Returns:
        Scalar, log 2 for equal scores.
    """
    return F.softplus(other_scores - preferred_scores).mean()


AdversarialLoss = Literal["bce", "lsgan", "hinge", "relativistic"]
"""Kinds of adversarial losses: Goodfellow et al. 2014 (the generator's non-saturating form), Mao et al. 2017, Miyato et
al. 2018, Jolicoeur-Martineau 2018 (pairs)."""


def discriminator_loss(
    kind: AdversarialLoss, real: Tensor, fakes: Sequence[tuple[float, Tensor]], real_label: float = 1.0
) -> Tensor:
    """Adversarial loss of a discriminator.

    Args:
        kind: Kind of the loss.
        real: [N, ...] scores of real images.
        fakes: Weight and [N, ...] scores of drawings, and of real images that count as fakes.
        real_label: What a real image's score should say, for `bce` and `lsgan`.

    Returns:
        Scalar: the real images' loss plus the weighted sum of the fakes'; for `relativistic` the weighted sum alone.
    """
    if kind == "relativistic":
        losses = [weight * relativistic_loss(real, fake) for weight, fake in fakes]
    elif kind == "hinge":
        losses = [F.relu(1 - real).mean(), *(weight * F.relu(1 + fake).mean() for weight, fake in fakes)]
    else:
        losses = [weight * _distance_to_label(kind, fake, 0.0) for weight, fake in fakes]
        losses.append(_distance_to_label(kind, real, real_label))
    return torch.stack(losses).sum()


def generator_loss(kind: AdversarialLoss, fake: Tensor, real: Tensor | None = None, real_label: float = 1.0) -> Tensor:
    """Adversarial loss of a generator.

    Args:
        kind: Kind of the loss.
        fake: [N, ...] scores of drawings.
        real: [N, ...] scores of real images; `relativistic` alone needs them.
        real_label: What a real image's score should say, for `bce` and `lsgan`.

    Returns:
        Scalar.
    """
    if kind == "relativistic":
        assert real is not None
        return relativistic_loss(fake, real)
    if kind == "hinge":
        return -fake.mean()
    return _distance_to_label(kind, fake, real_label)


def _distance_to_label(kind: AdversarialLoss, scores: Tensor, label: float) -> Tensor:
    labels = torch.full_like(scores, label)
    return F.mse_loss(scores, labels) if kind == "lsgan" else F.binary_cross_entropy_with_logits(scores, labels)


def score_gradient(scores: Tensor, images: Tensor) -> Tensor:
    """Gradient of each image's score at the image, which can be differentiated once more.

    Args:
        scores: [N], each computed from its own image.
        images: [N, ...] that require gradients.

    Returns:
        The shape of `images`, float32.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.float()


def gradient_penalty(gradient: Tensor) -> Tensor:
    """Half the squared norm of the scores' gradient at the images, mean over the batch.

    R1 at real images (Mescheder et al. 2018, eq. 9), R2 at drawings; to be multiplied by gamma. For a linear
    discriminator w . x it is ||w||^2 / 2 everywhere.

    Args:
        gradient: [N, ...] from `score_gradient`.

    Returns:
        Scalar.
    """
    return 0.5 * gradient.flatten(1).square().sum(1).mean()


def identity_distance(fake_features: Tensor, target_features: Tensor, mean: Tensor) -> Tensor:
    """One minus the cosine between T's features of drawings and their targets, both centred.

    All faces have a part in common, the mean feature, which a cosine without centring rewards.

    Args:
        fake_features: [N, D] features of the drawings by the frozen training face network T.
        target_features: [N, D] features that the drawings should have.
        mean: [D] mean feature of the training faces.

    Returns:
        [N], each in [0, 2].
    """
    return 1 - F.cosine_similarity(fake_features.float() - mean, target_features.float() - mean, dim=1)


def pixel_loss(fake_images: Tensor, real_images: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean absolute difference at half the resolution.

    It teaches the layout of a face from the first step on. The finest detail, which a face feature does not contain and
    an average would blur, is left to the adversarial loss.

    Args:
        fake_images: [N, 3, S, S] in [-1, 1].
        real_images: [N, 3, S, S] in [-1, 1].
        weights: [N] weight of each pair.
    """
    difference = F.avg_pool2d(fake_images, 2) - F.avg_pool2d(real_images, 2)
    return (weights * difference.abs().mean((1, 2, 3))).mean()
