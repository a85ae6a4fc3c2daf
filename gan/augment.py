"""Differentiable augmentation of the discriminator's images.

A discriminator overfits to a few thousand faces. Applying the same random changes to real images and drawings reduces
that, and the changes don't appear in the drawings (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient
GAN Training").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the changes; zero switches a change off.

    Attributes:
        translation: Largest shift as a share of the image side; the edge is repeated.
        cutout: Side of the greyed-out square as a share of the image side.
        colour: Largest change of brightness (on [-1, 1]), and of saturation and contrast as factors around 1.
        probability: Probability that an image is changed at all.
        overfitting: Overfitting of the discriminator at which the probability is held by raising and lowering it
            during the training, as by Karras et al. 2020 (section 3.1, their r_v); None keeps the probability.
            Overfitting is 0 while validation faces are scored as training faces are, 1 when as drawings.
        adapt_images: Images in which the probability can go from 0 to 1.
    """

    translation: float = 0.125
    cutout: float = 0.0
    colour: float = 0.2
    probability: float = 1.0
    overfitting: float | None = None
    adapt_images: int = 500_000


class AdaptiveAugmentation:
    """The probability of the augmentation, raised while the discriminator overfits and lowered while it does not.

    Attributes:
        probability: Probability that an image is changed, in [0, 1].
    """

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config
        self.probability = config.probability

    def adapt(self, overfitting: float, num_images: int) -> None:
        """Move the probability by a step that depends on the images since the last call alone.

        Args:
            overfitting: `val/overfitting` of `gan.validation.Validation`.
            num_images: Images since the last call.
        """
        if self._config.overfitting is not None:
            step = num_images / self._config.adapt_images
            step = step if overfitting > self._config.overfitting else -step
            self.probability = min(1.0, max(0.0, self.probability + step))

    def state_dict(self) -> dict[str, Any]:
        """The probability, for a checkpoint."""
        return {"probability": self.probability}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the probability."""
        self.probability = state["probability"]


NUMBERS = 8
"""Uniform random numbers that `augment` needs for an image."""


def augment(images: Tensor, numbers: Tensor, config: AugmentConfig, probability: float = 1.0) -> Tensor:
    """Change each image at random.

    Args:
        images: [N, 3, S, S] in [-1, 1].
        numbers: [N, 8] uniform in [0, 1); equal numbers give equal changes.
        config: Strengths of the changes.
        probability: Probability that an image is changed.

    Returns:
        Images of the same shape; gradients flow back to `images`.
    """
    numbers = numbers.to(images.device)
    centred = 2 * numbers - 1
    if probability < 1:
        changed = numbers[:, 7:8] < probability
        centred = centred * changed
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
        cut = inside[:, 0, :, None] & inside[:, 1, None, :]
        if probability < 1:
            cut = cut & changed[:, :, None]
        images = images * ~cut[:, None]
    return images
