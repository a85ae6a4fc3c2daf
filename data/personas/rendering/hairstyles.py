"""Hairstyles of personas: named styles, each a set of parameters for `hair.py`.

Hair may depend on the face's sex and age (greying, thinning, fashion) and on the persona's skin tone, which is private.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data.personas.rendering.draws import PrivateDraws, Values
from data.personas.rendering.palettes import HAIR, RED_HAIR, linear, mix
from data.personas.rendering.parameters import Traits, column

_Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Shape of a hairstyle: the range of each parameter."""

    top: _Range = (0.04, 0.06)  # volume over the crown
    side: _Range = (0.02, 0.03)  # volume beside the forehead
    side_low: _Range = (0.004, 0.010)  # volume beside the ears
    step: _Range = (0.30, 0.40)  # height over the eyes where the upper volume begins
    fade: _Range = (0.0, 0.3)  # how much skin shows through at the sides
    end: _Range = (0.08, 0.16)  # v where the hair ends
    falls: _Range = (0.0, 0.0)  # 1: falls beside the face and behind the neck
    cover: _Range = (0.0, 0.0)  # how far it covers the cheeks
    part: _Range = (0.0, 0.15)  # u of the parting, either side
    part_line: _Range = (0.0, 0.0)  # how plainly the parting shows
    curtain: _Range = (0.0, 0.0)  # how steeply the hairline falls from the parting
    sweep: _Range = (0.0, 0.0)  # how far the fringe falls to one side
    bangs: _Range = (0.0, 0.0)  # length of a fringe over the forehead
    sideways: _Range = (0.0, 0.1)  # 0: strands fan out of the parting, 1: they run across
    lift: _Range = (0.0, 0.0)  # the front stands up
    lean: _Range = (0.0, 0.0)  # the top leans to one side
    ragged: _Range = (0.2, 0.5)  # of all edges
    wave: _Range = (0.0, 0.004)
    bun: _Range = (0.0, 0.0)  # size of a bun on the crown
    buzz: _Range = (0.0, 0.0)
    bald: _Range = (0.0, 0.0)


_BUZZ = Style(
    top=(0.006, 0.016), side=(0.004, 0.008), side_low=(0.002, 0.005), fade=(0.3, 0.7), buzz=(1, 1), ragged=(0, 0.1)
)
_MEN = {
    "buzz": (0.12, _BUZZ),
    "crop": (
        0.20,
        Style(top=(0.06, 0.11), side=(0.018, 0.040), fade=(0.2, 0.8), bangs=(0.03, 0.11), ragged=(0.6, 1.0)),
    ),
    "quiff": (
        0.18,
        Style(
            top=(0.10, 0.17),
            side=(0.016, 0.034),
            fade=(0.3, 0.85),
            lift=(0.5, 1),
            lean=(-0.05, 0.07),
            ragged=(0.4, 0.8),
        ),
    ),
    "side part": (
        0.22,
        Style(
            top=(0.065, 0.115),
            side=(0.024, 0.045),
            fade=(0.1, 0.6),
            part=(0.20, 0.34),
            part_line=(0.5, 1),
            sweep=(0.10, 0.24),
            sideways=(0.25, 0.55),
            lean=(-0.03, 0.0),
            lift=(0, 0.5),
        ),
    ),
    "swept back": (
        0.14,
        Style(top=(0.05, 0.09), side=(0.02, 0.035), fade=(0.0, 0.5), lift=(0.2, 0.6), ragged=(0.1, 0.3)),
    ),
    "medium": (
        0.14,
        Style(
            top=(0.08, 0.13),
            side=(0.045, 0.075),
            side_low=(0.03, 0.055),
            fade=(0, 0),
            end=(0.18, 0.34),
            part=(0.05, 0.3),
            curtain=(0.15, 0.5),
            sweep=(0.0, 0.15),
            wave=(0.004, 0.02),
            ragged=(0.5, 0.9),
        ),
    ),
}
_LONG = dict(
    top=(0.07, 0.12), side=(0.055, 0.10), side_low=(0.06, 0.11), fade=(0.0, 0.0), falls=(1.0, 1.0), wave=(0.0, 0.035)
)
_WOMEN = {
    "long, middle parting": (
        0.18,
        Style(
            **_LONG, end=(1.2, 2.0), part=(0.0, 0.06), part_line=(0.5, 1), curtain=(0.35, 0.62), cover=(-0.015, 0.035)
        ),
    ),
    "long, side parting": (
        0.18,
        Style(
            **_LONG,
            end=(1.2, 2.0),
            part=(0.16, 0.34),
            part_line=(0.3, 1),
            sweep=(0.16, 0.40),
            curtain=(0.1, 0.3),
            cover=(-0.015, 0.035),
        ),
    ),
    "long, fringe": (0.08, Style(**_LONG, end=(1.2, 2.0), bangs=(0.19, 0.29), cover=(-0.01, 0.03), ragged=(0.3, 0.7))),
    "bob": (
        0.14,
        Style(
            **_LONG,
            end=(0.62, 0.98),
            part=(0.0, 0.3),
            part_line=(0, 1),
            curtain=(0.2, 0.55),
            sweep=(0, 0.2),
            cover=(-0.01, 0.04),
        ),
    ),
    "bob, fringe": (0.08, Style(**_LONG, end=(0.60, 0.95), bangs=(0.19, 0.29), cover=(0.0, 0.035), ragged=(0.2, 0.6))),
    "pixie": (
        0.13,
        Style(
            top=(0.085, 0.13),
            side=(0.05, 0.075),
            side_low=(0.015, 0.04),
            fade=(0, 0.1),
            end=(0.12, 0.30),
            part=(0.12, 0.32),
            sweep=(0.12, 0.36),
            sideways=(0.15, 0.5),
            cover=(0.0, 0.02),
            wave=(0.0, 0.015),
            ragged=(0.5, 1.0),
        ),
    ),
    "tied back": (
        0.12,
        Style(
            top=(0.035, 0.06),
            side=(0.014, 0.026),
            side_low=(0.004, 0.01),
            fade=(0, 0),
            end=(0.02, 0.08),
            part=(0, 0.25),
            part_line=(0, 0.8),
            ragged=(0.1, 0.3),
        ),
    ),
    "bun": (
        0.09,
        Style(
            top=(0.035, 0.06),
            side=(0.014, 0.026),
            side_low=(0.004, 0.01),
            fade=(0, 0),
            end=(0.02, 0.08),
            bun=(0.17, 0.24),
            ragged=(0.1, 0.4),
        ),
    ),
}
_SHAVED = Style(
    top=(0, 0), side=(0.006, 0.010), side_low=(0.004, 0.012), fade=(0.1, 0.6), end=(0.08, 0.16), bald=(1, 1)
)


