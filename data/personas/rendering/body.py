"""Neck, shoulders, clothes and ears: the layers behind the head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from data.personas.rendering.canvas import Canvas, Window, gauss, smoothstep
from data.personas.rendering.geometry import Outline, blur
from data.personas.rendering.light import Light
from data.personas.rendering.parameters import Skin, Skull
from data.personas.rendering.photo import Photo
from data.personas.rendering.textures import skin_mottling


def body_window(canvas: Canvas) -> Window:
    """Lower rows of the canvas, which hold neck and clothes."""
    return canvas.window(-2.0, 2.0, 0.62, 2.0)


@dataclass(frozen=True)
class Layer:
    """Colours and coverage of a layer: [B, 3, N, N] (or a window of it) and [B, N, N]."""

    colour: Tensor
    mask: Tensor


def chin_shadow(canvas: Canvas, window: Window, outline: Outline, light: Light) -> Tensor:
    """Shadow of the head on neck and collar, [B, h, N] in [0, 1], with a soft edge."""
    size = canvas.size
    quarter = F.avg_pool2d(outline.mask[:, None], 4)
    soft = blur(quarter, 2 * max(1, round(size * 0.014)) + 1)
    line = (torch.arange(size) + 0.5) * (2 / size) - 1
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    unit = 2 / (size * canvas.pixel)
    shift = torch.stack([light.u * 0.16 * unit, light.v * 0.26 * unit], -1).view(-1, 1, 1, 2)
    places = torch.stack([columns, rows], -1)[None] + shift
    return F.grid_sample(soft, places[:, window.rows], padding_mode="zeros", align_corners=False)[:, 0]


def paint_neck(
    canvas: Canvas,
    window: Window,
    outline: Outline,
    skull: Skull,
    skin: Skin,
    photo: Photo,
    light: Light,
    shadow: Tensor,
) -> Layer:
    """Render the neck, with the shadow of the chin and a double chin."""
    u, abs_u, v = window.u, window.u.abs(), window.v
    half = skull.neck + 0.9 * (v - 1.02).clamp(min=0) ** 1.6
    x = (u / half).clamp(-1, 1)
    normal_z = torch.sqrt((1 - x * x).clamp(min=0) + 0.03)
    # Muscles from behind the ears to the pit of the throat, an Adam's apple, collar bones.
    muscle = gauss(abs_u, skull.neck * (0.82 - 0.75 * (v - 0.95).clamp(0, 1)), 0.040) * smoothstep(v, 0.95, 1.15)
    apple = skull.male * gauss(u, 0.0, 0.055) * gauss(v, outline.chin + 0.13, 0.06)
    pit = gauss(u, 0.0, 0.05) * gauss(v, 1.36, 0.06)
    tilt_u = x * 0.95 + 0.10 * apple * torch.sign(u)
    facing = tilt_u * light.u + 0.10 * light.v + normal_z * light.z
    lit = (1 - 0.90 * shadow) * photo.key
    occlusion = 1 - 0.62 * torch.sqrt(shadow.clamp(min=0)) - 0.16 * muscle - 0.14 * pit
    occlusion = occlusion.clamp(min=0.12)
    channels = []
    for number, wrap in enumerate((0.35, 0.22, 0.18)):
        diffuse = ((facing + wrap) / (1 + wrap)).clamp(min=0) * lit * (1 + 0.10 * apple - 0.10 * muscle)
        ambient = photo.fill * (0.60 * photo.sky_colour[:, number] + 0.30 * photo.ground_colour[:, number])
        bounce = 0.05 if number == 0 else 0.0
        channels.append(
            skin.colour[:, number]
            * (diffuse * photo.key_colour[:, number] + (ambient * (0.45 + 0.55 * normal_z) + bounce) * occlusion)
        )
    colour = torch.stack(channels, 1)
    wrinkle = torch.sin(v * 55 + 6 * abs_u) * gauss(v, 1.12, 0.10) * skull.lines * 0.05
    mottling = skin_mottling(canvas.size)[:, window.rows][skin.texture]
    colour = colour * (1 + 0.012 * mottling - wrinkle)[:, None]
    # The double chin: a soft roll under the jaw, lit from above, dark below.
    roll_v = outline.chin + 0.055 - 0.20 * (abs_u / 0.45) ** 2
    roll_reach = smoothstep(abs_u, 0.46, 0.20) * skull.double_chin.clamp(max=1.1)
    roll = gauss(v, roll_v, 0.050) * roll_reach
    crease = gauss(v, roll_v + 0.085, 0.022 + 0.3 * canvas.pixel) * roll_reach
    lift = (0.38 * photo.key * light.z.clamp(min=0) + 0.12) * roll
    colour = colour * (1 - 0.38 * crease)[:, None] + skin.colour * lift[:, None] * torch.tensor([1.0, 0.93, 0.9]).view(
        1, 3, 1, 1
    )
    mask = ((half - abs_u) / canvas.pixel + 0.5).clamp(0, 1)
    return Layer(colour, mask)


def paint_clothes(
    canvas: Canvas, window: Window, skull: Skull, skin: Skin, photo: Photo, light: Light, shadow: Tensor
) -> Layer:
    """Render shoulders in clothes with one of five necklines."""
    u, abs_u, v, pixel = window.u, window.u.abs(), window.v, canvas.pixel
    collar = photo.collar
    shirt, turtle = collar == 2, collar == 4
    slope = ((abs_u - skull.neck * 0.95).clamp(min=0) / (1.0 + 0.05 * skull.male + photo.shoulder)) ** 1.6
    shoulder = 1.13 - 0.02 * skull.male + 0.50 * slope
    across = (abs_u / (skull.neck + 0.05)).clamp(max=1)
    crew = 1.12 + 0.14 * (1 - across**2)
    v_neck = 1.10 + 0.62 * (skull.neck + 0.05 - abs_u).clamp(min=0)
    wide = 1.13 + 0.34 * (1 - across**2.4)
    open_shirt = 1.03 + 1.15 * (skull.neck * 0.93 - abs_u).clamp(min=0)
    open_shirt = open_shirt + 0.06 * smoothstep(abs_u, skull.neck, skull.neck + 0.045)
    roll_neck = 1.02 + 0.05 * (1 - across**2) + 0.07 * smoothstep(abs_u, skull.neck, skull.neck + 0.045)
    line = torch.where(collar == 1, v_neck, crew)
    line = torch.where(collar == 3, wide, line)
    line = torch.where(shirt, open_shirt, line)
    line = torch.where(turtle, roll_neck, line)
    upper = torch.where(abs_u < skull.neck + 0.045, line, shoulder)
    mask = ((v - upper) / pixel + 0.5).clamp(0, 1)
    depth = v - upper
    normal_u = (u * 0.62).clamp(-0.9, 0.9)
    normal_v = -0.50 * smoothstep(depth, 0.22, 0.0) - 0.12
    normal_z = torch.sqrt((1 - normal_u**2 - normal_v**2).clamp(min=0.1))
    facing = normal_u * light.u + normal_v * light.v + normal_z * light.z
    fold = torch.sin(abs_u * 10 + v * 7 + 2 * torch.sin(u * 5 + v * 3)) * 0.05 * smoothstep(depth, 0.05, 0.25)
    weave = 1 + 0.02 * skin_mottling(canvas.size)[:, window.rows][skin.texture]
    lit = (facing + fold + 0.10).clamp(min=0) / 1.10 * photo.key * (1 - 0.75 * shadow)
    ambient = photo.fill * (0.5 - 0.5 * normal_v) * (1 - 0.45 * shadow)
    amount = (lit[:, None] * photo.key_colour + ambient[:, None] * photo.sky_colour) * weave[:, None]
    cloth = photo.cloth
    # A seam under the neckline, a shirt's collar and the garment under it.
    seam = gauss(depth, 0.045, 0.010 + 0.35 * pixel) * (abs_u < skull.neck + 0.08) * (~shirt) * 0.30
    leaf_edge = 1.13 + 1.0 * (abs_u - 0.10).clamp(min=0) - 2.2 * (abs_u - skull.neck * 0.80).clamp(min=0)
    leaf = smoothstep(v - leaf_edge, 0.015 + pixel, -0.015) * shirt * (abs_u < skull.neck + 0.16)
    leaf_line = gauss(v, leaf_edge + 0.02, 0.025 + 0.4 * pixel) * shirt * (abs_u < skull.neck + 0.12) * 0.35
    shade = (1 - seam - leaf_line * (1 - leaf)) * (1 + 0.10 * leaf)
    colour = cloth * (amount * shade[:, None])
    return Layer(colour, mask)


def paint_ears(
    canvas: Canvas, outline: Outline, skull: Skull, skin: Skin, photo: Photo, light: Light, hidden: Tensor
) -> list[tuple[slice, slice, Layer]]:
    """Render both ears in windows of the canvas, redder than the face; `hidden` is 1 under hair."""
    layers = []
    for side in (-1.0, 1.0):
        w = canvas.window(0.46, 0.98, -0.22, 0.52, side)
        u, v, pixel = w.u * side, w.v, canvas.pixel
        centre_v = 0.13
        middle = outline.half_width.amax(1, keepdim=True) - 0.006 + skull.ear_angle
        x = u - middle + 0.17 * (v - centre_v)
        y = (v - centre_v) / skull.ear_length
        width = (skull.ear_width + 0.018) * (1.05 - 0.34 * smoothstep(y, -0.1, 0.9))
        radius = torch.sqrt((x / width) ** 2 + y * y + 1e-4)
        soft = pixel / skull.ear_width * 0.8
        mask = smoothstep(1 - radius, -soft, soft) * (1 - hidden)
        rim = gauss(radius, 0.86, 0.13) * smoothstep(y, 0.75, 0.2)
        groove = gauss(radius, 0.62, 0.12) * smoothstep(y, 0.65, 0.1) * smoothstep(x / width, -0.5, 0.0)
        hollow = torch.exp(-(((x + 0.35 * width) / (0.50 * width)) ** 2) - ((y - 0.12) / 0.34) ** 2)
        root = smoothstep(x / width, -0.25, -0.95)
        facing = 0.50 * side * light.u + 0.75 * light.z - 0.10 * light.v
        lit = (facing + 0.25).clamp(min=0) / 1.25 * photo.key * (1 + 0.30 * rim) + photo.fill * 0.75
        # Light from behind shines through.
        through = (-side * torch.sign(light.u)).clamp(min=0) * photo.rim * 0.35
        shade = (1 - 0.42 * groove) * (1 - 0.58 * hollow) * (1 - 0.30 * root)
        red = skin.colour[:, 0] * (lit * shade.clamp(min=0.2) ** 0.75 * 1.03 + through)
        green = skin.colour[:, 1] * (lit * shade * 0.88 + 0.35 * through)
        blue = skin.colour[:, 2] * (lit * shade * 0.87 + 0.25 * through)
        colour = torch.stack([red, green, blue], 1) * (0.4 + 0.6 * photo.key_colour)
        stud = (
            smoothstep(torch.sqrt(x * x + (v - centre_v - 0.92 * skull.ear_length) ** 2), 0.022 + pixel * 0.5, 0.014)
            * skin.earrings
        )
        colour = (
            colour + (torch.tensor([1.0, 0.86, 0.55]).view(1, 3, 1, 1) * lit[:, None] - colour) * (0.85 * stud)[:, None]
        )
        layers.append((w.rows, w.columns, Layer(colour, mask)))
    return layers
