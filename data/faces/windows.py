"""Parts of pictures and reduced pictures, for detectors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.faces.protocol import Box

_WINDOW_SIDES = 3.0
"""Side of a window around a face, in sides of its box."""


def cut_window(image: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.uint8], int, int]:
    """The part of a picture [H, W, 3] around a box, and the (x, y) of its upper left corner."""
    half = 0.5 * _WINDOW_SIDES * max(box[2] - box[0], box[3] - box[1])
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    return image[top : max(top + 1, int(y + half)), left : max(left + 1, int(x + half))], left, top


def limit_pixels(image: NDArray[np.uint8], max_pixels: int, border: int) -> tuple[NDArray[np.uint8], float]:
    """Reduce a picture that would be too large for a detector, so that its memory is bounded.

    Args:
        image: [H, W, 3] uint8 RGB.
        max_pixels: Most pixels of the result with its border.
        border: Pixels that the detector adds on each side; for a long, thin picture they are most of its pixels.

    Returns:
        [h, w, 3] uint8 RGB (the picture itself if it is small enough), and the scale: pixels of the picture for each of
        its pixels.
    """
    height, width = image.shape[:2]
    frame = 2 * border
    if (height + frame) * (width + frame) <= max_pixels:
        return image, 1.0
    # The scale s at which (s h + frame) (s w + frame) = max_pixels.
    area, half_perimeter = height * width, frame * (height + width)
    scale = (math.sqrt(half_perimeter**2 + 4 * area * (max_pixels - frame**2)) - half_perimeter) / (2 * area)
    short = max(1, int(min(height, width) * scale))
    long = min(int(max(height, width) * scale), max_pixels // (short + frame) - frame)
    size = (long, short) if width >= height else (short, long)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)), 1 / scale
