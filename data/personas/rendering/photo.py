"""Settings of a single picture of a persona: pose, expression, light, background, clothes, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.personas.rendering.draws import PrivateDraws, Values
from data.personas.rendering.palettes import BACKDROPS, CLOTHES, linear
from data.personas.rendering.parameters import column
from data.personas.rendering.textures import NUM_BACKGROUNDS

COLLARS = ("crew", "v-neck", "shirt", "wide", "turtleneck")


@dataclass(frozen=True)
class Photo:
    """Settings of M pictures; [M, 1, 1] or [M, 3, 1, 1] unless said otherwise."""

    yaw: Tensor  # radians
    pitch: Tensor
    smile: Tensor  # -.2 .. 1
    mouth_open: Tensor  # 0 .. 1
    eyes_open: Tensor  # factor on the opening
    gaze_u: Tensor
    gaze_v: Tensor
    brow_raise: Tensor
    light_u: Tensor  # direction to the key light, a unit vector
    light_v: Tensor
    light_z: Tensor
    key: Tensor  # strength of the key light
    fill: Tensor  # strength of the ambient light
    rim: Tensor  # strength of the rim light, from behind
    key_colour: Tensor
    sky_colour: Tensor
    ground_colour: Tensor
    exposure: Tensor
    grain: Tensor
    background: Tensor  # [M] integer
    wall: Tensor
    object: Tensor
    dark: Tensor
    lamp: Tensor
    cloth: Tensor
    collar: Tensor  # number of COLLARS
    shoulder: Tensor
    jitter: Tensor  # [M, 4]: shift x, shift y in shares of the side, scale, turn in radians
    grain_row: Tensor  # [M] integer
    grain_column: Tensor  # [M] integer


def draw_photo(draws: PrivateDraws) -> Photo:
    """Sample the settings of each picture."""
    normal, uniform, chance = draws.normal, draws.uniform, draws.chance
    side = np.where(chance(0.5), -1.0, 1.0)
    azimuth, elevation = side * uniform(0.25, 1.0), uniform(0.30, 0.85)
    smile = np.clip(uniform(-0.40, 1.05), -0.18, 1.0)
    opening = np.where(chance(0.55), np.clip(uniform(-0.2, 1.0), 0, 1), 0.0) * np.clip(smile * 2.2, 0.12, 1)
    warmth = normal(0.055)
    sky_warmth = -0.6 * warmth + normal(0.04)

    def temperature(value: Values, strength: Values) -> Tensor:
        return column(np.stack([1 + value, np.ones_like(value), 1 - 1.25 * value], 1) * strength[:, None])

    def backdrop(low: float, high: float) -> Values:
        """Background colours [M, 3] at random brightness."""
        colour = BACKDROPS[(uniform() * len(BACKDROPS)).astype(int)] + 0.025 * draws.normal_rows(3)
        return linear(np.clip(colour * uniform(low, high)[:, None], 0.03, 0.97))

    cloth_number = (uniform() * len(CLOTHES)).astype(int)
    cloth = linear(np.clip(CLOTHES[cloth_number] + 0.03 * draws.normal_rows(3), 0.03, 0.95))
    uniform()  # an unused number: without it all pictures of published data sets would change
    return Photo(
        yaw=column(normal(0.115)),
        pitch=column(normal(0.055)),
        smile=column(smile),
        mouth_open=column(opening),
        eyes_open=column(np.where(chance(0.015), 0.15, np.exp(normal(0.07)) * (1 - 0.10 * np.clip(smile, 0, 1)))),
        gaze_u=column(normal(0.009)),
        gaze_v=column(normal(0.005)),
        brow_raise=column(normal(0.007)),
        light_u=column(np.sin(azimuth) * np.cos(elevation)),
        light_v=column(-np.sin(elevation)),
        light_z=column(np.cos(azimuth) * np.cos(elevation)),
        key=column(uniform(0.95, 1.30)),
        fill=column(uniform(0.22, 0.44)),
        rim=column(np.clip(uniform(-0.3, 1.0), 0, 1)),
        key_colour=temperature(0.035 + warmth, np.ones_like(warmth)),
        sky_colour=temperature(sky_warmth, np.ones_like(warmth)),
        ground_colour=temperature(0.10 + sky_warmth, np.full_like(warmth, 0.62)),
        exposure=column(np.exp(normal(0.085))),
        grain=column(uniform(0.003, 0.010)),
        background=torch.from_numpy((uniform() * 2 * NUM_BACKGROUNDS).astype(np.int64)),
        wall=column(backdrop(0.65, 1.15)),
        object=column(backdrop(0.55, 1.20)),
        dark=column(backdrop(0.25, 0.60)),
        lamp=column(linear(np.stack([uniform(0.8, 1.0), uniform(0.7, 0.95), uniform(0.5, 0.95)], 1))),
        cloth=column(cloth),
        collar=column((uniform() * len(COLLARS)).astype(int).astype(np.float64)),
        shoulder=column(normal(0.03)),
        jitter=torch.from_numpy(np.stack([normal(0.0085), normal(0.0085), np.exp(normal(0.016)), normal(0.028)], 1)),
        grain_row=torch.from_numpy((uniform() * 500).astype(np.int64)),
        grain_column=torch.from_numpy((uniform() * 500).astype(np.int64)),
    )
