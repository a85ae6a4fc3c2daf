"""Alignment of faces: from landmarks to aligned crops.

All coordinates are *template units*: pixels of the 112 x 112 five-point ArcFace template (Deng et al.
2019, "ArcFace", as published with insightface). A network's input and a stored crop are squares in that
plane, so one is made from the other by cutting and resizing, for photographs, stored crops and drawings alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.errors import ConfigError

# Left eye, right eye, nose tip, left and right mouth corner as seen in the picture: [5, 2] (x, y).
ARCFACE_TEMPLATE: NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


@dataclass(frozen=True)
class Region:
    """A square in the template plane: its upper left corner and its side, in template units."""

    left: float
    top: float
    side: float


ARCFACE_REGION = Region(0.0, 0.0, 112.0)

# The stored crop: ArcFace's square plus hair, chin and neck. A 64-px crop holds ArcFace's square at exactly
# x 10..54, y 12..56 (20..108 and 24..112 at 128 px), so cutting it out needs no resampling grid of its own.
_UNIT = 112.0 / 44.0
CROP_REGION = Region(-10 * _UNIT, -12 * _UNIT, 64 * _UNIT)

# Area of dlib's face chip (150 px, padding .25): the median over 143 photographs of the area that
# `dlib.get_face_chip` cut, in template units by a detector's five points; it varies by 3 units in position and 7 in
# size.
# Equal error rates on 265 LFW photographs of 70 people: the ResNet with this region and SCRFD's points 1.1 %, with
# dlib's own detector 1.3 %, from a 64-px crop 2.0 %; insightface's MobileFaceNet .6 %, from a 64-px crop 1.0 %.
DLIB_REGION = Region(6.5, 21.2, 98.8)

FACE_SIZES = (64, 128, 256)

_MAX_PADDED_PIXELS = 64_000_000
"""Most pixels of a picture with its repeated edges; a region that needs more is cut from a reduced picture."""


def check_face_size(size: int) -> None:
    """Refuse crops of other sizes than `FACE_SIZES`.

    Raises:
        ConfigError: If it is none of them.
    """
    if size not in FACE_SIZES:
        raise ConfigError(f"face size {size}: use one of {', '.join(map(str, FACE_SIZES))}")


def similarity_to_template(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares similarity from picture to template coordinates (Umeyama 1991, without reflection).

    Args:
        landmarks: [5, 2] (x, y) in pixels, in the order of `ARCFACE_TEMPLATE`.

    Returns:
        [2, 3] matrix A with template = A @ (x, y, 1).

    Raises:
        ValueError: If the landmarks coincide or are not finite.
    """
    source = np.asarray(landmarks, dtype=np.float64)
    if source.shape != (5, 2) or not np.isfinite(source).all():
        raise ValueError(f"five finite (x, y) landmarks expected, got {source.tolist()}")
    # As complex numbers a similarity without reflection is w = a z + b, a linear least-squares problem.
    z = source @ (1, 1j)
    w = ARCFACE_TEMPLATE @ (1, 1j)
    centred = z - z.mean()
    power = float(np.sum(np.abs(centred) ** 2))
    if power < 1e-9:
        raise ValueError("the landmarks coincide")
    a = np.vdot(centred, w - w.mean()) / power
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def extract_region(
    image: NDArray[np.uint8], to_template: NDArray[np.float64], region: Region, size: int
) -> NDArray[np.uint8]:
    """Cut a region of the template plane out of a picture; outside the picture its edge is repeated.

    Args:
        image: [H, W, 3] uint8 RGB, or [H, W] grey levels.
        to_template: [2, 3] as from `similarity_to_template`.
        region: Area to cut.
        size: Side of the result in pixels.

    Returns:
        [size, size, 3] uint8 RGB, or [size, size], antialiased when the picture is larger than the result.
    """
    scale = np.hypot(to_template[0, 0], to_template[1, 0])  # template units a picture pixel
    pixels = region.side / scale  # side of the region in picture pixels
    oversample = max(1, min(8, round(pixels / size)))
    fine = size * oversample
    step = region.side / fine
    from_template = np.linalg.inv(np.vstack([to_template, (0, 0, 1)]))
    output_to_template = np.array([[step, 0, region.left], [0, step, region.top], [0, 0, 1]])
    matrix = from_template @ output_to_template
    corners = matrix @ np.array([[0, fine, 0, fine], [0, 0, fine, fine], [1, 1, 1, 1]], dtype=np.float64)
    height, width = image.shape[:2]
    before_x, before_y = np.maximum(0, np.ceil(-corners[:2].min(axis=1)).astype(int) + 2)
    after_x, after_y = np.maximum(0, np.ceil(corners[:2].max(axis=1) - (width, height)).astype(int) + 2)
    if (height + before_y + after_y) * (width + before_x + after_x) > max(_MAX_PADDED_PIXELS, height * width):
        return extract_region(*_cut_and_reduce(image, to_template, corners[:2]), region, size)
    if before_x or before_y or after_x or after_y:
        margins = ((before_y, after_y), (before_x, after_x), (0, 0))
        image = np.pad(image, margins[: image.ndim], mode="edge")
        matrix = np.array([[1, 0, before_x], [0, 1, before_y], [0, 0, 1]]) @ matrix
    cut = Image.fromarray(image).transform(
        (fine, fine), Image.Transform.AFFINE, tuple(matrix[:2].ravel()), Image.Resampling.BICUBIC
    )
    return np.asarray(cut.resize((size, size), Image.Resampling.BOX) if oversample > 1 else cut)


def _cut_and_reduce(
    image: NDArray[np.uint8], to_template: NDArray[np.float64], corners: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut a picture to a region far larger than it, and reduce it so that its repeated edges fit into memory.

    Args:
        image: [H, W, 3] or [H, W] uint8.
        to_template: [2, 3] similarity of the picture.
        corners: [2, 4] (x, y) of the region in the picture.

    Returns:
        The part of the picture, and the [2, 3] similarity of that part.
    """
    height, width = image.shape[:2]
    margin = 8  # pixels, more than bicubic interpolation needs
    (left, top), (right, bottom) = corners.min(axis=1).astype(int) - margin, corners.max(axis=1).astype(int) + margin
    x, y = int(np.clip(left, 0, width - 1)), int(np.clip(top, 0, height - 1))
    part = image[y : max(y + 1, min(height, bottom)), x : max(x + 1, min(width, right))]
    factor = math.ceil(math.sqrt((right - left) * (bottom - top) / (0.9 * _MAX_PADDED_PIXELS)))
    linear = to_template[:, :2]
    moved = np.column_stack([factor * linear, to_template[:, 2] + linear @ (x, y)])
    return np.asarray(Image.fromarray(part).reduce(factor)), moved


def crop_region(crops: NDArray[np.uint8], region: Region, size: int) -> NDArray[np.uint8]:
    """Cut a network's region out of stored crops.

    Args:
        crops: [N, S, S, 3] uint8 RGB, each covering `CROP_REGION`.
        region: A square inside or overlapping `CROP_REGION`.
        size: Side of the result in pixels.

    Returns:
        [N, size, size, 3] uint8 RGB.
    """
    scale = CROP_REGION.side / crops.shape[1]
    to_template = np.array([[scale, 0, CROP_REGION.left], [0, scale, CROP_REGION.top]])
    return np.stack([extract_region(crop, to_template, region, size) for crop in crops])
