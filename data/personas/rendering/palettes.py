"""Colour palettes of personas, sRGB in [0, 1], and interpolation in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.personas.rendering.draws import Values

_Palette = NDArray[np.float64]

# From the lightest to the darkest skin.
SKIN: _Palette = np.array(
    [
        [0.925, 0.775, 0.705],
        [0.895, 0.715, 0.620],
        [0.850, 0.668, 0.580],
        [0.780, 0.595, 0.502],
        [0.670, 0.496, 0.410],
        [0.545, 0.392, 0.322],
        [0.425, 0.300, 0.250],
        [0.325, 0.228, 0.195],
    ]
)
# Black, dark brown, brown, light brown, dark blond, blond.
HAIR: _Palette = np.array(
    [
        [0.070, 0.058, 0.055],
        [0.140, 0.095, 0.070],
        [0.260, 0.160, 0.100],
        [0.390, 0.255, 0.155],
        [0.590, 0.435, 0.275],
        [0.790, 0.650, 0.440],
    ]
)
RED_HAIR: _Palette = np.array([0.52, 0.22, 0.09])
# Dark brown, brown, hazel, green, blue, grey.
IRIS: _Palette = np.array(
    [
        [0.210, 0.115, 0.060],
        [0.330, 0.195, 0.090],
        [0.400, 0.320, 0.150],
        [0.300, 0.400, 0.250],
        [0.300, 0.440, 0.560],
        [0.430, 0.500, 0.540],
    ]
)
CLOTHES: _Palette = np.array(
    [
        [0.130, 0.140, 0.170],
        [0.860, 0.860, 0.850],
        [0.170, 0.250, 0.430],
        [0.520, 0.130, 0.150],
        [0.170, 0.350, 0.290],
        [0.600, 0.540, 0.440],
        [0.370, 0.380, 0.420],
        [0.720, 0.420, 0.260],
        [0.340, 0.250, 0.420],
        [0.890, 0.840, 0.740],
        [0.500, 0.640, 0.740],
        [0.820, 0.580, 0.580],
        [0.250, 0.270, 0.330],
        [0.780, 0.640, 0.280],
    ]
)
# Backgrounds: walls, wood, leaves, sky, curtains, brick.
BACKDROPS: _Palette = np.array(
    [
        [0.700, 0.690, 0.670],
        [0.560, 0.580, 0.600],
        [0.780, 0.740, 0.670],
        [0.420, 0.450, 0.490],
        [0.620, 0.680, 0.740],
        [0.360, 0.440, 0.330],
        [0.520, 0.580, 0.430],
        [0.500, 0.390, 0.300],
        [0.640, 0.520, 0.420],
        [0.300, 0.330, 0.380],
        [0.480, 0.570, 0.590],
        [0.570, 0.420, 0.380],
        [0.800, 0.800, 0.780],
        [0.240, 0.240, 0.250],
    ]
)


def linear(srgb: _Palette) -> _Palette:
    """Linear light from sRGB values, by a plain power (the inverse of this package's camera)."""
    return np.asarray(np.power(np.clip(srgb, 0.0, 1.0), 2.2))


def mix(palette: _Palette, position: Values) -> _Palette:
    """Interpolate a palette at positions from 0 (first colour) to 1 (last): [M, 3] sRGB."""
    place = np.clip(position, 0, 1) * (len(palette) - 1)
    index = np.minimum(place.astype(int), len(palette) - 2)
    part = (place - index)[:, None]
    return np.asarray(palette[index] * (1 - part) + palette[index + 1] * part)
