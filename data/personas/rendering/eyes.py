"""Eyebrows in the albedo; eyes over lit skin."""

from __future__ import annotations

import torch
from torch import Tensor

from data.personas.rendering.canvas import Canvas, gauss, smoothstep
from data.personas.rendering.hairstyles import Hair
from data.personas.rendering.light import Light
from data.personas.rendering.parameters import Features, Skin, Skull
from data.personas.rendering.photo import Photo
from data.personas.rendering.textures import stubble


def paint_brows(albedo: Tensor, shine: Tensor, canvas: Canvas, features: Features, hair: Hair, photo: Photo) -> None:
    """Add eyebrows to an albedo [B, 3, N, N] and reduce the shine [B, N, N] there, both in place."""
    grain = stubble(canvas.size)[0]
    for side in (-1.0, 1.0):
        w = canvas.window(0.03, 0.60, -0.40, -0.05, side)
        u = w.u * side
        start, length = features.eye_u - 0.195, features.brow_length * 2
        along = (u - start) / length
        arch = features.brow_arch * (1 - ((along - 0.62) / 0.55) ** 2) * 1.6
        centre = (
            features.brow_v
            + 0.020 * (0.5 - along)
            - arch
            - photo.brow_raise
            + 0.030 * (along - 0.75).clamp(min=0) ** 2 * 3
        )
        half = features.brow_thickness * (0.90 - 0.12 * along) * (1 - smoothstep(along, 0.50, 1.08) * 0.80)
        half = half * (0.55 + 0.45 * smoothstep(along, -0.10, 0.25))
        distance = (w.v - centre).abs() - half
        edge = 0.010 + canvas.pixel * 0.7
        cover = smoothstep(-distance, -edge, edge) * smoothstep(along, -0.06, 0.20) * smoothstep(along, 1.06, 0.80)
        hairs = 0.93 + 0.07 * torch.tanh(grain[w.rows, w.columns])[None]
        cover = (cover * hairs * features.brow_density).clamp(0, 0.95)
        shine[:, w.rows, w.columns] *= 1 - 0.95 * cover
        under = albedo[:, :, w.rows, w.columns]
        albedo[:, :, w.rows, w.columns] = under + (hair.brow_colour - under) * cover[:, None]


