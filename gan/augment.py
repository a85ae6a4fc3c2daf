"""Differentiable augmentation of the discriminator's images.

A discriminator overfits to a few thousand faces. Applying the same random changes to real images and drawings reduces
that, and the changes don't appear in the drawings (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient
GAN Training").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the changes; zero switches a change off.

    Attributes:
        translation: Largest shift as a share of the image side; the edge is repeated.
        cutout: Side of the greyed-out square as a share of the image side.
        colour: Largest change of brightness (on [-1, 1]), and of saturation and contrast as factors around 1.
    """

    translation: float = 0.125
    cutout: float = 0.0
    colour: float = 0.2


NUMBERS = 7
"""Uniform random numbers that `augment` needs for an image."""


def augment(images: Tensor, numbers: Tensor, config: AugmentConfig) -> Tensor:
    """Change each image at random.

    Args:
        images: [N, 3, S, S] in [-1, 1].
        numbers: [N, 7] uniform in [0, 1); equal numbers give equal changes.
        config: Strengths of the changes.

    Returns:
        Images of the same shape; gradients flow back to `images`.
    """
    numbers = numbers.to(images.device)
    centred = 2 * numbers - 1
    if config.colour:
        brightness, saturation, contrast = (config.colour * centred[:, i, None, None, None] for i in range(3))
        images = images + brightness
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * (1 + saturation)
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * (1 + contrast)
    size = images.shape[-1]
    if config.translation:
        reach = int(size * config.translation)
        # Gathering rows and columns by index is exact, differentiable and far cheaper than a sampling grid.
        shifts = (centred[:, 3:5] * (reach + 1)).trunc().long().clamp(-reach, reach)
        positions = torch.arange(size, device=images.device)
        rows = (positions + shifts[:, :1]).clamp(0, size - 1)
        columns = (positions + shifts[:, 1:]).clamp(0, size - 1)
        batch = torch.arange(images.shape[0], device=images.device)[:, None, None]
        images = images.movedim(1, 3)[batch, rows[:, :, None], columns[:, None, :]].movedim(3, 1)
    if config.cutout:
        side = int(size * config.cutout)
        corner = (numbers[:, 5:7] * (size + side)).long() - side  # the square may extend beyond the border
        positions = torch.arange(size, device=images.device)
        inside = (positions >= corner[..., None]) & (positions < corner[..., None] + side)
        images = images * ~(inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]
    return images
