"""Projection discriminator without normalisation: scores whether an image is real and fits a face feature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan.blocks import ConditionEmbedding, Downsample, check_shape, linear, pointwise, residual_blocks


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of the discriminator.

    Attributes:
        widths: Channels of each resolution from 4 x 4 upwards, as the generator's.
        num_blocks: Residual blocks of each resolution.
        groups: 0 for dense blocks (fast on CPUs), else groups of the 3 x 3 convolution (R3GAN's form), for all
            resolutions or for each from 4 x 4 upwards.
        kernels: Sides of a dense block's kernels, one for each convolution.
        condition_size: Length of the vectors whose inner product scores an image against a condition.
    """

    widths: tuple[int, ...] = (192, 192, 128, 64, 32)
    num_blocks: int = 1
    groups: int | tuple[int, ...] = 0
    kernels: tuple[int, ...] = (3, 3)
    condition_size: int = 128


class Discriminator(nn.Module):
    """D(x, c) = <phi(x), psi(c)> / sqrt(size), an unbounded score.

    Miyato & Koyama 2018, "cGANs with Projection Discriminator"; their unconditional term w . phi(x) is in the bias of
    psi's last layer. A learned vector in the place of psi(c) scores an image without a condition.

    Args:
        config: Shape of the network.
        feature_size: D, length of the face feature.
        image_size: Side S of the images.

    Raises:
        ConfigError: If the widths do not lead from the image size down to 4 x 4.
    """

    def __init__(self, config: DiscriminatorConfig, feature_size: int, image_size: int) -> None:
        super().__init__()
        check_shape("discriminator", config.widths, config, image_size)
        widths = config.widths[::-1]
        depth = len(widths) * config.num_blocks
        stages: list[nn.Module] = [pointwise(3, widths[0])]
        for stage, width in enumerate(widths):
            if stage:
                stages.append(Downsample(widths[stage - 1], width))
            stages += residual_blocks(width, depth, len(widths) - 1 - stage, config)
        # A depthwise 4 x 4 convolution pools the last feature map, as in R3GAN.
        last = nn.Conv2d(widths[-1], widths[-1], 4, groups=widths[-1], bias=False)
        nn.init.normal_(last.weight, 0.0, 1 / 4)
        self.stages = nn.Sequential(*stages, last, nn.Flatten())
        self.features = linear(widths[-1], config.condition_size)
        self.condition = ConditionEmbedding(feature_size, config.condition_size, hidden=True)
        self.no_condition = nn.Parameter(torch.randn(config.condition_size))

    def forward(self, images: Tensor, feature: Tensor) -> Tensor:
        """Score images against conditions.

        Args:
            images: [N, 3, S, S] in [-1, 1].
            feature: [N, K, D] face features, true or predicted: K conditions for each image, at little more than the
                cost of one.

        Returns:
            [N, K + 1] scores, the last one without a condition; only their differences mean anything.
        """
        features = self.features(self.stages(images.contiguous(memory_format=torch.channels_last)))
        conditions = self.condition(feature)
        conditions = torch.cat([conditions, self.no_condition.to(conditions.dtype).expand(len(images), 1, -1)], dim=1)
        return (conditions @ features.unsqueeze(2)).squeeze(2) / math.sqrt(features.shape[1])
