"""Glasses: rims, bridge, temples, a reflection and their shadow on the cheek."""

from __future__ import annotations

import torch
from torch import Tensor

from data.personas.rendering.canvas import Canvas, gauss, smoothstep
from data.personas.rendering.geometry import Outline
from data.personas.rendering.parameters import Features, Skin
from data.personas.rendering.photo import Photo


def paint_glasses(
    image: Tensor, canvas: Canvas, outline: Outline, features: Features, skin: Skin, photo: Photo
) -> None:
    """Draw glasses onto the lit heads [B, 3, N, N] of those who wear them."""
    if not bool((skin.glasses > 0).any()):
        return
    w = canvas.window(-0.80, 0.80, -0.30, 0.34)
    u, abs_u, v, pixel = w.u, w.u.abs(), w.v, canvas.pixel
    x, y = abs_u - features.eye_u - 0.008, v - 0.025
    power = skin.glasses_power
    level = (x / skin.glasses_width).abs() ** power + (y / skin.glasses_height).abs() ** power + 1e-6
    distance = (level ** (1 / power) - 1) * skin.glasses_height
    rim = smoothstep(skin.glasses_rim / 2 - distance.abs(), -pixel * 0.7, pixel * 0.7)
    inner = features.eye_u - skin.glasses_width + 0.012
    bridge = smoothstep(0.012 - (v + 0.02 + 0.05 * (1 - (u / 0.1) ** 2)).abs(), -pixel, pixel) * (abs_u < inner)
    half_width = outline.half_width[:, w.rows]
    outer = features.eye_u + skin.glasses_width
    temple = smoothstep(0.013 - (v + 0.02).abs(), -pixel, pixel) * (abs_u > outer) * (abs_u < half_width)
    frame = torch.maximum(torch.maximum(rim, bridge), temple) * skin.glasses
    lens = smoothstep(-distance, 0.0, pixel) * skin.glasses
    under = image[:, :, w.rows, w.columns]
    shadow = gauss(distance, 0.025, 0.03) * (v > 0.03) * 0.22 * skin.glasses
    diagonal = x * torch.sign(u) + y * 0.8 + 0.05
    streak = smoothstep(diagonal, 0.0, 0.02) * smoothstep(diagonal, 0.05, 0.03)
    painted = under * (1 - shadow - 0.05 * lens)[:, None] + (0.05 * streak * lens * photo.key)[:, None]
    top_light = 0.14 * gauss(v, -0.02 - 0.9 * skin.glasses_height, 0.02) * photo.key
    colour = skin.glasses_colour * (0.8 * photo.key + 0.4)[:, None] + top_light[:, None]
    image[:, :, w.rows, w.columns] = painted + (colour - painted) * frame[:, None]
