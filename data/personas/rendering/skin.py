"""Albedo of skin: regional colour, blotches, freckles, age spots, beard."""

from __future__ import annotations

import torch
from torch import Tensor

from data.personas.rendering.canvas import Canvas, SoftSpots, Window, gauss, smoothstep
from data.personas.rendering.geometry import Outline, forehead_lines, nasolabial_path
from data.personas.rendering.hairstyles import Hair
from data.personas.rendering.mouth import Mouth
from data.personas.rendering.parameters import Features, Skin, Skull
from data.personas.rendering.photo import Photo
from data.personas.rendering.textures import curls, freckles, skin_mottling, stubble


def paint_skin(canvas: Canvas, outline: Outline, skull: Skull, features: Features, skin: Skin, photo: Photo) -> Tensor:
    """Albedo of bare skin, [B, 3, N, N]."""
    redness = _redness(canvas, outline, features, skin).paint()
    darkness = _darkness(canvas, skull, features, skin, photo).paint().clamp(min=0)
    mottling = skin_mottling(canvas.size)[skin.texture]
    ageing = skull.ageing
    value = (0.15 + 0.85 * torch.exp(-0.85 * darkness)) * (1 + mottling * (0.010 + 0.045 * ageing * ageing))
    spots = freckles(canvas.size)[skin.texture]
    where = SoftSpots(canvas, len(ageing))
    where.add_pair(0.30, 0.20, 0.20, 0.16, skin.freckles * 0.38)
    where.add(0.20, 0.12, 0.20, skin.freckles * 0.30)
    value = value * (1 - spots * (where.paint() + 0.26 * skin.age_spots))
    blood = redness * (1 + 0.25 * mottling * ageing)
    pale = 1 - 0.45 * skin.tone  # redness shows less in dark skin
    # Dark hollows stay reddish, because of subsurface scattering.
    red = skin.colour[:, 0] * torch.sqrt(value) * torch.sqrt(value.clamp(min=0.3)) * (1 + 0.07 * blood)
    green = skin.colour[:, 1] * value * (1 - 0.22 * pale * blood)
    blue = skin.colour[:, 2] * value * (1 - 0.18 * pale * blood)
    return torch.stack([red, green, blue], 1)


def _redness(canvas: Canvas, outline: Outline, features: Features, skin: Skin) -> SoftSpots:
    spots = SoftSpots(canvas, len(skin.tone))
    spots.add_pair(0.36, 0.28, 0.18, 0.14, 0.62 * skin.blush + 0.38 * skin.make_up)
    spots.add(features.nose_end - 0.060, 0.11, 0.085, 0.30 + 0.42 * skin.blush)
    spots.add_pair(features.eye_u, 0.0, 0.17, 0.09, 0.24)
    spots.add(outline.chin - 0.09, 0.13, 0.08, 0.26)
    spots.add_pair(0.66, 0.15, 0.11, 0.24, 0.55)
    spots.add(-0.42, 0.42, 0.16, -0.18)  # the forehead is yellower
    spots.add(features.mouth_v, 0.26, 0.10, 0.14)
    return spots


def _darkness(canvas: Canvas, skull: Skull, features: Features, skin: Skin, photo: Photo) -> SoftSpots:
    spots = SoftSpots(canvas, len(skin.tone))
    lines, smile = skull.lines.clamp(max=1.1), photo.smile.clamp(min=0)
    eye_u, nose_end, wing = features.eye_u, features.nose_end, features.nose_width
    # Round the eyes.
    spots.add_pair(eye_u - 0.02, 0.080, 0.11, 0.040, 0.04 + 0.33 * lines)
    spots.add_pair(eye_u - 0.01, 0.130, 0.11, 0.016, 0.22 * (lines - 0.15).clamp(min=0))
    spots.add_pair(eye_u * 0.56, -0.01, 0.050, 0.065, 0.24)
    spots.add_pair(eye_u, -0.065, 0.14, 0.042, 0.16 + 0.34 * skin.make_up)
    # The nose: nostrils, the shade under it and in the groove of its wings.
    spots.add_pair(wing * 0.50, nose_end + 0.000, 0.026, 0.015, 1.5)
    spots.add(nose_end + 0.026, wing * 0.9, 0.017, 0.20)
    spots.add_pair(wing + 0.010, nose_end - 0.018, 0.015, 0.034, 0.12 + 0.10 * lines)
    # The mouth.
    spots.add(nose_end + 0.085, 0.022, 0.04, 0.05)
    spots.add(features.mouth_v + features.lower_lip + 0.038, 0.10, 0.022, 0.14)
    spots.add_pair(
        features.mouth_width * (1 + 0.15 * smile) + 0.008, features.mouth_v - 0.025 * smile, 0.016, 0.016, 0.40
    )
    # Folds and lines.
    for u, v, share in nasolabial_path(features):
        spots.add_pair(u, v, 0.020, 0.034, (0.010 + 0.16 * lines + 0.07 * smile) * share)
    for line_u, line_v, share in forehead_lines():
        spots.add_pair(line_u, line_v, 0.075, 0.0105, 0.13 * share * (lines - 0.10).clamp(min=0))
    spots.add_pair(0.032, -0.155, 0.010, 0.045, 0.20 * (lines - 0.15).clamp(min=0))
    spots.add_pair(
        features.mouth_width + 0.025, features.mouth_v + 0.10, 0.018, 0.07, 0.22 * (lines - 0.30).clamp(min=0)
    )
    for row in (-1.0, 0.0, 1.0):
        spots.add_pair(
            eye_u + features.eye_width + 0.055, 0.005 + 0.034 * row, 0.038, 0.007, 0.16 * (lines - 0.15).clamp(min=0)
        )
    spots.add_pair(0.42, 0.50, 0.10, 0.12, 0.12 * (lines - 0.3).clamp(min=0))
    return spots


