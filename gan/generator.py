"""From a face feature and noise to an image: the conditional generator, and the plain decoder as a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from data.errors import ConfigError
from data.faces.alignment import FACE_SIZES
from gan.blocks import ConditionEmbedding, Upsample, check_shape, linear, pointwise, residual_blocks


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of the generator.

    Attributes:
        architecture: `residual` (R3GAN's, with noise), `transposed_conv` (the plain decoder: no noise), or the
            published generator of `wen`, `wav2pix` or `sf2f`, for which no other setting counts.
        noise_size: Length of the noise vector; the plain decoder ignores it.
        condition_size: Length of the embedded condition.
        widths: Channels of each resolution from 4 x 4 upwards: five for 64 px, six for 128, seven for 256.
        num_blocks: Residual blocks of each resolution.
        groups: 0 for dense blocks (fast on CPUs), else groups of the 3 x 3 convolution (R3GAN's form), for all
            resolutions or for each from 4 x 4 upwards.
        kernels: Sides of a dense block's kernels, one for each convolution.
        conditioning: Where noise and condition enter: at `every_resolution`, with features centred and not normalised,
            or at the `input` alone, with features normalised before they are centred (models of version 0.1).
    """

    architecture: Literal["residual", "transposed_conv", "wen", "wav2pix", "sf2f"] = "residual"
    noise_size: int = 64
    condition_size: int = 128
    widths: tuple[int, ...] = (192, 192, 128, 64, 32)
    num_blocks: int = 1
    groups: int | tuple[int, ...] = 0
    kernels: tuple[int, ...] = (3, 3)
    conditioning: Literal["input", "every_resolution"] = "input"


class Generator(nn.Module):
    """Conditional residual generator: noise and condition scale a learned 4 x 4 basis, which is upsampled to an image.

    With conditioning at every resolution they also scale and shift the channels wherever the resolution doubles.

    Args:
        config: Shape of the network.
        feature_size: D, length of the face feature.
        image_size: Side S of the drawing.
    """

    def __init__(self, config: GeneratorConfig, feature_size: int, image_size: int) -> None:
        super().__init__()
        widths = config.widths
        depth = len(widths) * config.num_blocks
        self.noise_size = config.noise_size
        everywhere = config.conditioning == "every_resolution"
        self.condition = ConditionEmbedding(feature_size, config.condition_size, hidden=False, normalise=not everywhere)
        self.basis = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        vector_size = config.noise_size + config.condition_size
        self.scale = linear(vector_size, widths[0])
        stages: list[nn.Module] = []
        for stage, width in enumerate(widths):
            if stage:
                stages.append(Upsample(widths[stage - 1], width, vector_size if everywhere else 0))
            stages += residual_blocks(width, depth, stage, config)
        self.stages = nn.Sequential(*stages)
        self.to_rgb = pointwise(widths[-1], 3)

    def forward(self, feature: Tensor, noise: Tensor) -> Tensor:
        """Draw.

        Args:
            feature: [N, D] face features, true or predicted.
            noise: [N, Z] standard normal.

        Returns:
            [N, 3, S, S], about in [-1, 1], not clamped.
        """
        vector = torch.cat([noise, self.condition(feature)], dim=1)
        x = (self.basis * self.scale(vector)[:, :, None, None]).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x, vector) if isinstance(stage, Upsample) else stage(x)
        return self.to_rgb(x)


class TransposedConvDecoder(nn.Module):
    """The plain decoder of the open Speech2Face re-implementations: a linear layer, then transposed convolutions.

    It takes no noise: a feature gives one drawing (Oh et al. 2019, section 3, after Cole et al. 2017). Only the
    baseline uses it.
    """

    noise_size = 0

    def __init__(self, config: GeneratorConfig, feature_size: int, image_size: int) -> None:
        super().__init__()
        widths = config.widths
        normalise = config.conditioning == "input"
        self.condition = ConditionEmbedding(feature_size, 16 * widths[0], hidden=False, normalise=normalise)
        stages: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            stages += [nn.BatchNorm2d(narrow), nn.ReLU(), nn.ConvTranspose2d(narrow, wide, 4, 2, 1)]
        self.stages = nn.Sequential(*stages, nn.ReLU(), nn.Conv2d(widths[-1], 3, 3, padding=1), nn.Tanh())

    def forward(self, feature: Tensor, noise: Tensor | None = None) -> Tensor:
        """[N, D] face features to [N, 3, S, S] in [-1, 1]; the noise is ignored."""
        return self.stages(self.condition(feature).unflatten(1, (-1, 4, 4)))


class ConditionalGenerator(Protocol):
    """What all generators have in common."""

    noise_size: int

    def __call__(self, feature: Tensor, noise: Tensor) -> Tensor:
        """[N, C] conditions and [N, Z] noise to [N, 3, S, S] drawings."""
        ...


def build_generator(config: GeneratorConfig, feature_size: int, image_size: int) -> Any:
    """Build the generator that the configuration names, an nn.Module and `ConditionalGenerator`.

    Args:
        config: Shape of the network.
        feature_size: C, length of the condition: D for face features.
        image_size: Side S of the drawings.

    Raises:
        ConfigError: If the widths do not lead from 4 x 4 to the image size.
    """
    if image_size not in FACE_SIZES:
        raise ConfigError(f"image size {image_size}: one of {FACE_SIZES} is needed")
    if config.architecture == "wen":
        from gan.published.wen import WenGenerator

        return WenGenerator(feature_size, image_size)
    if config.architecture == "wav2pix":
        from gan.published.wav2pix import Wav2PixGenerator

        return Wav2PixGenerator(feature_size, image_size)
    if config.architecture == "sf2f":
        from gan.published.sf2f import SF2FGenerator

        return SF2FGenerator(feature_size, image_size)
    check_shape("generator", config.widths, config, image_size)
    architecture = Generator if config.architecture == "residual" else TransposedConvDecoder
    return architecture(config, feature_size, image_size)
