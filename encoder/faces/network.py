"""The framework's own face recognition network: from an aligned face to a face feature.

It can be T or E like an ArcFace network: its ONNX file (`encoder.faces.export`) has the same input and conventions. It
is small on purpose: a forward pass takes one to two milliseconds on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError
from encoder.faces.blocks import ResidualBlock, SeparableBlock, conv_norm
from training.pretrained import PretrainedModel

INPUT_SIZE = 112
"""Side of the input in pixels: that of ArcFace's square, so that a pixel is a template unit."""

_PATCH = 4  # the stem's stride: a 64-px crop holds this square at 44 px, finer maps would only cost


@dataclass(frozen=True, kw_only=True)
class FaceEncoderConfig:
    """Settings that a face encoder is built from.

    Attributes:
        architecture: `residual` (dense 3 x 3 convolutions) or `separable` (depthwise 5 x 5 and 1 x 1).
        widths: Channels of the feature maps of 28, 14 and 7 px.
        depths: Blocks at each of these sizes.
        feature_size: D, length of the face feature.
    """

    architecture: Literal["residual", "separable"] = "residual"
    widths: tuple[int, int, int] = (32, 64, 128)
    depths: tuple[int, int, int] = (1, 2, 2)
    feature_size: int = 128

    def __post_init__(self) -> None:
        if min(*self.widths, *self.depths, self.feature_size) < 1:
            raise ConfigError("widths, depths and feature_size of a face encoder must be 1 or more")


class FaceEncoder(PretrainedModel):
    """Patch convolution, three groups of blocks, pooling with a weight for each position and channel, linear feature.

    Every layer is a convolution with batch normalisation, so that an exported network has convolutions only. In eval
    mode, in which the identity loss uses it, images do not influence each other.
    """

    config_class = FaceEncoderConfig
    model_type = "face_encoder"
    config: FaceEncoderConfig

    def __init__(self, config: FaceEncoderConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        block = {"residual": ResidualBlock, "separable": SeparableBlock}[config.architecture]
        self.stem = conv_norm(3, config.widths[0], _PATCH, _PATCH, padded=False)
        blocks: list[nn.Module] = []
        width = config.widths[0]
        for stage, (stage_width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            for position in range(depth):
                blocks.append(block(width, stage_width, stride=2 if stage and not position else 1))
                width = stage_width
        self.blocks = nn.Sequential(*blocks)
        # Positions matter in an aligned face, and a mean over them would lose them (Chen et al. 2018, MobileFaceNets).
        self.pool = conv_norm(width, width, INPUT_SIZE // _PATCH // 4, groups=width, padded=False)
        self.head = conv_norm(width, config.feature_size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features, not yet of unit length.

        Args:
            inputs: [N, 3, 112, 112] RGB in [-1, 1], i.e. (pixel - 127.5) / 127.5, covering `ARCFACE_REGION`.

        Returns:
            [N, D]; only the direction depends on identity.
        """
        maps = self.blocks(F.relu(self.stem(inputs)))
        return torch.flatten(self.head(self.pool(maps)), 1)
