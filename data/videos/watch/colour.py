"""Tone mapping: pictures of high dynamic range (PQ, HLG) brought to the range of ordinary pictures.

Follows ITU-R BT.2100-2 (transfer functions and the opto-optical transfer of HLG), BT.2390-10 section 5.4.1 (the
curve that rolls highlights off), BT.2408-7 (203 cd/m2 is the white of ordinary pictures) and BT.2087-0 (primaries).
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Transfer = Literal["pq", "hlg"]

_WHITE = 203.0  # cd/m2 of a white sheet of paper
_PEAK = 1000.0  # cd/m2, the peak for which most videos are graded
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020's primaries
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
_LEVELS = 4096  # of the tables


def tone_map(picture: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """The ordinary picture of a picture of high dynamic range.

    Args:
        picture: [H, W, 3] uint16, nonlinear RGB with BT.2020's primaries over the full range.
        transfer: Transfer function of the picture.

    Returns:
        [H, W, 3] uint8 sRGB.
    """
    light = _to_light(transfer)[picture >> 4]  # in cd/m2
    if transfer == "hlg":
        # The display's gamma of 1.2 acts on luminance, so that colours keep their hue.
        scene = light @ _LUMINANCE
        light = light * (_PEAK * scene**0.2)[..., None]
    # By the brightest component, so that no colour leaves the range.
    brightest = light.max(axis=-1)
    steps = np.minimum(brightest * (_LEVELS - 1) / _PEAK, _LEVELS - 1).astype(np.intp)
    ordinary = np.clip((light * _roll_off()[steps][..., None]) @ _TO_709.T, 0, 1)
    return _srgb()[(ordinary * (_LEVELS - 1)).astype(np.intp)]


def _pq_to_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Display light in cd/m2 of PQ's code in [0, 1]."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = code ** (1 / m2)
    light: NDArray[np.float64] = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return light


def _light_to_pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """PQ's code in [0, 1] of display light in cd/m2."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (light / 10_000) ** m1
    code: NDArray[np.float64] = ((c1 + c2 * power) / (1 + c3 * power)) ** m2
    return code


def _hlg_to_scene(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scene light in [0, 1] of HLG's code in [0, 1]."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


@functools.cache
def _to_light(transfer: Transfer) -> NDArray[np.float32]:
    codes = np.arange(_LEVELS) / (_LEVELS - 1)
    return (_pq_to_light(codes) if transfer == "pq" else _hlg_to_scene(codes)).astype(np.float32)


@functools.cache
def _roll_off() -> NDArray[np.float32]:
    """Factors that bring light to [0, 1], for brightest components from 0 to the peak."""
    light = np.linspace(0, _PEAK, _LEVELS)
    peak, white = (float(_light_to_pq(np.array(value))) for value in (_PEAK, _WHITE))
    code, highest = _light_to_pq(light) / peak, white / peak
    knee = 1.5 * highest - 0.5
    # A Hermite spline from the knee, below which light is kept, to the peak, which becomes white.
    t = np.clip((code - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * highest
    mapped = _pq_to_light(np.where(code < knee, code, spline) * peak) / _WHITE
    mapped[0], light[0] = 1 / _WHITE, 1
    gains: NDArray[np.float32] = (mapped / light).astype(np.float32)
    return gains


@functools.cache
def _srgb() -> NDArray[np.uint8]:
    """sRGB's 8-bit code of linear light in [0, 1] (IEC 61966-2-1)."""
    light = np.arange(_LEVELS) / (_LEVELS - 1)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.rint(255 * code).astype(np.uint8)
