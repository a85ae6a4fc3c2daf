"""Camera: parallax of a small head rotation, alignment by five landmarks, background, tone curve and grain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from data.faces.alignment import CROP_REGION, similarity_to_template
from data.personas.rendering.canvas import CENTRE_V, EXTENT, smoothstep
from data.personas.rendering.geometry import blur
from data.personas.rendering.mouth import mouth_corner_v, mouth_half_width
from data.personas.rendering.parameters import Features
from data.personas.rendering.photo import Photo
from data.personas.rendering.textures import backgrounds, sensor_grain

_SHARPENING = 0.45
_PIVOT_Z = 0.22  # depth of the axis of rotation
_UNITS_PER_HEAD = 65.0  # approximate template units a head unit; only the start of the fit


@dataclass(frozen=True)
class Camera:
    """Mapping from pixels of the picture to the canvas.

    Attributes:
        places: [B, S, S, 2], u and v of every pixel's centre on the plane of the picture, before parallax.
        landmarks: [B, 5, 2] float64, pixel coordinates of the five landmarks in the picture.
    """

    places: Tensor
    landmarks: NDArray[np.float64]


def _body_share(v: Tensor) -> Tensor:
    """Share of the head's rotation by v: 1 for the head, less for the shoulders."""
    return 1 - 0.55 * smoothstep(v, 0.95, 1.35)


def landmarks_on_plane(low_heights: Tensor, features: Features, photo: Photo) -> NDArray[np.float64]:
    """Landmarks [B, 5, 2] of the rotated head on the picture plane, in head units."""
    corner_u, corner_v = mouth_half_width(features, photo), mouth_corner_v(features, photo)
    zero = torch.zeros_like(corner_u)
    u = torch.cat([-features.eye_u, features.eye_u, zero, -corner_u, corner_u], 2)
    v = torch.cat([zero, zero, features.nose_end - 0.065, corner_v, corner_v], 2)
    depth = _heights_at(low_heights, u, v) - _PIVOT_Z
    share = _body_share(v)
    x = (u + depth * photo.yaw.sin() * share) * (1 - (1 - photo.yaw.cos()) * share)
    y = v + depth * photo.pitch.sin() * share
    return torch.cat([x, y], 1).transpose(1, 2).numpy().astype(np.float64)


def aim(landmarks: NDArray[np.float64], jitter: NDArray[np.float64], size: int, fine: int) -> Camera:
    """Align the crop by its landmarks as a detector with small errors would.

    Args:
        landmarks: [B, 5, 2] as from `landmarks_on_plane`.
        jitter: [B, 4]: shift in shares of the crop's side, scale, turn in radians.
        size: Side of the picture in pixels.
        fine: Side of the raster to compute, in pixels.
    """
    centre = CROP_REGION.side / 2
    steps = (np.arange(fine) + 0.5) / fine * CROP_REGION.side - centre
    row, col = np.meshgrid(steps, steps, indexing="ij")
    places, pixels = [], []
    for points, (shift_x, shift_y, scale, turn) in zip(landmarks, jitter, strict=True):
        to_template = similarity_to_template(points)
        # Errors of a detector: a small similarity about the centre of the crop.
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        wobble = np.array([[cos, -sin], [sin, cos]])
        offset = np.array([CROP_REGION.left, CROP_REGION.top]) + centre
        linear = wobble @ to_template[:, :2]
        move = wobble @ (to_template[:, 2] - offset) + np.array([shift_x, shift_y]) * CROP_REGION.side
        inverse = np.linalg.inv(linear)
        x = inverse[0, 0] * (col - move[0]) + inverse[0, 1] * (row - move[1])
        y = inverse[1, 0] * (col - move[0]) + inverse[1, 1] * (row - move[1])
        places.append(np.stack([x, y], -1).astype(np.float32))
        pixels.append((points @ linear.T + move + centre) * (size / CROP_REGION.side))
    return Camera(torch.from_numpy(np.stack(places)), np.stack(pixels))


def low_heights(heights: Tensor, hair_front: Tensor) -> Tensor:
    """Smoothed heights [B, 1, N/4, N/4] of head and hair, from which parallax is computed."""
    return blur(F.avg_pool2d((heights + 0.06 * hair_front)[:, None], 4), 3)


def _heights_at(low: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Heights at positions [B, h, w] in head units."""
    grid = torch.stack([u, v - CENTRE_V], -1) * (2 / EXTENT)
    return F.grid_sample(low, grid, align_corners=False, padding_mode="border")[:, 0]


def photograph(layers: Tensor, low: Tensor, camera: Camera, photo: Photo) -> Tensor:
    """Canvas (colours and coverage) projected to the picture, [B, 4, F, F]."""
    x, y = camera.places[..., 0], camera.places[..., 1]
    fine = x.shape[-1]
    sin_yaw, cos_yaw, sin_pitch = photo.yaw.sin(), photo.yaw.cos(), photo.pitch.sin()
    share = _body_share(y)
    wide = x / (1 - (1 - cos_yaw) * share)
    u, v = wide, y
    # Fixed-point iteration for the surface point that projects to each pixel.
    for _ in range(3):
        depth = _heights_at(low, u[:, ::3, ::3], v[:, ::3, ::3])[:, None] - _PIVOT_Z
        depth = F.interpolate(depth, size=(fine, fine), mode="bilinear", align_corners=False)[:, 0] * share
        u, v = wide - depth * sin_yaw, y - depth * sin_pitch
    grid = torch.stack([u, v - CENTRE_V], -1) * (2 / EXTENT)
    return F.grid_sample(layers, grid, align_corners=False, padding_mode="border")


def paint_background(photo: Photo, fine: int) -> Tensor:
    """Background out of focus, [B, 3, F, F]."""
    weights = backgrounds()[photo.background]
    second, third, lights = weights[:, :1], weights[:, 1:2], weights[:, 2:]
    colour = photo.wall + (photo.object - photo.wall) * second
    colour = colour + (photo.dark - colour) * (0.75 * third)
    colour = colour + photo.lamp * (0.35 * lights)
    return F.interpolate(colour, size=(fine, fine), mode="bilinear", align_corners=False)


def develop(fine_image: Tensor, photo: Photo, tone: Tensor, size: int) -> NDArray[np.uint8]:
    """Exposure, tone curve and grain: linear light [B, 3, F, F] to [B, S, S, 3] uint8."""
    fine = fine_image.shape[-1]
    image = fine_image
    if fine != size:
        image = F.interpolate(image, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    # Exposure depends on the skin: dark skin is exposed longer, as photographers do.
    image = (image * (photo.exposure * (0.93 + 0.60 * tone**2)).unsqueeze(1)).clamp(min=0)
    image = image * (1 + 0.10 * image) / (1 + 0.34 * image)
    image = image.clamp(1e-5, 1) ** (1 / 2.2)
    image = 0.52 * image + 0.48 * image * image * (3 - 2 * image)
    image = image + _SHARPENING * (image - F.avg_pool2d(image, 3, 1, 1, count_include_pad=False))
    image = image + _grain(photo, size) * photo.grain.unsqueeze(1)
    pixels = (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())


def _grain(photo: Photo, size: int) -> Tensor:
    bank = sensor_grain()
    cuts = [
        bank[:, row : row + size, column : column + size]
        for row, column in zip(photo.grain_row.tolist(), photo.grain_column.tolist(), strict=True)
    ]
    return torch.stack(cuts)
