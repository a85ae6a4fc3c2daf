"""Named parameters of a persona's head from sex, the four traits of its face and random numbers.

Lengths are in head units, angles in radians, shares in [0, 1]. Each of the four traits has cues of its own:

- age: lines, bags, hollow cheeks, thin lips, blotches, grey hair and brows, a receding hairline;
- size: a long lower face and a high crown, small eyes;
- robustness: a square jaw, a broad chin, thick low brows on a ridge, a broad nose;
- adiposity: full cheeks, jowls, a double chin, a broad neck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.personas.population import AGE_DEVIATION, MEAN_AGE
from data.personas.rendering.draws import PrivateDraws, Values
from data.personas.rendering.palettes import IRIS, SKIN, linear, mix
from data.personas.rendering.textures import NUM_SKINS


@dataclass(frozen=True)
class Traits:
    """Sex and face traits of M personas; arrays [M]."""

    male: Values  # 0 or 1
    years: Values
    ageing: Values  # 0 at 18, 1 at 80
    lines: Values  # wrinkles: 0 at 17, 1 at 74
    size: Values
    robustness: Values
    adiposity: Values


def read_traits(is_male: NDArray[np.bool_], face_traits: NDArray[np.float32]) -> Traits:
    """Convert sex [M] and face traits [M, 4], clipped to the range that can be rendered."""
    values = face_traits.astype(np.float64)
    years = np.clip(MEAN_AGE + AGE_DEVIATION * values[:, 0], 16, 86)
    size, robustness, adiposity = np.clip(values[:, 1:], -2.6, 2.6).T
    return Traits(
        male=is_male.astype(np.float64),
        years=years,
        ageing=np.clip((years - 18) / 62, 0, 1.08),
        lines=np.clip((years - 17) / 57, 0, 1.12),
        size=size,
        robustness=robustness,
        adiposity=adiposity,
    )


def column(values: Values) -> Tensor:
    """Numbers [M] as [M, 1, 1] float32, colours [M, 3] as [M, 3, 1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    return tensor[..., None, None]


@dataclass(frozen=True)
class Skull:
    """Outline of the head, bone and fat."""

    male: Tensor
    lines: Tensor
    ageing: Tensor
    width: Tensor  # half width at the cheekbones
    crown: Tensor  # height of the crown above the eyes
    crown_power: Tensor  # 2 is round, 3 square
    temple: Tensor  # widening of the forehead
    chin: Tensor  # v of the chin
    jaw_power: Tensor  # exponent: higher for a squarer jaw
    jaw_round: Tensor
    jaw_angle: Tensor  # corner of the jaw
    chin_width: Tensor
    cheekbone: Tensor
    cheek_width: Tensor  # fullness of the outline below the cheekbones
    brow_ridge: Tensor
    cheek_fat: Tensor
    jowl: Tensor
    double_chin: Tensor
    chin_boss: Tensor
    chin_cleft: Tensor
    socket: Tensor  # depth of the eye sockets
    neck: Tensor  # half width
    asymmetry: Tensor
    ear_width: Tensor
    ear_length: Tensor
    ear_angle: Tensor  # how far they stand out


@dataclass(frozen=True)
class Features:
    """Nose, mouth, eyes and brows."""

    nose_end: Tensor  # v below the tip
    nose_width: Tensor  # half width over the wings
    nose_height: Tensor  # of the tip
    bridge_width: Tensor
    bridge_height: Tensor
    nose_hump: Tensor
    tip_size: Tensor
    mouth_width: Tensor  # half width
    mouth_v: Tensor
    upper_lip: Tensor
    lower_lip: Tensor
    cupid_bow: Tensor
    mouth_skew: Tensor
    eye_u: Tensor  # of the eye centres
    eye_width: Tensor  # half width
    eye_height: Tensor  # half height
    eye_tilt: Tensor  # outer corner up
    iris_radius: Tensor
    lid_crease: Tensor  # height over the lid
    hooded: Tensor  # share of the crease that the fold hides
    lashes: Tensor
    brow_v: Tensor
    brow_arch: Tensor
    brow_thickness: Tensor
    brow_density: Tensor
    brow_length: Tensor


@dataclass(frozen=True)
class Skin:
    """Colours and marks."""

    tone: Tensor  # 0 the lightest, 1 the darkest
    colour: Tensor
    iris: Tensor
    lips: Tensor  # factor on the skin
    make_up: Tensor
    blush: Tensor
    freckles: Tensor
    age_spots: Tensor
    shine: Tensor
    texture: Tensor  # [M] integer, which cut of the mottling
    glasses: Tensor
    glasses_colour: Tensor
    glasses_width: Tensor
    glasses_height: Tensor
    glasses_power: Tensor  # 2 is round, 6 square
    glasses_rim: Tensor
    earrings: Tensor


def draw_skull(traits: Traits, draws: PrivateDraws) -> Skull:
    """Sample the skull of each persona."""
    male, size, robust, fat = traits.male, traits.size, traits.robustness, traits.adiposity
    sag = traits.lines**1.5
    normal = draws.normal
    return Skull(
        male=column(male),
        lines=column(traits.lines),
        ageing=column(traits.ageing),
        width=column(0.620 + 0.016 * male + 0.020 * fat - 0.012 * size + normal(0.007)),
        crown=column(0.925 + 0.026 * size + normal(0.022)),
        crown_power=column(2.45 + normal(0.16)),
        temple=column(normal(0.010) + 0.004 * male),
        chin=column(0.974 + 0.020 * male + 0.060 * size + normal(0.006)),
        jaw_power=column(np.clip(2.34 + 0.26 * male + 0.26 * robust + 0.14 * fat + normal(0.04), 1.86, 3.5)),
        jaw_round=column(np.clip(1.72 + 0.08 * male + 0.05 * robust + 0.10 * fat + normal(0.025), 1.5, 2.4)),
        jaw_angle=column(0.004 + 0.018 * male + 0.0165 * robust),
        chin_width=column(0.013 + 0.017 * male + 0.015 * robust + 0.007 * fat + normal(0.005)),
        cheekbone=column(0.016 - 0.006 * fat + normal(0.006)),
        cheek_width=column(0.020 * fat - 0.012 * sag),
        brow_ridge=column(np.clip(0.012 + 0.022 * male + 0.018 * robust, -0.006, 0.1)),
        cheek_fat=column(0.030 * fat + 0.016 - 0.020 * traits.lines - 0.026 * sag + 0.010 * (1 - male)),
        jowl=column(np.clip(0.013 * fat + 0.022 * sag, -0.01, 0.07)),
        double_chin=column(np.clip(0.42 * fat + 0.25 * traits.lines - 0.10, 0, 1.2)),
        chin_boss=column(0.046 + 0.010 * male + 0.006 * robust + normal(0.008)),
        chin_cleft=column(np.where(draws.chance(0.2 + 0.15 * male), 0.018, 0.0)),
        socket=column(0.046 + 0.012 * male + 0.008 * robust + 0.020 * traits.lines + normal(0.008)),
        neck=column(0.345 + 0.060 * male + 0.034 * fat + 0.004 * robust + normal(0.006)),
        asymmetry=column(normal(0.008)),
        ear_width=column(0.052 + 0.005 * male + 0.006 * traits.lines + normal(0.006)),
        ear_length=column(0.175 + 0.028 * traits.lines + normal(0.012)),
        ear_angle=column(normal(0.010) - 0.004),
    )


def draw_features(traits: Traits, draws: PrivateDraws) -> Features:
    """Sample nose, mouth, eyes and brows of each persona."""
    male, size, robust = traits.male, traits.size, traits.robustness
    normal, lines = draws.normal, traits.lines
    epicanthic = draws.chance(0.25) * draws.uniform(0.4, 1.0)
    return Features(
        nose_end=column(0.400 + 0.010 * male + 0.006 * size + 0.020 * lines + normal(0.013)),
        nose_width=column(0.118 + 0.012 * male + 0.0125 * robust + normal(0.007)),
        nose_height=column(0.138 + 0.012 * male + 0.005 * robust + normal(0.018)),
        bridge_width=column(0.066 + 0.006 * male + 0.006 * robust + normal(0.007)),
        bridge_height=column(0.040 + 0.010 * male + normal(0.014)),
        nose_hump=column(normal(0.010)),
        tip_size=column(0.066 + 0.004 * male + 0.003 * robust + normal(0.007)),
        mouth_width=column(0.205 + 0.008 * male + normal(0.013)),
        mouth_v=column(0.612 + 0.010 * size + normal(0.007)),
        upper_lip=column(np.clip(0.058 - 0.009 * male - 0.022 * lines + normal(0.009), 0.018, 0.085)),
        lower_lip=column(np.clip(0.080 - 0.008 * male - 0.022 * lines + normal(0.010), 0.03, 0.11)),
        cupid_bow=column(0.24 + normal(0.09)),
        mouth_skew=column(normal(0.0028)),
        eye_u=column(0.268 + normal(0.009)),
        eye_width=column((0.160 - 0.005 * male + normal(0.005)) * np.exp(-0.050 * size)),
        eye_height=column(
            np.clip((0.0720 - 0.0085 * male - 0.0120 * lines + normal(0.0045)) * np.exp(-0.055 * size), 0.026, 0.092)
        ),
        eye_tilt=column(0.055 - 0.015 * male - 0.060 * lines + normal(0.045)),
        iris_radius=column((0.0690 + normal(0.0015)) * np.exp(-0.045 * size)),
        lid_crease=column(np.clip(0.040 + normal(0.010) - 0.016 * lines, 0.014, 0.065)),
        hooded=column(np.clip(epicanthic + 0.55 * np.clip(lines - 0.45, 0, 1), 0, 1)),
        lashes=column(np.clip(np.where(traits.male > 0.5, 0.42, 0.80) - 0.22 * lines + normal(0.07), 0.15, 1.0)),
        brow_v=column(-0.196 + 0.012 * male + 0.013 * robust + normal(0.008)),
        brow_arch=column(np.clip(0.020 - 0.009 * male - 0.004 * robust + normal(0.007), -0.006, 0.045)),
        brow_thickness=column(np.clip(0.0320 + 0.0115 * male + 0.0072 * robust + normal(0.0022), 0.012, 0.068)),
        brow_density=column(np.clip(0.96 + 0.04 * male - 0.16 * lines + normal(0.05), 0.6, 1.0)),
        brow_length=column(0.185 + normal(0.010)),
    )


def draw_skin(traits: Traits, tone: Values, draws: PrivateDraws) -> Skin:
    """Sample colours and marks of each persona; its hair depends on the same `tone` in [0, 1]."""
    woman, lines = 1 - traits.male, traits.lines
    normal, uniform = draws.normal, draws.uniform
    undertone = normal(0.022)
    factor = np.stack([1 + undertone * 0.4, np.ones_like(tone), 1 - 2.2 * undertone], 1)
    colour = linear(mix(SKIN, tone)) * factor * np.exp(normal(0.045))[:, None]
    # Older skin is yellower and a little darker.
    colour = colour * np.stack([1 - 0.02 * lines, 1 - 0.05 * lines, 1 - 0.10 * lines], 1)
    light_eyes, dark_eyes = uniform(), uniform(0, 0.28) ** 1.2
    iris = linear(mix(IRIS, np.where(tone > 0.45, dark_eyes, light_eyes))) * 1.25
    lips = np.stack([uniform(0.74, 0.95), uniform(0.34, 0.50), uniform(0.38, 0.56)], 1)
    plastic = uniform(0.03, 0.14)
    glasses_colour = np.where(
        draws.chance(0.65)[:, None], plastic[:, None] * np.ones(3), np.stack([uniform(0.08, 0.5) for _ in range(3)], 1)
    )
    return Skin(
        tone=column(tone),
        colour=column(colour),
        iris=column(iris),
        lips=column(lips + (0.80 - lips) * (0.38 * traits.male)[:, None]),
        make_up=column(woman * np.clip(uniform(-0.15, 1.0), 0.12, 1)),
        blush=column(uniform(0.35, 1.1)),
        freckles=column(np.where(tone < 0.35, np.clip(uniform(-1.6, 1.0), 0, 1), 0)),
        age_spots=column(np.clip(lines - 0.45, 0, 1) * uniform(0.6, 1.2)),
        shine=column(uniform(0.6, 1.3) * (1 - 0.15 * woman) * (1 - 0.45 * tone)),
        texture=torch.from_numpy((uniform() * NUM_SKINS).astype(np.int64)),
        glasses=column(draws.chance(0.11 + 0.17 * lines).astype(np.float64)),
        glasses_colour=column(linear(glasses_colour)),
        glasses_width=column(uniform(0.172, 0.205)),
        glasses_height=column(uniform(0.115, 0.160)),
        glasses_power=column(uniform(2.1, 4.6)),
        glasses_rim=column(uniform(0.010, 0.026)),
        earrings=column(woman * draws.chance(0.35)),
    )
