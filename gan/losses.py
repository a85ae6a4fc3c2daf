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


def gradient_penalty(scores: Tensor, images: Tensor) -> Tensor:
    """Half the squared norm of the scores' gradient at the images, mean over the batch.

    R1 at real images (Mescheder et al. 2018, eq. 9), R2 at drawings; to be multiplied by gamma. For a linear
    discriminator w . x it is ||w||^2 / 2 everywhere.

    Args:
        scores: [N], computed from `images` in float32.
        images: [N, ...] that require gradients.

    Returns:
        Scalar that can be differentiated once more.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return 0.5 * gradient.float().flatten(1).square().sum(1).mean()


def identity_loss(fake_features: Tensor, true_features: Tensor) -> Tensor:
    """One minus the cosine between the drawing's features and the person's, mean over the batch, in [0, 2].

    Args:
        fake_features: [N, D] features of the drawings by the frozen training face network T.
        true_features: [N, D] features of the true faces by the same network.
    """
    return (1 - F.cosine_similarity(fake_features.float(), true_features.float(), dim=1)).mean()


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