@dataclass(frozen=True)
class Hair:
    """Hair, brows and beard; [M, 1, 1] or [M, 3, 1, 1]. The fields up to `bald` are those of `Style`."""

    top: Tensor
    side: Tensor
    side_low: Tensor
    step: Tensor
    fade: Tensor
    end: Tensor
    falls: Tensor
    cover: Tensor
    part: Tensor
    part_line: Tensor
    curtain: Tensor
    sweep: Tensor
    bangs: Tensor
    sideways: Tensor
    lift: Tensor
    lean: Tensor
    ragged: Tensor
    wave: Tensor
    bun: Tensor
    buzz: Tensor
    bald: Tensor
    hairline: Tensor  # v at the middle of the forehead
    opening: Tensor  # half width of the face between the hair, as a share of the head's
    recession: Tensor
    thinness: Tensor  # skin that shows through on top
    curl: Tensor
    wave_frequency: Tensor
    shift: Tensor  # in [0, 1), where the strand texture is cut
    gloss: Tensor
    colour: Tensor
    brow_colour: Tensor
    beard_colour: Tensor
    stubble: Tensor
    beard: Tensor
    moustache: Tensor


def draw_hair(traits: Traits, tone: Values, draws: PrivateDraws) -> Hair:
    """Sample the hair of each persona; `tone` in [0, 1] is that of its skin."""
    male = traits.male > 0.5
    normal, uniform, chance = draws.normal, draws.uniform, draws.chance
    lines = traits.lines
    bald = male & chance(np.clip((traits.years - 28) / 110, 0.02, 0.38))
    style = _draw_style(male, bald, lines, draws)

    curly = chance(np.where(tone > 0.55, 0.62, 0.10)) & ~bald & (style["bun"] < 0.01) & (style["buzz"] < 0.5)
    curl = np.where(curly, uniform(0.55, 1.0), 0.0)
    permed = ~male & (style["falls"] < 0.5) & (lines > 0.55) & chance(0.4) & (style["bun"] < 0.01)
    curl = np.maximum(curl, np.where(permed, uniform(0.35, 0.7), 0.0))
    # Curls have volume, no parting and no combed fringe.
    for name, scale in (("part_line", 0.0), ("bangs", 0.45), ("sweep", 0.5), ("curtain", 0.6), ("lean", 0.5)):
        style[name] = np.where(curl > 0, style[name] * scale, style[name])
    puff = np.where(male, 0.4, 1.0) * curl
    for name, gain in (("top", 0.07), ("side", 0.08), ("side_low", np.where(style["falls"] > 0.5, 0.07, 0.0))):
        style[name] = style[name] + gain * puff * uniform(0.2, 1.0)

    position = np.where(tone > 0.5, uniform(0, 0.22) ** 1.2, uniform(0, 1) ** 0.9)
    colour = linear(mix(HAIR, position))
    red = chance(0.08) & (tone < 0.3)
    colour = (
        np.where(red[:, None], linear(RED_HAIR) * uniform(0.7, 1.3)[:, None], colour) * np.exp(normal(0.08))[:, None]
    )
    grey = 1 / (1 + np.exp(-(traits.years - 56 + normal(4.5)) / 6.0))
    dyed = ~male & chance(0.25)
    hair_grey = np.where(dyed, grey * 0.25, grey)[:, None]
    silver = linear(uniform(0.62, 0.88))[:, None] * np.array([1.0, 0.985, 0.96])
    brow_base = np.minimum(colour * 0.45, 0.07)
    shaven = chance(0.46)
    full = ~shaven & chance(0.55)
    moustache = ~shaven & (full | chance(0.35))
    recession = np.where(male, np.clip(0.010 + 0.15 * lines**1.4 + normal(0.045), -0.02, 0.26), 0.02 * lines)
    fringe = style["bangs"] > 0
    hairline = -0.565 + normal(0.022) - 0.45 * np.maximum(recession, 0) - np.where(fringe, 0.0, 0.035)
    return Hair(
        **{name: column(value) for name, value in style.items()},
        hairline=column(hairline - 0.05 * (style["curtain"] > 0)),
        opening=column(0.895 + 0.02 * style["falls"] + normal(0.008)),
        recession=column(recession),
        thinness=column(np.where(male, np.clip(1.1 * recession - 0.10 + normal(0.05), 0, 0.45), 0.0)),
        curl=column(curl),
        wave_frequency=column(uniform(6, 12)),
        shift=column(uniform()),
        gloss=column(uniform(0.5, 1.25) * (1 - 0.7 * curl) * (1 - 0.4 * hair_grey[:, 0])),
        colour=column(colour * (1 - 0.94 * hair_grey) + silver * 0.94 * hair_grey),
        brow_colour=column(brow_base * (1 - 0.7 * grey[:, None]) + silver * 0.34 * grey[:, None]),
        beard_colour=column((colour * (1 - grey[:, None]) + silver * 0.9 * grey[:, None]) * 0.62),
        stubble=column(np.where(male, np.where(shaven, uniform(0.12, 0.32), uniform(0.30, 0.55)), 0.0)),
        beard=column(np.where(male & full, uniform(0.6, 1.0), 0.0)),
        moustache=column(np.where(male & moustache, uniform(0.6, 1.0), 0.0)),
    )


def _draw_style(
    male: NDArray[np.bool_], bald: NDArray[np.bool_], lines: Values, draws: PrivateDraws
) -> dict[str, Values]:
    """Sample a named style for each persona; returns its parameters by name."""
    choice, part_side = draws.uniform(), np.where(draws.chance(0.5), -1.0, 1.0)
    # Older women wear their hair shorter: their number is shifted towards the styles at the end of the table.
    choice = np.where(male, choice, choice + (1 - choice) * 0.9 * np.clip(lines - 0.4, 0, 1) * draws.uniform())
    picked = [
        _SHAVED if is_bald else _pick(_MEN if is_male else _WOMEN, float(place))
        for is_male, is_bald, place in zip(male, bald, choice, strict=True)
    ]
    style: dict[str, Values] = {}
    for field in fields(Style):
        low, high = np.array([getattr(one, field.name) for one in picked], np.float64).T
        style[field.name] = low + (high - low) * draws.uniform()
    style["part"] = style["part"] * part_side
    style["lean"] = style["lean"] * part_side
    return style


def _pick(styles: dict[str, tuple[float, Style]], place: float) -> Style:
    total = sum(share for share, _ in styles.values())
    for share, style in styles.values():
        place -= share / total
        if place < 0:
            return style
    return style
