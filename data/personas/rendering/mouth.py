"""Lips and teeth, and how a smile changes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data.personas.rendering.canvas import Canvas, Window, gauss, smoothstep
from data.personas.rendering.parameters import Features, Skin
from data.personas.rendering.photo import Photo


@dataclass(frozen=True)
class Mouth:
    """Maps [B, h, w] of the mouth in a window of the canvas."""

    window: Window
    along: Tensor  # -1 .. 1 from corner to corner
    upper: Tensor  # share of the pixel that the upper lip covers
    lower: Tensor
    gap: Tensor
    upper_edge: Tensor  # v of the gap's upper edge
    seam: Tensor  # darkness of the line between closed lips
    heights: Tensor  # to add to the head's


def shape_mouth(canvas: Canvas, features: Features, photo: Photo) -> Mouth:
    """Shape of the lips for an expression."""
    window = canvas.window(-0.40, 0.40, 0.42, 0.98)
    u, v, pixel = window.u, window.v, canvas.pixel
    smile, happy = photo.smile, photo.smile.clamp(min=0)
    width = mouth_half_width(features, photo)
    along = u / width
    reach = along.abs().clamp(max=1.3)
    arch = (1 - along * along).clamp(min=0)
    opening = photo.mouth_open * (0.35 + 0.65 * happy) * 0.060
    seam_v = features.mouth_v - smile * 0.046 * (reach**1.8 - 0.30) + 0.010 * arch + features.mouth_skew * along
    gap_top, gap_bottom = seam_v - opening * 0.40 * arch, seam_v + opening * 0.95 * arch
    upper_height = features.upper_lip * (1 - 0.18 * happy)
    lower_height = features.lower_lip * (1 - 0.12 * happy)
    bow = 1 - features.cupid_bow * gauss(along, 0.0, 0.16) + 0.10 * gauss(reach, 0.27, 0.18)
    root = torch.sqrt(arch)
    top = gap_top - upper_height * root * (0.45 + 0.55 * root) * bow
    bottom = gap_bottom + lower_height * root * (0.8 + 0.2 * root)
    within = smoothstep(reach, 1.02, 0.92)
    soft = 1.3 * pixel + 0.006
    upper = smoothstep(v - top, -soft, soft) * smoothstep(gap_top - v, -pixel, pixel) * within
    lower = smoothstep(v - gap_bottom, -pixel, pixel) * smoothstep(bottom - v, -soft, soft) * within
    gap = smoothstep(v - gap_top, -pixel, pixel) * smoothstep(gap_bottom - v, -pixel, pixel) * within
    place_upper = ((v - top) / (gap_top - top + 0.004)).clamp(0, 1)
    place_lower = ((v - gap_bottom) / (bottom - gap_bottom + 0.004)).clamp(0, 1)
    seam = gauss(v, seam_v, 0.006 + pixel * 0.5) * within * (1 - gap)
    heights = upper * (0.057 * place_upper * (1.15 - place_upper))
    heights = heights + lower * (0.036 * torch.sin(3.14 * place_lower).clamp(min=0))
    heights = heights - 0.026 * gauss(v, seam_v, 0.016) * within * (1 - gap)
    return Mouth(window, along, upper, lower, gap, gap_top, seam, heights)


def mouth_half_width(features: Features, photo: Photo) -> Tensor:
    """Half width of the mouth, [B, 1, 1]; a smile widens it."""
    return features.mouth_width * (1 + 0.15 * photo.smile.clamp(min=0) - 0.03 * photo.mouth_open)


def mouth_corner_v(features: Features, photo: Photo) -> Tensor:
    """v of the corners of the mouth, [B, 1, 1]."""
    return features.mouth_v - photo.smile * 0.046 * 0.70


def paint_mouth(albedo: Tensor, mouth: Mouth, skin: Skin) -> None:
    """Add lips, teeth and the dark gap to an albedo [B, 3, N, N], in place."""
    rows, columns = mouth.window.rows, mouth.window.columns
    under = albedo[:, :, rows, columns]
    make_up = skin.make_up.unsqueeze(1)
    tint = torch.tensor([1.0, 0.90, 0.94]).view(1, 3, 1, 1) ** (make_up * 3)
    lips = skin.colour * skin.lips * (1 - 0.10 * make_up) * tint
    shade = 1 - 0.22 * mouth.upper + 0.06 * mouth.lower
    lips = lips * (shade * (1 + 0.04 * torch.sin(mouth.window.u * 150 + 3 * mouth.window.v)))[:, None]
    cover = ((mouth.upper + mouth.lower).clamp(0, 1) * (0.80 + 0.16 * skin.make_up))[:, None]
    painted = under + (lips - under) * cover
    painted = painted * (1 - 0.70 * mouth.seam[:, None])
    reach = mouth.along.abs()
    teeth = smoothstep(mouth.window.v - mouth.upper_edge, 0.046, 0.026) * (1 - 0.60 * reach * reach)
    teeth = teeth * (0.94 + 0.06 * torch.cos(mouth.window.u * 95))
    inside = torch.stack([0.09 + 0.62 * teeth, 0.03 + 0.64 * teeth, 0.03 + 0.58 * teeth], 1)
    albedo[:, :, rows, columns] = painted + (inside - painted) * mouth.gap[:, None]
