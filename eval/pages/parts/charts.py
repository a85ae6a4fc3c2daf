"""Line and bar charts as inline SVG; the page's style sheet colours them, also in dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

_WIDTH, _HEIGHT = 560, 330
_COLUMNS_HEIGHT, _MAX_THICKNESS = 250, 72
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 10, 30, 44


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: Name, such as "joint space".
        points: Points (x, y), x increasing.
        style: Class of the style sheet: `c1` .. `c4` for systems, `limit`, `floor`, `chance`.
        band: Interval around some of the points, as (x, low, high).
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str
    band: Sequence[tuple[float, float, float]] = field(default_factory=list)


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    description: str,
) -> Markup:
    """Curves in common axes, which reach from the first tick to the last.

    Args:
        lines: Curves; later ones are drawn on top.
        x_label: Label under the horizontal axis.
        y_label: Label above the vertical axis.
        x_ticks: At least two positions, increasing.
        y_ticks: At least two positions, increasing.
        description: Alternative text for readers who can't see it.
    """

    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _LEFT + across * width, _TOP + (1 - min(1.0, max(0.0, up))) * height

    parts = []
    for tick in y_ticks:
        left, y = place(x_ticks[0], tick)
        parts.append(Markup('<path class="grid" d="{}"/>').format(_path([(left, y), (left + width, y)])))
        parts.append(_text(left - 8, y + 4.5, f"{tick:g}", "end"))
    for tick in x_ticks:
        x, bottom = place(tick, y_ticks[0])
        parts.append(_text(x, bottom + 20, f"{tick:g}", "middle"))
    parts.append(_text(_LEFT + width / 2, _HEIGHT - 6, x_label, "middle"))
    parts.append(_text(0, 12, y_label, "start"))
    for line in lines:
        if line.band:
            edge = [place(x, high) for x, _, high in line.band] + [place(x, low) for x, low, _ in reversed(line.band)]
            parts.append(Markup('<path class="band {}" d="{}Z"/>').format(line.style, _path(edge)))
        points = _path([place(x, y) for x, y in line.points])
        shape = Markup('<path class="line {}" d="{}"><title>{}</title></path>')
        parts.append(shape.format(line.style, points, line.name))
    return _svg(parts, _WIDTH, _HEIGHT, description)


def bar_chart(rows: Sequence[tuple[str, float, str, str]], *, description: str) -> Markup:
    """Horizontal bars from zero.

    Args:
        rows: Name, length, label at the end and style class of each bar.
        description: Alternative text for readers who can't see it.
    """
    longest = max((value for _, value, _, _ in rows), default=0.0) or 1.0
    step, room_for_labels = 52, 90
    bar = Markup('<rect class="bar {}" x="0" y="{}" width="{}" height="16" rx="3"/>')
    parts = []
    for i, (name, value, label, style) in enumerate(rows):
        y, length = i * step, max(2.0, (_WIDTH - room_for_labels) * max(0.0, value) / longest)
        parts.append(_text(0, y + 15, name, "start"))
        parts.append(bar.format(style, y + 22, f"{length:.1f}"))
        parts.append(_text(length + 8, y + 35, label, "start", "value"))
    return _svg(parts, _WIDTH, step * len(rows), description)


def column_chart(
    columns: Sequence[tuple[str, Sequence[tuple[float, str]]]], *, x_label: str, y_label: str, description: str
) -> Markup:
    """Vertical bars from zero, each of one part or of several stacked parts.

    Args:
        columns: Label of each bar (may be empty), and its parts from below: length and style class.
        x_label: Label under the horizontal axis.
        y_label: Label above the vertical axis.
        description: Alternative text for readers who can't see it.
    """
    highest = max((sum(value for value, _ in parts) for _, parts in columns), default=0.0)
    step = _nice_step(highest)
    ticks = [i * step for i in range(math.ceil(highest / step - 1e-9) + 1)] if highest else [0.0, 1.0]
    left, bottom = 6 + 8 * max(len(f"{tick:,g}") for tick in ticks), _COLUMNS_HEIGHT - _BOTTOM
    width, height = _WIDTH - left, bottom - _TOP
    drawn = []
    for tick in ticks:
        y = bottom - tick / ticks[-1] * height
        drawn.append(Markup('<path class="grid" d="{}"/>').format(_path([(left, y), (_WIDTH, y)])))
        drawn.append(_text(left - 8, y + 4.5, f"{tick:,g}", "end"))
    spacing = width / max(1, len(columns))
    thickness = min(0.86 * spacing, _MAX_THICKNESS)
    shape = Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"/>')
    for i, (name, parts) in enumerate(columns):
        middle, y = left + (i + 0.5) * spacing, float(bottom)
        for value, style in parts:
            if value > 0:
                length = value / ticks[-1] * height
                y -= length
                place = (f"{value:.1f}" for value in (middle - thickness / 2, y, thickness, length))
                drawn.append(shape.format(style, *place))
        drawn.append(_text(middle, bottom + 20, name, "middle"))
    drawn.append(_text(left + width / 2, _COLUMNS_HEIGHT - 4, x_label, "middle"))
    drawn.append(_text(0, 12, y_label, "start"))
    return _svg(drawn, _WIDTH, _COLUMNS_HEIGHT, description)


def _nice_step(highest: float) -> float:
    """The distance between ticks: 1, 2 or 5 times a power of ten, at least 1; three to five reach the highest value."""
    rough = max(1.0, highest / 4)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough - 1e-9)


def spark_line(points: Sequence[tuple[float, float]], description: str) -> Markup:
    """A small curve without axes; points that are not finite are left out, and fewer than two give an empty text."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if len(finite) < 2:
        return Markup("")
    width, height, margin = 220, 64, 4
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    first, last = finite[0][0], finite[-1][0]

    def place(x: float, y: float) -> tuple[float, float]:
        up = (y - low) / (high - low) if high > low else 0.5
        across = (x - first) / ((last - first) or 1)
        return margin + across * (width - 2 * margin), height - margin - up * (height - 2 * margin)

    placed = [place(x, y) for x, y in finite]
    end_x, end_y = placed[-1]
    return _svg(
        [
            Markup('<path class="line c1" d="{}"/>').format(_path(placed)),
            Markup('<circle class="dot c1" cx="{}" cy="{}" r="3"/>').format(f"{end_x:.1f}", f"{end_y:.1f}"),
        ],
        width,
        height,
        description,
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        style, f"{x:.1f}", f"{y:.1f}", anchor, text
    )


def _svg(parts: Sequence[Markup], width: float, height: float, description: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        f"{width:g}", f"{height:g}", description, Markup("").join(parts)
    )