def paint_eyes(
    image: Tensor, canvas: Canvas, skull: Skull, features: Features, skin: Skin, photo: Photo, light: Light
) -> None:
    """Draw eyeballs, edges of the lids and lashes over lit skin [B, 3, N, N] (linear light), in place."""
    pixel = canvas.pixel
    bright = (photo.key * (0.55 + 0.30 * light.z) + 0.55 * photo.fill)[:, None]
    tint = 0.5 + 0.5 * photo.key_colour
    for side in (-1.0, 1.0):
        w = canvas.window(0.04, 0.52, -0.20, 0.17, side)
        x = w.u * side - features.eye_u
        along = x / features.eye_width
        y = w.v + features.eye_tilt * x - skull.asymmetry * side * 0.3
        reach = along.abs()
        opening = features.eye_height * photo.eyes_open
        arch = (1 - along * along).clamp(min=0)
        root = torch.sqrt(arch)
        # The upper lid is highest on the nose's side, the lower one lowest on the other.
        upper = -opening * root * (0.55 + 0.45 * root) * (1 - 0.16 * along) + 0.012 * along * along
        lower_height = 0.024 + 0.10 * opening - 0.010 * photo.smile.clamp(min=0)
        lower = lower_height * root * (1 + 0.18 * along) * photo.eyes_open.clamp(max=1) + 0.012 * along * along
        edge = 0.6 * pixel + 0.002
        inside = smoothstep(y - upper, -edge, edge) * smoothstep(lower - y, -edge, edge) * smoothstep(reach, 1.02, 0.94)

        # The white: shaded like a ball, under the shadow of the upper lid, pink in the corner.
        lid_shadow = torch.exp(-((y - upper).clamp(min=0) / 0.020)) * 0.50
        white = torch.stack([0.66 - 0.18 * reach**2, 0.63 - 0.22 * reach**2, 0.61 - 0.22 * reach**2], 1) * (
            1 - 0.06 * skull.lines
        ).unsqueeze(1)
        white = white * (1 - 0.48 * skin.tone).unsqueeze(1)
        white = white * (1 - 0.22 * smoothstep(x * light.u * side, 0.0, -0.10)).unsqueeze(1)

        # The iris: dark rim, light fibres below, the pupil.
        dx, dy = x - photo.gaze_u * side, y - 0.002 - photo.gaze_v
        radius = torch.sqrt(dx * dx + dy * dy) / features.iris_radius
        iris_cover = smoothstep(radius, 1.0 + 0.9 * pixel / 0.06, 1.0 - 0.9 * pixel / 0.06)
        rim = 1 - 0.62 * smoothstep(radius, 0.70, 1.0)
        glow = 0.62 + 0.62 * smoothstep(dy - 0.25 * light.u * side * dx, -0.03, 0.05) * smoothstep(radius, 1.0, 0.6)
        pupil = smoothstep(radius, 0.46 + pixel * 4, 0.46 - pixel * 4)
        iris = skin.iris * (rim * glow)[:, None] * (1 - 0.95 * pupil[:, None])
        ball = white + (iris - white) * iris_cover[:, None]
        ball = ball * (1 - lid_shadow[:, None]) * bright * tint
        # Reflections: the key light and, faintly, what lies opposite.
        spot = 0.010 + pixel * 0.55
        glint_u, glint_v = 0.024 * light.u * side * 1.3, -0.022
        glint = torch.exp(-((dx - glint_u) ** 2 + (dy - glint_v) ** 2) / spot**2)
        opposite = torch.exp(-((dx + glint_u * 1.1) ** 2 + (dy + glint_v * 1.1) ** 2) / (spot * 1.6) ** 2)
        ball = (
            ball
            + ((0.95 * glint + 0.10 * opposite) * (0.25 + 0.75 * iris_cover) * (1 - 0.4 * skin.tone))[:, None] * bright
        )

        under = image[:, :, w.rows, w.columns]
        # The fold over the lid, the lid's own shade, eye shadow.
        on_lid = smoothstep(upper - y, -0.005, 0.020) * smoothstep(reach, 1.25, 0.75)
        fold_v = upper - features.lid_crease * (1 - 0.25 * arch) * (1 - 0.5 * features.hooded)
        fold = gauss(y, fold_v, 0.008 + 0.5 * pixel) * smoothstep(reach, 1.12, 0.80) * 0.38
        lid = smoothstep(y - fold_v, -0.01, 0.01) * on_lid * (0.04 + 0.30 * skin.make_up)
        dark = (1 - fold) * (1 - lid)
        under = under * torch.stack([dark, dark * dark.clamp(min=0.5) ** 0.25, dark * dark.clamp(min=0.5) ** 0.15], 1)
        painted = under + (ball - under) * inside[:, None]
        # Lashes and the wet edge of the lower lid.
        thick = 0.0090 + pixel * 0.46 + 0.0060 * features.lashes
        lash_mask = smoothstep(reach, 1.12, 0.96)
        lash = torch.exp(-(((y - upper + 0.004) / thick) ** 2)) * lash_mask * (0.72 + 0.26 * features.lashes)
        wing_x = x - features.eye_width
        wing = gauss(y + 0.30 * wing_x, -0.010, 0.009 + pixel * 0.3) * gauss(wing_x, 0.008, 0.028)
        wing = wing * (features.lashes - 0.40).clamp(min=0) * (0.9 + 0.5 * skin.make_up)
        under_lash = gauss(y, lower + 0.003, 0.006 + pixel * 0.35) * smoothstep(reach, 1.0, 0.90)
        under_lash = under_lash * (0.24 + 0.24 * features.lashes * skin.make_up + 0.08 * features.lashes)
        darkness = torch.maximum(torch.maximum(lash, wing), under_lash).clamp(0, 0.95)
        image[:, :, w.rows, w.columns] = painted * (1 - darkness[:, None])
