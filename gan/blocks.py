"""Building blocks of generator and discriminator, after R3GAN.

Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline" (R3GAN): residual blocks without any
normalisation, initialised as in Fix-up (Zhang et al. 2019), bilinear resampling, and 1 x 1 convolutions wherever the
number of channels changes.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError

_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))


def _init_normal(layer: nn.Conv2d | nn.Linear, gain: float) -> None:
    """Normal weights of standard deviation gain / sqrt(fan in), zero bias."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def linear(in_features: int, out_features: int, *, gain: float = 1.0, bias: bool = True) -> nn.Linear:
    """A linear layer that keeps the variance of its input (times gain squared)."""
    layer = nn.Linear(in_features, out_features, bias=bias)
    _init_normal(layer, gain)
    return layer


def pointwise(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 1 x 1 convolution without bias that keeps the variance of its input."""
    layer = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    _init_normal(layer, 1.0)
    return layer


class ResidualBlock(nn.Module):
    """x + f(x), where f is a bottleneck without normalisation whose last layer starts at zero.

    `groups=0` gives the dense form, convolutions at the block's own width: faster where grouped convolutions have no
    fast kernel, as on CPUs. `groups=g` gives R3GAN's form: 1 x 1 to `expansion` times the width, 3 x 3 in groups of
    `width * expansion / g` channels, 1 x 1 back.

    Args:
        channels: Width of input and output.
        depth: Number of residual blocks of the whole network; each starts at depth^(-1/2) of the usual scale, spread
            over the layers before the last, so that the sum does not grow with depth.
        groups: Number of groups of the 3 x 3 convolution, or 0.
        kernels: Sides of the dense form's kernels, one for each convolution.
        expansion: Width of the grouped form's middle, relative to `channels`.
    """

    def __init__(
        self, channels: int, depth: int, groups: int = 0, kernels: tuple[int, ...] = (3, 3), expansion: int = 2
    ) -> None:
        super().__init__()
        if groups == 0:
            layers = [nn.Conv2d(channels, channels, kernel, padding=kernel // 2) for kernel in kernels]
        else:
            wide = channels * expansion
            layers = [
                nn.Conv2d(channels, wide, 1),
                nn.Conv2d(wide, wide, 3, padding=1, groups=groups),
                nn.Conv2d(wide, channels, 1, bias=False),
            ]
        for layer in layers[:-1]:
            _init_normal(layer, _GAIN * depth ** (-1 / (2 * len(layers) - 2)))
        nn.init.zeros_(layers[-1].weight)
        if layers[-1].bias is not None:
            nn.init.zeros_(layers[-1].bias)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, H, W]."""
        y = self.layers[0](x)
        for layer in self.layers[1:]:
            y = layer(F.leaky_relu(y, _SLOPE))
        return x + y


def residual_blocks(channels: int, depth: int, stage: int, shape: BlockShape) -> list[nn.Module]:
    """The residual blocks of one resolution.

    Args:
        channels: Their width.
        depth: Number of blocks of the whole network.
        stage: Number of the resolution, 0 for 4 x 4.
        shape: Shape of the blocks.
    """
    groups = shape.groups if isinstance(shape.groups, int) else shape.groups[stage]
    return [ResidualBlock(channels, depth, groups, shape.kernels) for _ in range(shape.num_blocks)]


class BlockShape(Protocol):
    """What the configurations of generator and discriminator say of their residual blocks.

    Attributes:
        num_blocks: Residual blocks of each resolution.
        groups: Groups of the 3 x 3 convolution, for all resolutions or for each; 0 for dense blocks.
        kernels: Sides of a dense block's kernels.
    """

    @property
    def num_blocks(self) -> int: ...  # noqa: D102

    @property
    def groups(self) -> int | tuple[int, ...]: ...  # noqa: D102

    @property
    def kernels(self) -> tuple[int, ...]: ...  # noqa: D102


class Upsample(nn.Module):
    """Change the width at the low resolution, where it costs less, then double the resolution bilinearly.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        modulation_size: Length of a vector that scales and shifts the channels (FiLM, Perez et al. 2018); 0 for none.
    """

    def __init__(self, in_channels: int, out_channels: int, modulation_size: int = 0) -> None:
        super().__init__()
        self.change = pointwise(in_channels, out_channels)
        # A small gain: at first the vector changes channels a little, as the other residual parts do.
        self.modulation = linear(modulation_size, 2 * out_channels, gain=0.3) if modulation_size else None

    def forward(self, x: Tensor, vector: Tensor | None = None) -> Tensor:
        """[N, C, H, W] and, with modulation, [N, M] to [N, C', 2H, 2W]."""
        x = self.change(x)
        if self.modulation is not None:
            scale, shift = self.modulation(vector)[:, :, None, None].chunk(2, dim=1)
            x = x * (1 + scale) + shift
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Downsample(nn.Module):
    """Halve the resolution (a 2 x 2 mean is bilinear resampling by two), then change the width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.change = pointwise(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C', H/2, W/2]."""
        return self.change(F.avg_pool2d(x, 2))


class ConditionEmbedding(nn.Module):
    """Small network on face features, centred and scaled by the training set's statistics.

    Unit features have entries of about D^(-1/2); without the scale the condition would at first be much weaker than the
    noise. The statistics are buffers of the model, fixed by the training set.

    Args:
        feature_size: D, length of the face feature.
        size: Length of the embedding.
        hidden: Whether there is a hidden layer.
        normalise: Whether features are brought to length 1 before they are centred, as models of version 0.1 do.
            Features regressed from voices are short vectors near the mean; normalised before the mean is subtracted,
            they no longer look like any true feature.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, feature_size: int, size: int, hidden: bool, normalise: bool = False) -> None:
        super().__init__()
        self.normalise = normalise
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("scale", torch.tensor(math.sqrt(feature_size)))
        first = linear(feature_size, size, gain=_GAIN if hidden else 1.0)
        self.network = nn.Sequential(first, nn.LeakyReLU(_SLOPE), linear(size, size)) if hidden else first

    @torch.no_grad()
    def set_statistics(self, features: Tensor) -> None:
        """Set centre and scale from face features of the training set, [M, D]."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / (features - features.mean(0)).square().mean().sqrt().clamp_min(1e-6))

    def forward(self, feature: Tensor) -> Tensor:
        """[..., D] face features to [..., size]."""
        if self.normalise:
            feature = F.normalize(feature, dim=-1)
        return self.network((feature - self.mean) * self.scale)


def resolutions(image_size: int) -> int:
    """Number of resolutions from 4 x 4 to the image size: 5 for 64 px.

    Raises:
        ValueError: If the size is not 4 times a power of two.
    """
    count = int(math.log2(image_size / 4)) + 1
    if image_size != 4 * 2 ** (count - 1):
        raise ValueError(f"image size {image_size} is not 4 times a power of two")
    return count


def check_shape(name: str, widths: tuple[int, ...], shape: BlockShape, image_size: int) -> None:
    """Refuse widths and blocks that don't fit the image size or each other.

    Args:
        name: `generator` or `discriminator`, for errors.
        widths: Channels of each resolution.
        shape: Shape of the blocks.
        image_size: Side of the images in pixels.

    Raises:
        ConfigError: With the key and what it needs.
    """
    count = resolutions(image_size)
    if len(widths) != count or min(widths) < 1:
        raise ConfigError(
            f"{name}.widths {list(widths)}: {count} positive widths are needed for {image_size}-px "
            f"images, one for each resolution from 4 x 4 upwards"
        )
    groups = (shape.groups,) * count if isinstance(shape.groups, int) else shape.groups
    if len(groups) != count or any(g < 0 or (g and 2 * width % g) for g, width in zip(groups, widths, strict=False)):
        raise ConfigError(
            f"{name}.groups {shape.groups}: one number for all {count} resolutions or one for each is needed, 0 or a "
            f"divisor of twice the width"
        )
    if len(shape.kernels) < 2 or any(kernel < 1 or kernel % 2 == 0 for kernel in shape.kernels):
        raise ConfigError(f"{name}.kernels {list(shape.kernels)}: two or more odd numbers are needed")
