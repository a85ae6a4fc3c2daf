"""Losses of the adversarial training as pure functions: scores and images in, a scalar to be minimised out."""

from __future__ import annotations

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
