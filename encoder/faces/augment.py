"""Random changes of stored crops that keep the identity, and the cut to the network's input."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from data.errors import ConfigError
from data.faces.alignment import ARCFACE_REGION, CROP_REGION
from encoder.faces.network import INPUT_SIZE

_SMALLEST_ERASED, _LARGEST_ERASED = 0.15, 0.4  # sides, as shares of the crop's


@dataclass(frozen=True, kw_only=True)
class FaceAugmentConfig:
    """Strengths of the random changes.

    Attributes:
        flip: Share of mirrored crops.
        shift: Standard deviation of the shift in template units (pixels of the input).
        zoom: Standard deviation of the logarithm of the scale.
        rotation: Standard deviation of the angle in degrees.
        brightness: Standard deviation of the logarithm of the gain.
        contrast: Standard deviation of the logarithm of the contrast about the mean.
        saturation: Standard deviation of the logarithm of the distance from grey.
        tint: Standard deviation of the logarithm of each channel's gain.
        blur: Largest share of each pixel that comes from its neighbours.
        noise: Largest standard deviation of pixel noise, in grey levels.
        erase: Share of crops with a rectangle in one colour.
    """

    flip: float = 0.5
    shift: float = 2.0
    zoom: float = 0.03
    rotation: float = 2.0
    brightness: float = 0.15
    contrast: float = 0.15
    saturation: float = 0.2
    tint: float = 0.05
    blur: float = 0.6
    noise: float = 6.0
    erase: float = 0.2

    def __post_init__(self) -> None:
        for setting in fields(self):
            if not 0 <= getattr(self, setting.name) < math.inf:
                raise ConfigError(f"augment.{setting.name} must be 0 or more")
        for name in ("flip", "blur", "erase"):
            if getattr(self, name) > 1:
                raise ConfigError(f"augment.{name} must be at most 1")


def augment_crops(crops: Tensor, config: FaceAugmentConfig, generator: torch.Generator) -> Tensor:
    """Change crops at random and cut the network's input out of them.

    Args:
        crops: [N, S, S, 3] uint8 RGB, each covering `CROP_REGION`, on the CPU.
        config: Strengths of the changes.
        generator: CPU generator; equal states give equal inputs.

    Returns:
        [N, 3, 112, 112] float32 in about [-1, 1], covering `ARCFACE_REGION` up to the random shift, scale and rotation.
    """
    images = crops.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last) / 127.5 - 1
    images = _change_light(images, config, generator)
    images = _change_detail(images, config, generator)
    if config.erase:
        images = _erase(images, config.erase, generator)
    return _cut(images, config, generator)


def _normal(count: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(count, columns, 1, 1, generator=generator)


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, 1, 1, 1, generator=generator)


def _change_light(images: Tensor, config: FaceAugmentConfig, generator: torch.Generator) -> Tensor:
    """Exposure, contrast and colour."""
    count = len(images)
    gain = (config.brightness * _normal(count, 1, generator) + config.tint * _normal(count, 3, generator)).exp()
    contrast = (config.contrast * _normal(count, 1, generator)).exp()
    saturation = (config.saturation * _normal(count, 1, generator)).exp()
    images = (images + 1) * gain - 1
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + contrast * (images - mean)
    grey = images.mean(dim=1, keepdim=True)
    return grey + saturation * (images - grey)


def _change_detail(images: Tensor, config: FaceAugmentConfig, generator: torch.Generator) -> Tensor:
    """Blur and noise."""
    count = len(images)
    if config.blur:
        share = config.blur * _uniform(count, generator)
        images = torch.lerp(images, F.avg_pool2d(images, 3, 1, 1, count_include_pad=False), share)
    if config.noise:
        level = config.noise / 127.5 * _uniform(count, generator)
        images = images + level * torch.randn(images.shape, generator=generator)
    return images.clamp(-1, 1)


def _erase(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cover a random rectangle of some crops with one colour (random erasing, Zhong et al. 2020)."""
    count, _, size, _ = images.shape
    sides = size * (_SMALLEST_ERASED + (_LARGEST_ERASED - _SMALLEST_ERASED) * torch.rand(count, 2, generator=generator))
    middles = size * torch.rand(count, 2, generator=generator)
    is_erased = torch.rand(count, generator=generator) < share
    colours = 2 * torch.rand(count, 3, 1, 1, generator=generator) - 1
    position = torch.arange(size) + 0.5
    inside = (position - middles[:, :, None]).abs() < sides[:, :, None] / 2  # [N, 2, S]
    mask = inside[:, 0, :, None] & inside[:, 1, None, :] & is_erased[:, None, None]
    return torch.where(mask[:, None], colours, images)


def _cut(images: Tensor, config: FaceAugmentConfig, generator: torch.Generator) -> Tensor:
    """Cut out the network's square, mirrored, shifted, scaled and rotated about its middle, in one resampling."""
    count = len(images)
    draws = torch.randn(count, 4, generator=generator)
    mirrored = torch.where(torch.rand(count, generator=generator) < config.flip, -1.0, 1.0)
    scale = (config.zoom * draws[:, 0]).exp()
    angle = math.radians(config.rotation) * draws[:, 1]
    shift = config.shift * draws[:, 2:]
    # Output coordinates in [-1, 1] become template units, and those coordinates in [-1, 1] of the crop.
    middle = torch.tensor([ARCFACE_REGION.left, ARCFACE_REGION.top]) + ARCFACE_REGION.side / 2
    crop_middle = torch.tensor([CROP_REGION.left, CROP_REGION.top]) + CROP_REGION.side / 2
    half = ARCFACE_REGION.side / CROP_REGION.side * scale
    rows = torch.stack(
        [
            torch.stack([half * angle.cos() * mirrored, -half * angle.sin()], dim=1),
            torch.stack([half * angle.sin() * mirrored, half * angle.cos()], dim=1),
        ],
        dim=1,
    )
    offset = (middle + shift - crop_middle) / (CROP_REGION.side / 2)
    # The template is not quite symmetric about its middle; half a unit is far below the random shift.
    grid = F.affine_grid(torch.cat([rows, offset[:, :, None]], dim=2), [count, 3, INPUT_SIZE, INPUT_SIZE], False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
