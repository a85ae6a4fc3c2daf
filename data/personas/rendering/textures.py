"""Noise textures, made once a process from a fixed seed; personas use different parts of them."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

NUM_SKINS = 12
NUM_BACKGROUNDS = 48
_SEED = 20240


def _generator(stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(_SEED + stream)


def _octaves(
    generator: torch.Generator, count: int, out: tuple[int, int], octaves: list[tuple[int, int, float]]
) -> Tensor:
    """[count, *out]: a weighted sum of smooth noises of given numbers of cells (rows, columns), unit variance."""
    total = torch.zeros(count, 1, *out)
    for rows, columns, weight in octaves:
        cells = torch.randn(count, 1, rows, columns, generator=generator)
        layer = F.interpolate(cells, size=out, mode="bicubic", align_corners=False)
        total += weight * layer / layer.std()
    return (total / total.std())[:, 0]


@lru_cache(maxsize=8)
def skin_mottling(size: int) -> Tensor:
    """[NUM_SKINS, size, size]: blotches and pores, unit variance."""
    octaves = [(10, 10, 0.6), (34, 34, 0.7), (110, 110, 0.6), (240, 240, 0.4)]
    return _resize(_octaves(_generator(1), NUM_SKINS, (256, 256), octaves), size)


@lru_cache(maxsize=8)
def freckles(size: int) -> Tensor:
    """Freckles [NUM_SKINS, size, size] in [0, 1]."""
    noise = _octaves(_generator(2), NUM_SKINS, (256, 256), [(80, 80, 1.0)])
    t = ((noise - 0.9) / 0.7).clamp(0, 1)
    return _resize(t * t * (3 - 2 * t), size)


@lru_cache(maxsize=1)
def strands() -> Tensor:
    """Hair strands [1, 1, 256, 512], elongated along the rows."""
    octaves = [(3, 22, 0.60), (4, 60, 0.75), (8, 150, 0.65), (12, 300, 0.35)]
    return _octaves(_generator(3), 1, (256, 512), octaves)[:, None]


@lru_cache(maxsize=8)
def curls(size: int) -> Tensor:
    """Tight curls [4, size, size]: ridges of two noises, unit variance."""
    generator = _generator(4)
    ridges = [1 - _octaves(generator, 4, (256, 256), [(cells, cells, 1.0)]).abs() * 1.2 for cells in (42, 76)]
    lumps = _octaves(generator, 4, (256, 256), [(18, 18, 1.0)])
    total = 0.8 * ridges[0] + 0.6 * ridges[1] + 0.75 * lumps
    return _resize((total - total.mean()) / total.std(), size)


@lru_cache(maxsize=8)
def stubble(size: int) -> Tensor:
    """Short hairs [4, size, size], unit variance."""
    return _resize(_octaves(_generator(5), 4, (256, 256), [(100, 170, 0.7), (60, 90, 0.6)]), size)


@lru_cache(maxsize=1)
def sensor_grain() -> Tensor:
    """Sensor noise [3, 768, 768], white."""
    return torch.randn(3, 768, 768, generator=_generator(6))


@lru_cache(maxsize=1)
def backgrounds() -> Tensor:
    """Backgrounds [2 NUM_BACKGROUNDS, 3, 48, 48]: weights in [0, 1] of a second and a third colour, and of lights.

    Three kinds, in turn: a wall with a brightness gradient, a room (vertical shapes), outdoors (bright above, dark
    below). All are smooth, as if out of focus. The second half mirrors the first.
    """
    generator = _generator(7)
    side = 48
    line = torch.linspace(-1, 1, side)
    y, x = line.view(side, 1), line.view(1, side)
    out = []
    for number in range(NUM_BACKGROUNDS):
        r = torch.rand(40, generator=generator).tolist()
        cloud = _octaves(generator, 2, (side, side), [(4, 4, 1.0), (8, 8, 0.35)])
        lights = torch.zeros(side, side)
        kind = number % 3
        if kind == 0:
            second = torch.sigmoid(2.2 * (x * (r[0] - 0.5) * 2 + y * (r[1] * 0.9 + 0.1)) + 0.25 * cloud[0])
            third = 0.25 * torch.sigmoid(cloud[1])
        elif kind == 1:
            second = torch.zeros(side, side)
            for k in range(3):
                left, width = r[3 * k] * 2 - 1.2, 0.12 + 0.4 * r[3 * k + 1]
                edge = 22 - 14 * r[3 * k + 2]
                band = torch.sigmoid((x - left) * edge) * torch.sigmoid((left + width - x) * edge)
                top = torch.sigmoid((y + 0.9 - 0.8 * r[12 + k]) * edge)
                second = torch.maximum(second, band * top * (0.5 + 0.5 * r[16 + k]) + 0 * y)
            third = torch.sigmoid(3 * (y - 0.2) + 0.5 * cloud[1]) * 0.7
        else:
            horizon = -0.35 + 0.7 * r[0]
            second = torch.sigmoid(7 * (y - horizon) + 0.9 * cloud[0])
            third = torch.sigmoid(1.6 * cloud[1] - 1.0)
        for k in range(7 if kind else 2):
            cx, cy, radius = r[20 + k] * 2 - 1, r[27 + k] * 1.6 - 1, 0.05 + 0.10 * r[33 + k % 7]
            distance = torch.sqrt((x - cx) ** 2 + (y - cy) ** 2)
            lights = torch.maximum(lights, torch.sigmoid((radius - distance) * 40) * (0.3 + 0.7 * r[(k * 5) % 20]))
        out.append(torch.stack([second, third.expand(side, side), lights]))
    scenes = torch.stack(out).clamp(0, 1)
    return torch.cat([scenes, scenes.flip(-1)])


def _resize(maps: Tensor, size: int) -> Tensor:
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", antialias=size < 256, align_corners=False)[
        :, 0
    ]
