"""Height field of a head: outline, bone and fat, nose, folds and lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from data.personas.rendering.canvas import Canvas, SoftSpots, gauss, smoothstep
from data.personas.rendering.parameters import Features, Skull
from data.personas.rendering.photo import Photo

_FOREHEAD_LINES = (-0.30, -0.365, -0.43, -0.49)


@dataclass(frozen=True)
class Outline:
    """The head's silhouette.

    Attributes:
        half_width: [B, N, 1], half width of every row in head units.
        inside: [B, N, N], signed distance to the silhouette, positive inside.
        mask: [B, N, N], share of a pixel that the head covers.
        chin: [B, 1, 1], v of the chin, which the opening of the mouth moves.
    """

    half_width: Tensor
    inside: Tensor
    mask: Tensor
    chin: Tensor


def head_outline(canvas: Canvas, skull: Skull, photo: Photo) -> Outline:
    """Silhouette: superellipses above and below the eyes, plus bumps for cheekbones, cheeks, jaw angle and chin."""
    chin = skull.chin + 0.014 * photo.mouth_open
    v = canvas.v.expand(len(chin), canvas.size, 1)
    above = (1 - (v.clamp(max=0) / -skull.crown).abs().clamp(0, 1) ** skull.crown_power).clamp(min=0)
    below = (1 - (v.clamp(min=0) / chin).clamp(0, 1) ** skull.jaw_power).clamp(min=0)
    shape = torch.where(v < 0, above ** (1 / 2.35), below ** (1 / skull.jaw_round))
    bumps = (
        skull.cheekbone * gauss(v, 0.15, 0.16)
        + skull.cheek_width * gauss(v, 0.47, 0.26)
        + skull.temple * gauss(v, -0.45, 0.2)
        + skull.jaw_angle * gauss(v, 0.63 * chin, 0.15)
        + (skull.chin_width * gauss(v, 0.92 * chin, 0.07) + skull.jowl * gauss(v, 0.75 * chin, 0.10)) * (below > 0.02)
        - 0.020 * gauss(v, -0.22, 0.15)
    )
    half_width = (skull.width * shape + bumps * (shape > 0.02)) * ((v > -skull.crown) & (v < chin))
    half_width = half_width.clamp(min=0) + 1e-4
    slope = torch.zeros_like(half_width)
    slope[:, 1:-1] = (half_width[:, 2:] - half_width[:, :-2]) / (2 * canvas.pixel)
    inside = (half_width - canvas.abs_u) * torch.rsqrt(1 + slope * slope)
    return Outline(half_width, inside, (inside / canvas.pixel + 0.5).clamp(0, 1), chin)


def head_heights(canvas: Canvas, outline: Outline, skull: Skull, features: Features, photo: Photo) -> Tensor:
    """z of the skin, [B, N, N], without the lips, which are added with the mouth."""
    v, chin = canvas.v, outline.chin
    radius = (canvas.abs_u / outline.half_width).clamp(max=1)
    top = 1 - ((-0.25 - v).clamp(min=0) / (skull.crown - 0.23)).clamp(0, 1) ** 2.3
    bottom = (1 - ((v - 0.62 * chin).clamp(min=0) / (0.40 * chin)).clamp(0, 1) ** 2.6).clamp(min=0) ** 0.55
    depth = 0.66 * torch.sqrt(top.clamp(min=0)) * bottom * (1 - 0.03 * v)
    round_part = (1 - radius * radius * (0.35 + 0.65 * radius)).clamp(min=0)
    heights = depth * (0.25 * round_part + 0.75 * torch.sqrt(round_part))
    relief = _relief(canvas, skull, features, photo, chin).paint()
    _add_nose(relief, canvas, features)
    return heights + relief * smoothstep(outline.inside, 0.0, 0.14) + skull.asymmetry * canvas.u


def _relief(canvas: Canvas, skull: Skull, features: Features, photo: Photo, chin: Tensor) -> SoftSpots:
    spots = SoftSpots(canvas, len(chin))
    smile, lines = photo.smile.clamp(min=0), skull.lines.clamp(max=1.1)
    eye_u, nose_end, mouth_v = features.eye_u, features.nose_end, features.mouth_v
    # Forehead and brow.
    spots.add(-0.13, 0.20, 0.075, skull.brow_ridge * 0.8)
    spots.add_pair(0.27, -0.150, 0.16, 0.060, skull.brow_ridge * 1.25)
    spots.add_pair(0.20, -0.45, 0.20, 0.16, 0.012 + 0.010 * (1 - skull.male))
    spots.add_pair(0.62, -0.27, 0.12, 0.20, -0.045 - 0.015 * lines)
    # Eye sockets, eyeballs under the lids, bags.
    spots.add_pair(eye_u, -0.010, 0.150, 0.085, -skull.socket)
    spots.add_pair(eye_u * 0.52, -0.015, 0.065, 0.075, -0.016)
    spots.add_pair(eye_u, 0.000, 0.105, 0.065, 0.046)
    spots.add_pair(eye_u + 0.01, 0.088, 0.11, 0.030, 0.006 + 0.020 * lines + 0.008 * smile)
    spots.add_pair(eye_u, 0.138, 0.13, 0.028, -0.004 - 0.021 * lines)
    # Cheeks: bone, apples that a smile lifts, fat or hollow.
    spots.add_pair(0.425, 0.18, 0.15, 0.12, 0.040 + 0.018 * smile)
    spots.add_pair(0.33, 0.29 - 0.03 * smile, 0.14, 0.11, 0.026 + 0.036 * smile + skull.cheek_fat * 0.55)
    spots.add_pair(0.40, 0.50, 0.15, 0.17, skull.cheek_fat - 0.014)
    spots.add_pair(0.40, 0.77 * chin, 0.12, 0.09, skull.jowl * 1.1)
    # Around the nose and the mouth.
    spots.add(nose_end + 0.085, 0.018, 0.045, -0.009)
    spots.add(mouth_v - 0.01, 0.23, 0.14, 0.036)
    spots.add(mouth_v + features.lower_lip + 0.050, 0.13, 0.034, -0.026)
    spots.add_pair(features.mouth_width + 0.045, mouth_v + 0.015, 0.035, 0.05, -0.010 - 0.022 * smile - 0.008 * lines)
    # Chin.
    spots.add(chin - 0.115, 0.125, 0.080, skull.chin_boss)
    spots.add_pair(0.075, chin - 0.10, 0.07, 0.06, 0.4 * skull.chin_width)
    spots.add(chin - 0.10, 0.014, 0.05, -skull.chin_cleft)
    # Folds from the nose to the mouth, and below its corners.
    fold = 0.001 + 0.012 * smile + 0.024 * lines + 0.002 * skull.male
    for u, v, share in nasolabial_path(features):
        spots.add_pair(u, v, 0.022, 0.034, -fold * 0.8 * share)
        spots.add_pair(u + 0.048, v - 0.015, 0.042, 0.05, fold * 0.45 * share)
    for step in range(3):
        u, v = features.mouth_width + 0.012 + 0.012 * step, mouth_v + 0.06 + 0.05 * step
        spots.add_pair(u, v, 0.018, 0.035, -0.020 * (lines - 0.30).clamp(min=0))
    # Lines of the forehead, between the brows, beside the eyes.
    for line_u, line_v, share in forehead_lines():
        spots.add_pair(line_u, line_v, 0.075, 0.012, -0.0100 * share * (lines - 0.10).clamp(min=0))
    for row in range(3):
        for step in range(3):
            line_v = -0.03 + 0.036 * row + (row - 1) * 0.012 * step
            start_u = eye_u + features.eye_width + 0.030 + 0.026 * step
            spots.add_pair(start_u, line_v, 0.020, 0.008, -0.0080 * ((lines - 0.1).clamp(min=0) + 0.35 * smile * lines))
    spots.add_pair(0.032, -0.155, 0.011, 0.045, -0.010 * ((lines - 0.1).clamp(min=0) + 0.1 * skull.male))
    return spots


def nasolabial_path(features: Features) -> list[tuple[Tensor, Tensor, float]]:
    """Points (u, v, share) along the fold from the wing of the nose to the corner of the mouth."""
    start_u, start_v = features.nose_width + 0.040, features.nose_end - 0.045
    end_u, end_v = features.mouth_width + 0.064, features.mouth_v + 0.02
    path = []
    for step in range(7):
        part = step / 6
        u = start_u + part * (end_u - start_u) + 0.02 * math.sin(part * 3.1)
        path.append((u, start_v + part * (end_v - start_v), 0.65 if step in (0, 6) else 1.0))
    return path


def forehead_lines() -> list[tuple[float, float, float]]:
    """Spots (u, v, share) of the lines of the forehead."""
    spots = []
    for number, v in enumerate(_FOREHEAD_LINES):
        for step in range(4):
            curve = -0.012 * math.cos(step * 1.3 + number) + 0.02 * (step / 3) ** 2 - 0.01
            spots.append((0.06 + 0.105 * step, v + curve, (1.1 - 0.22 * step) * (1.0 if number % 2 else 0.8)))
    return spots


def _add_nose(heights: Tensor, canvas: Canvas, features: Features) -> None:
    """Add a nose to the heights, in place: bridge, tip, two wings, nostrils."""
    w = canvas.window(-0.36, 0.36, -0.22, 0.60)
    u, abs_u, v = w.u, w.u.abs(), w.v
    end, wing = features.nose_end, features.nose_width
    tip = end - 0.075
    down = ((v + 0.085) / (tip + 0.085)).clamp(0, 1)
    # The lower edge is a curve: low at the columella, high at the wings.
    sag = end + 0.030 - 0.055 * (u / wing).clamp(-1.3, 1.3) ** 2
    under = 1 - smoothstep(v, sag - 0.105, sag + 0.020)
    ridge = features.bridge_height * smoothstep(v, -0.19, -0.02) * (1 - down)
    ridge = ridge + (features.nose_height * 0.80) * down**1.25 + features.nose_hump * gauss(down, 0.40, 0.22)
    half = features.bridge_width * (1.05 + 0.25 * gauss(down, 0.0, 0.35) + 0.45 * down * down)
    across = u / half
    # Flat on the ridge, wide at the base, without edges.
    cross = 0.62 * torch.exp(-across * across) + 0.38 * torch.exp(-across * across / 3.6)
    nose = ridge * under * cross
    ball = features.tip_size
    nose = nose + 0.30 * features.nose_height * torch.exp(
        -((u / (ball * 1.08)) ** 2) - ((v - tip - 0.004) / (ball * 0.86)) ** 2
    )
    wing_u, wing_v = wing * 0.78, end - 0.040
    nose = nose + 0.062 * torch.exp(-(((abs_u - wing_u) / (wing * 0.36)) ** 2) - ((v - wing_v) / 0.050) ** 2)
    nose = nose - 0.014 * torch.exp(-(((abs_u - wing - 0.045) / 0.028) ** 2) - ((v - end + 0.030) / 0.050) ** 2)
    nose = nose - 0.014 * torch.exp(-(((abs_u - wing * 0.45) / (wing * 0.30)) ** 2) - ((v - end - 0.002) / 0.020) ** 2)
    nose = nose - 0.012 * torch.exp(-((u / 0.11) ** 2) - ((v - end - 0.055) / 0.035) ** 2)
    heights[:, w.rows, w.columns] += nose


def blur(maps: Tensor, reach: int) -> Tensor:
    """Blur [B, C, H, W] twice by a box of `reach` pixels (odd), which is nearly Gaussian."""
    if reach <= 1:
        return maps
    once = _box(maps, reach)
    return _box(once, reach)


def _box(maps: Tensor, reach: int) -> Tensor:
    half = reach // 2
    rows = F.avg_pool2d(maps, (reach, 1), 1, (half, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, reach), 1, (0, half), count_include_pad=False)
