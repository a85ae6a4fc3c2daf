"""Hair: a surface around the skull with a hairline, strands that run from the parting or curl, and its own shading."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from data.personas.rendering.canvas import Canvas, gauss, smoothstep
from data.personas.rendering.geometry import Outline, blur
from data.personas.rendering.hairstyles import Hair
from data.personas.rendering.light import Light
from data.personas.rendering.parameters import Skin, Skull
from data.personas.rendering.photo import Photo
from data.personas.rendering.textures import curls, strands, stubble

_MARGIN = 0.05  # head units


@dataclass(frozen=True)
class PaintedHair:
    """Layers of hair.

    Attributes:
        front: [B, N, N], share of a pixel covered by hair in front of the head.
        back: [B, N, N], the same for hair behind the neck, and a bun.
        colour: [B, 3, N, N], linear light, of the front.
        back_colour: [B, 3, N, N], linear light, of the back.
        shade: [B, N, N], shadow of the front on the skin next to it.
    """

    front: Tensor
    back: Tensor
    colour: Tensor
    back_colour: Tensor
    shade: Tensor


def paint_hair(
    canvas: Canvas, outline: Outline, skull: Skull, hair: Hair, skin: Skin, photo: Photo, light: Light
) -> PaintedHair:
    """Render hair: its shape, colour and shading."""
    relief = _strand_relief(canvas, hair)
    shape = _Shell(canvas, outline, skull, hair, relief)
    front = _front_mask(canvas, shape, outline, skull, hair, relief)
    back = shape.inside * _lower_end(canvas, hair, relief) * hair.falls
    colour = _light_hair(canvas, shape, hair, skin, photo, light, relief)
    back_colour = colour * (0.40 + 0.25 * smoothstep(canvas.abs_u, 0.35, 0.75))[:, None]
    if bool((hair.bun > 0).any()):
        _add_bun(canvas, skull, hair, photo, light, back, back_colour, relief)
    soft = blur(F.avg_pool2d(front[:, None], 4), 2 * max(1, round(canvas.size * 0.008)) + 1)
    shade = F.interpolate(soft, size=(canvas.size, canvas.size), mode="bilinear", align_corners=False)[:, 0]
    shade = shade * 0.50 * (1 - 0.45 * hair.buzz) * (1 - 0.6 * hair.bald)
    return PaintedHair(front, back, colour, back_colour, shade)


def _strand_relief(canvas: Canvas, hair: Hair) -> Tensor:
    """Height of the strands, [B, N, N], of about unit variance."""
    u, v, size = canvas.u, canvas.v, canvas.size
    root = hair.part * 0.6
    bend = hair.wave * torch.sin(v * hair.wave_frequency + hair.shift * 6.28) * smoothstep(v, -0.55, 0.4)
    fan = (u + bend * torch.sign(u) - root) / (v + 1.75).clamp(min=0.3)
    # Sideways: arcs about a point above the far end of the parting.
    arc = torch.sqrt((u - hair.part * 1.2) ** 2 * 0.30 + (v + 1.35) ** 2) * 1.15
    upper = hair.sideways * smoothstep(v, -0.15, -0.85)
    across = fan + (arc - fan) * upper
    length = v * 0.55 + 0.25 * canvas.abs_u
    length = length + (u * 0.5 - length) * upper
    places = torch.stack([across * 0.95 + hair.shift * 0.6 - 0.3, length.expand_as(across)], -1)
    lines = F.grid_sample(
        strands().expand(len(across), 1, 256, 512), places, padding_mode="reflection", align_corners=False
    )[:, 0]
    clumps = torch.sin(across * 34 + hair.shift * 40 + 2.4 * torch.sin(across * 13 + v * 1.6))
    straight = 0.75 * lines + 0.55 * clumps
    number = (hair.shift.reshape(-1) * 4).long().clamp(0, 3)
    if bool((torch.maximum(hair.curl, hair.buzz) > 0).any()):
        straight = torch.lerp(straight, curls(size)[number], hair.curl)
        straight = torch.lerp(straight, 0.8 * stubble(size)[number], hair.buzz * (1 - 0.6 * hair.curl))
    return straight


class _Shell:
    """The outer surface of the hair.

    Attributes:
        half_width: [B, N, 1], half width of every row.
        edge: [B, N, N], distance to the silhouette, positive inside.
        inside: [B, N, N], share of a pixel inside.
        radius: [B, N, N], -1 .. 1 from left to right.
        height: [B, N, 1], -1 at the top of the hair.
        leaned_u: [B, N, N] or [B, N, 1] + u: u with the lean of the top taken out.
    """

    def __init__(self, canvas: Canvas, outline: Outline, skull: Skull, hair: Hair, relief: Tensor) -> None:
        v, pixel = canvas.v, canvas.pixel
        # The surface is larger by a margin, which its edge leaves out, so that curls can protrude at the top.
        top = skull.crown + hair.top + _MARGIN
        self.leaned_u = canvas.u - hair.lean * smoothstep(v, -0.45, -1.0)
        cap = (1 - (v.clamp(max=0) / top).abs().clamp(0, 1) ** skull.crown_power.clamp(max=2.7)).clamp(min=0)
        cap = cap ** (1 / 2.35)
        mass = smoothstep(-v, hair.step - 0.12, hair.step + 0.10)
        extra = hair.side_low + (hair.side - hair.side_low) * mass
        falling = hair.falls
        extra = extra + falling * (0.045 * smoothstep(v, 0.0, 0.6) + 0.02 * torch.sin(v * 3 + hair.shift * 9))
        extra = extra + hair.wave * torch.sin(v * hair.wave_frequency + hair.shift * 6.28) * smoothstep(v, -0.5, 0.4)
        # Short hair follows the skull at the side; long hair hangs down from the widest row.
        head = torch.where(v < 0, skull.width * cap, torch.lerp(outline.half_width, skull.width, falling))
        self.half_width = (
            head
            + _MARGIN * cap.clamp(min=0.2)
            + extra * torch.where(v < 0, cap.clamp(min=0.2), torch.ones_like(cap))
            + skull.temple * mass
        )
        slope = torch.zeros_like(self.half_width)
        slope[:, 1:-1] = (self.half_width[:, 2:] - self.half_width[:, :-2]) / (2 * pixel)
        self.edge = (self.half_width - self.leaned_u.abs()) * torch.rsqrt(1 + slope * slope) - _MARGIN
        rough = (0.005 + 0.019 * hair.ragged * mass.clamp(min=0.3) + 0.018 * hair.curl) * (1 - 0.7 * hair.buzz)
        soft = 0.9 * pixel + 0.006 + 0.006 * hair.curl
        self.inside = smoothstep(self.edge + rough * relief, -soft, soft) * (v > -top + 0.1 * pixel)
        self.radius = (self.leaned_u / self.half_width).clamp(-1, 1)
        self.height = ((v + 0.15) / (top - _MARGIN - 0.15)).clamp(-1, 0.55) * 0.95
        self.mass = mass
        self.top = top


def _lower_end(canvas: Canvas, hair: Hair, relief: Tensor) -> Tensor:
    """Mask [B, N, N]: 1 above the lower ends of long hair, with a soft, uneven edge."""
    uneven = 0.05 * relief * (0.5 + hair.ragged) + 0.04 * torch.sin(canvas.abs_u * 7 + hair.shift * 5)
    return smoothstep(hair.end - canvas.v + uneven, -0.10, 0.06)


def _front_mask(canvas: Canvas, shell: _Shell, outline: Outline, skull: Skull, hair: Hair, relief: Tensor) -> Tensor:
    u, abs_u, v = canvas.u, canvas.abs_u, canvas.v
    falls, fringe = hair.falls, hair.bangs
    base_v = 0.12
    half = skull.width * hair.opening - hair.cover - 0.02 * (fringe > 0.15)
    line = hair.hairline - 0.80 * hair.recession * gauss(abs_u, 0.30, 0.19)
    line = line + fringe * (1.0 + 0.06 * torch.cos(u * 6)) * (1 - 0.25 * (abs_u / 0.5) ** 2)
    line = line + hair.curtain * 0.95 * ((u - hair.part * 0.8).abs() + 0.004).clamp(max=0.8) ** 1.15
    side_u = u * torch.sign(hair.part)
    line = line + hair.sweep * 0.62 * smoothstep(hair.part.abs() + 0.05 - side_u, 0, 0.75) * (1 - 0.5 * (fringe > 0.15))
    power = 2.5 + 1.5 * (fringe > 0.15) + 1.2 * hair.recession.clamp(min=0)
    narrower = 0.05 * falls * (v - 0.3).clamp(min=0)
    free = (
        1
        - (abs_u / (half - narrower)).clamp(max=3) ** power
        - ((base_v - v).clamp(min=0) / (base_v - line)).clamp(max=3) ** (power - 0.3)
    )
    distance = -free.clamp(-2, 1) * 0.21
    soft = 0.018 + 0.012 * (1 - falls) + 0.05 * hair.recession.clamp(min=0) + 0.02 * hair.curl
    teeth = 0.008 + 0.016 * (fringe > 0) * hair.ragged + 0.012 * (fringe > 0.15) + 0.020 * hair.curl
    front = smoothstep(distance + teeth * relief, -soft, soft) * shell.inside
    sideburn = smoothstep(
        hair.end - v + 0.012 * relief + (1.2 * (abs_u - skull.width + 0.02)).clamp(-0.06, 0.06), -0.06, 0.06
    )
    front = front * torch.where(falls > 0.5, _lower_end(canvas, hair, relief), sideburn)
    # At the sides of a fade, and where hair is thin, skin shows through.
    side = (1 - shell.mass) * (1 - falls)
    front = front * (1 - hair.fade * 0.85 * side * smoothstep(v, -0.60, 0.12))
    thin = (
        hair.thinness * smoothstep(v, -0.98, -0.70) * smoothstep(abs_u, 0.55, 0.2) * (0.7 - 0.3 * relief.clamp(-1, 1))
    )
    front = front * (1 - thin.clamp(0, 0.7))
    wreath = smoothstep(abs_u - (0.45 + 0.10 * (v + 0.5).clamp(min=0)), 0.0, 0.14) * smoothstep(v, -0.62, -0.22)
    wreath = wreath * smoothstep(0.16 - v + 0.02 * relief, -0.04, 0.06) * shell.inside * (0.75 - 0.55 * hair.fade)
    front = torch.where(hair.bald > 0.5, wreath, front)
    return front * (1 - 0.16 * hair.buzz)


def _light_hair(
    canvas: Canvas, shell: _Shell, hair: Hair, skin: Skin, photo: Photo, light: Light, relief: Tensor
) -> Tensor:
    radius, height, strand = shell.radius, shell.height, torch.tanh(relief)
    bump = strand * (0.011 + 0.004 * hair.curl) * (1 - 0.5 * hair.buzz)
    slope_u, slope_v = canvas.slopes(bump)
    depth = torch.sqrt((1 - radius * radius - height * height).clamp(min=0.04))
    normal_u, normal_v = radius - slope_u.clamp(-1.2, 1.2), height - slope_v.clamp(-1.2, 1.2)
    # The raised front of a quiff faces the viewer and the light above.
    raised = hair.lift * gauss(canvas.v, -0.80, 0.16)
    normal_v = normal_v + 0.25 * raised
    scale = torch.rsqrt(normal_u**2 + normal_v**2 + depth**2)
    facing = (normal_u * light.u + normal_v * light.v + depth * light.z) * scale
    diffuse = ((facing + 0.30) / 1.30).clamp(min=0)
    sky = 0.5 - 0.5 * normal_v * scale
    # A strand shines where it lies across the way between light and viewer.
    tilt = height - (0.60 * light.v - 0.06) - 0.045 * relief
    gleam = torch.exp(-((tilt / 0.16) ** 2)) + 0.45 * torch.exp(-(((tilt - 0.42) / 0.20) ** 2))
    gleam = gleam * (1 - 0.55 * radius.abs()) * (0.55 + 0.45 * strand) * facing.clamp(min=0)
    contact = smoothstep(shell.edge, -0.02, 0.20)
    groove = (
        gauss(canvas.v, -hair.step + 0.02, 0.07)
        * (1 - hair.falls)
        * hair.fade
        * (1 - hair.buzz)
        * smoothstep(canvas.abs_u, 0.35, 0.55)
    )
    open_sky = (0.55 + 0.45 * contact) * (1 - 0.35 * groove)
    under = smoothstep(canvas.v, 0.15, 0.75) * smoothstep(0.80 - canvas.abs_u, 0.0, 0.35)
    open_sky = open_sky * (1 - 0.55 * under)
    parting = gauss(canvas.u, hair.part * 0.8 * (1 + 0.25 * (canvas.v + 0.9)), 0.012 + canvas.pixel * 0.5)
    parting = parting * hair.part_line * smoothstep(canvas.v, -0.48, -0.62) * smoothstep(shell.edge, 0.0, 0.10)
    edge_light = smoothstep(shell.edge, 0.13, 0.0) * (-torch.sign(light.u) * radius).clamp(min=0) * photo.rim

    # All of it is a sum of maps times colours: one matrix product for the three channels.
    value = 1 + (0.38 - 0.12 * hair.curl) * strand
    seen = 1 - 0.38 * parting
    direct, ambient = diffuse * photo.key * open_sky, photo.fill * open_sky
    from_sky, from_ground = ambient * sky, ambient * (1 - sky)
    sheen = gleam * hair.gloss * photo.key * open_sky
    tinted = hair.colour + 0.003
    terms = (
        (value * seen * direct, tinted * photo.key_colour),
        (value * seen * from_sky, tinted * photo.sky_colour),
        (value * seen * from_ground, tinted * photo.ground_colour),
        (0.21 * parting * (direct + ambient), skin.colour),
        (sheen, 0.030 + 0.50 * hair.colour),
        (edge_light * (0.7 + 0.3 * strand), (0.05 + 0.9 * hair.colour) * photo.sky_colour),
    )
    maps = torch.stack([term[0] for term in terms], 1).flatten(2)
    colours = torch.cat([term[1] for term in terms], 2)[..., 0]
    return torch.bmm(colours, maps).view(-1, 3, canvas.size, canvas.size)


def _add_bun(
    canvas: Canvas,
    skull: Skull,
    hair: Hair,
    photo: Photo,
    light: Light,
    back: Tensor,
    back_colour: Tensor,
    relief: Tensor,
) -> None:
    """Add a bun on the crown, in place."""
    window = canvas.window(-0.6, 0.6, -2.0, -0.6)
    rows, columns = window.rows, window.columns
    relief = relief[:, rows, columns]
    size = hair.bun.clamp(min=0.05)
    x = (window.u - hair.lean) / (size * 1.15)
    y = (window.v + skull.crown + hair.top + 0.35 * size) / size
    radius = torch.sqrt(x * x + y * y)
    mask = smoothstep(1 - radius + 0.05 * relief, -0.05, 0.05) * (hair.bun > 0)
    depth = torch.sqrt((1 - radius * radius).clamp(min=0.05))
    twist = torch.sin(9 * radius + 2 * torch.atan2(y, x) + 0.6 * relief)
    facing = ((x * light.u + y * light.v + depth * light.z + 0.3) / 1.3).clamp(min=0) * (0.9 + 0.2 * twist)
    amount = facing * photo.key * 0.9 + photo.fill * 0.6
    shine = torch.exp(-(((y + 0.35) / 0.25) ** 2)) * (1 - x.abs()).clamp(min=0) * hair.gloss * photo.key
    colour = hair.colour * amount[:, None] * (1 + 0.15 * twist)[:, None] + shine[:, None] * (0.02 + 0.30 * hair.colour)
    back[:, rows, columns] = torch.maximum(back[:, rows, columns], mask)
    under = back_colour[:, :, rows, columns]
    under += (colour - under) * mask[:, None]
