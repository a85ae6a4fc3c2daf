"""Light: normals, occlusion, cast shadows, and the shading of skin by a key light, sky, ground and a rim light.

Subsurface scattering is approximated: the red channel uses blurred normals and a wider wrap around the terminator than
the blue one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from data.personas.rendering.canvas import EXTENT, Canvas
from data.personas.rendering.geometry import Outline, blur
from data.personas.rendering.photo import Photo

# Wrap of diffuse light around the terminator, by colour.
_WRAP = (0.42, 0.26, 0.20)
_SHADOW_STEPS = (0.03, 0.065, 0.11, 0.17, 0.26)


@dataclass(frozen=True)
class Light:
    """Direction to the key light in the frame of the rotated head: a unit vector, each part [B, 1, 1]."""

    u: Tensor
    v: Tensor
    z: Tensor


@dataclass(frozen=True)
class Surface:
    """Maps [B, N, N] of the head that shading needs."""

    normal_u: Tensor
    normal_v: Tensor
    normal_z: Tensor
    soft_u: Tensor  # blurred normals
    soft_v: Tensor
    soft_z: Tensor
    openness: Tensor  # ambient occlusion: 1 where the whole sky is visible
    shadow: Tensor  # 1 where the key light doesn't reach


def light_on_head(photo: Photo) -> Light:
    """Key light in the frame of the rotated head."""
    sin_yaw, cos_yaw, sin_pitch, cos_pitch = photo.yaw.sin(), photo.yaw.cos(), photo.pitch.sin(), photo.pitch.cos()
    u = photo.light_u * cos_yaw - photo.light_z * sin_yaw
    z = photo.light_u * sin_yaw + photo.light_z * cos_yaw
    v = photo.light_v * cos_pitch + z * sin_pitch
    return Light(u, v, -photo.light_v * sin_pitch + z * cos_pitch)


def measure_surface(canvas: Canvas, heights: Tensor, outline: Outline, light: Light) -> Surface:
    """Normals, occlusion and shadows of the heights [B, N, N]; the slow parts at half resolution."""
    slope_u, slope_v = canvas.slopes(heights)
    slope_u.clamp_(-3, 3)
    slope_v.clamp_(-3, 3)
    scale = torch.rsqrt(1 + slope_u * slope_u + slope_v * slope_v)
    normal_u, normal_v = -slope_u * scale, -slope_v * scale
    half, size = canvas.size // 2, (canvas.size, canvas.size)
    low = F.avg_pool2d((heights * (outline.mask > 0.5))[:, None], 2)
    reach = 2 * max(1, round(canvas.size * 0.006)) + 1
    soft = blur(F.avg_pool2d(torch.stack([normal_u, normal_v, scale], 1), 4), reach)
    quarter = F.avg_pool2d(low, 2)
    near, far = 2 * round(half * 0.012) + 1, 2 * round(half * 0.035) + 1
    close = blur(quarter, near)
    around = F.interpolate(torch.cat([close, blur(close, far)], 1), size=(half, half), mode="bilinear")
    bury = (around[:, :1] - low).clamp(min=0) * 10 + (around[:, 1:] - low).clamp(min=0) * 4.0
    blocked = torch.cat([torch.exp(-bury), _cast_shadow(low, light)], 1)
    upsampled = [*F.interpolate(soft, size=size, mode="bilinear").unbind(1)]
    upsampled += F.interpolate(blocked, size=size, mode="bilinear").unbind(1)
    return Surface(normal_u, normal_v, scale, *upsampled)


def _cast_shadow(low: Tensor, light: Light) -> Tensor:
    """Shadow [B, 1, N/2, N/2] by how far heights towards the light rise above the ray, with a soft edge."""
    half = low.shape[-1]
    line = torch.linspace(-1, 1, half)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    base = torch.stack([columns, rows], -1)[None]
    flat = torch.sqrt(light.u**2 + light.v**2) + 1e-4
    shadow = torch.zeros_like(low)
    for step in _SHADOW_STEPS:
        offset = torch.stack([light.u / flat, light.v / flat], -1).view(-1, 1, 1, 2) * (step * 2 / EXTENT)
        seen = F.grid_sample(low, base + offset, align_corners=True, padding_mode="border")
        rise = (light.z / flat * step).unsqueeze(1)
        shadow = torch.maximum(shadow, (seen - low - rise) / (0.45 * step + 0.015))
    return blur(shadow.clamp(0, 1), 2 * max(1, round(half * 0.012)) + 1)


def light_skin(albedo: Tensor, surface: Surface, shine: Tensor, light: Light, photo: Photo) -> Tensor:
    """Shade an albedo [B, 3, N, N] with a map of shine [B, N, N]; returns linear light of the albedo's shape."""
    sharp = surface.normal_u * light.u + surface.normal_v * light.v + surface.normal_z * light.z
    soft = surface.soft_u * light.u + surface.soft_v * light.v + surface.soft_z * light.z
    lit = 1 - surface.shadow * 0.88
    lit_red = 1 - surface.shadow * 0.78
    up = (0.5 - 0.5 * surface.soft_v) * photo.fill
    open_sky, open_red = surface.openness, torch.sqrt(surface.openness)
    # The rim light reaches the sides of the head, on the side away from the key light.
    turned = (1 - surface.normal_z).clamp(0, 1)
    away = (-surface.normal_u * torch.sign(light.u) * 0.8 + 0.2 - 0.3 * surface.normal_v).clamp(min=0)
    rim = turned * turned * away * photo.rim * 1.5
    ground = photo.fill - up
    channels = []
    for number, (blend, wrap) in enumerate(zip((0.65, 0.30, 0.15), _WRAP, strict=True)):
        facing = torch.lerp(sharp, soft, blend)
        diffuse = ((facing + wrap) / (1 + wrap)).clamp(min=0)
        diffuse = diffuse * (lit_red if number == 0 else lit) * photo.key
        sky = up * photo.sky_colour[:, number] + ground * photo.ground_colour[:, number]
        ambient = sky * (open_red if number == 0 else open_sky)
        channels.append(diffuse * photo.key_colour[:, number] + ambient + rim * photo.sky_colour[:, number])
    half_u, half_v, half_z = light.u, light.v, light.z + 1
    scale = torch.rsqrt(half_u**2 + half_v**2 + half_z**2)
    mirror = ((surface.normal_u * half_u + surface.normal_v * half_v + surface.normal_z * half_z) * scale).clamp(min=0)
    broad = mirror * mirror
    broad = broad * broad
    broad = broad * broad * broad  # ^12
    tight = broad * broad * broad * broad  # ^48
    gleam = (0.050 * broad + 0.085 * tight) * shine * lit * photo.key + 0.020 * turned * open_sky * photo.fill
    return albedo * torch.stack(channels, 1) + gleam[:, None]
