"""Tensors of images in [-1, 1] into pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Clamp and round to the nearest grey level.

    Args:
        images: [N, 3, S, S], meant for [-1, 1]; finite.

    Returns:
        [N, S, S, 3] uint8 RGB.
    """
    pixels = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()