def paint_beard(
    albedo: Tensor, canvas: Canvas, outline: Outline, features: Features, hair: Hair, skin: Skin, mouth: Mouth
) -> tuple[Window, Tensor]:
    """Add stubble, moustache and beard to an albedo [B, 3, N, N], in place.

    Returns:
        A window of the canvas, and the share of each pixel [B, h, w] in it that hair covers.
    """
    window = canvas.window(-0.80, 0.80, 0.10, 1.20)
    rows, columns = window.rows, window.columns
    grain = stubble(canvas.size)[0, rows, columns]
    curly = curls(canvas.size)[0, rows, columns]
    u, v = window.u.abs(), window.v
    mouth_v = features.mouth_v
    corner = features.mouth_width + 0.05
    cheek_v = mouth_v - 0.015
    slope = (cheek_v - 0.20) / (outline.half_width.amax(1, keepdim=True) * 0.93 - corner)
    line = cheek_v + 0.06 * smoothstep(corner + 0.03 - u, 0.0, 0.12) - slope * (u - corner).clamp(min=0)
    line = line + 0.05 * torch.sin(((u - corner) / 0.3).clamp(0, 1) * 3.14)
    jaw = smoothstep(v - line + 0.004 * grain, -0.05, 0.10)
    jaw = jaw * (1 - 0.55 * gauss(u, 0.13, 0.06) * gauss(v, mouth_v + 0.13, 0.05))
    lip = SoftSpots(canvas, len(mouth_v))
    lip.add_pair(0.09, (features.nose_end + mouth_v - features.upper_lip) / 2 + 0.030, 0.105, 0.046, 1.2)
    lip.add_pair(features.mouth_width + 0.015, mouth_v + 0.03, 0.040, 0.09, 1.0)
    lip.add(mouth_v + features.lower_lip + 0.06, 0.05, 0.04, 0.7)
    moustache = smoothstep(lip.paint()[:, rows, columns], 0.2, 0.9)
    cover = torch.maximum(jaw * hair.stubble, jaw * hair.beard)
    cover = torch.maximum(cover, torch.maximum(moustache * hair.stubble, moustache * hair.moustache))
    lips = (mouth.upper + mouth.lower + mouth.gap).clamp(max=1)
    top, left = mouth.window.rows.start - rows.start, mouth.window.columns.start - columns.start
    cover[:, top : top + lips.shape[1], left : left + lips.shape[2]] *= 1 - lips
    rough = 0.80 + 0.20 * torch.tanh(grain + 0.6 * curly * hair.beard)
    cover = (cover * rough).clamp(0, 0.94)
    # Stubble looks bluish grey in light skin; a beard has the colour of its hair.
    full = torch.maximum(hair.beard, hair.moustache).unsqueeze(1)
    stubble_colour = 0.36 * skin.colour * torch.tensor([0.84, 0.97, 1.12]).view(1, 3, 1, 1) + 0.30 * hair.beard_colour
    lumps = 1 + 0.45 * torch.tanh(grain * 0.8 + curly * 0.8)
    colour = stubble_colour + (hair.beard_colour * lumps - stubble_colour) * full
    under = albedo[:, :, rows, columns]
    under += (colour - under) * cover[:, None]
    return window, cover
