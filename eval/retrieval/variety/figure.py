"""The curve of faithfulness against variety."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.images.report import plot_frechet
from eval.report.figures import CHANCE, INK, save_figure, tidy_axes
from eval.retrieval.metrics import RetrievalResult
from eval.retrieval.variety.measure import NUM_DRAWINGS, VarietyCurve, VarietyPoint

_ONE, _MEAN, _PHOTOGRAPH = "#8a3fb0", "#2f5fd0", "#c9702a"


def save_varieties(path: Path, curve: VarietyCurve, bounds: Sequence[RetrievalResult]) -> None:
    """Draw recall, exchangeability and Frechet distance over variety.

    Args:
        path: The PNG to write.
        curve: What is measured at each variety.
        bounds: Bounds of the recall that are drawn as lines, in the same gallery.
    """
    points = curve.points
    rows = [point.distance for point in points if point.distance is not None]
    figure = Figure(figsize=(13 if rows else 8.8, 5.0), layout="constrained")
    axes = figure.subplots(1, 3 if rows else 2)
    _plot_recall(axes[0], points, bounds)
    _plot_exchangeability(axes[1], points)
    if rows:
        plot_frechet(axes[2], rows, {bound.system: bound for bound in curve.distance_bounds})
    save_figure(figure, path)


def _plot_recall(axes: Axes, points: Sequence[VarietyPoint], bounds: Sequence[RetrievalResult]) -> None:
    k = "10" if "10" in points[0].one.recall else max(points[0].one.recall, key=int)
    varieties = [point.variety for point in points]
    for name, colour, results in (
        (f"mean of {NUM_DRAWINGS} drawings", _MEAN, [point.mean for point in points]),
        ("one drawing", _ONE, [point.one for point in points]),
    ):
        values = [result.recall[k] for result in results]
        _plot_with_interval(axes, varieties, values, [result.ci95[k] for result in results], colour, name, 100)
    for bound, style in zip(bounds, ("--", "-.", ":"), strict=False):
        if k in bound.recall:
            name = bound.system.removeprefix("bound: ")
            axes.axhline(100 * bound.recall[k], color=INK, linestyle=style, linewidth=1, alpha=0.7, label=name)
    axes.axhline(100 * points[0].one.chance[k], color=CHANCE, linestyle="--", linewidth=1.4, label="chance")
    first = points[0].one
    axes.set(xlabel="variety", ylabel=f"R@{k} in {first.gallery} faces (%)", ylim=(0, 106), xticks=varieties)
    axes.set_title(f"Faithfulness: drawings find the face ({first.judge})", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
    tidy_axes(axes)


def _plot_exchangeability(axes: Axes, points: Sequence[VarietyPoint]) -> None:
    varieties = [point.variety for point in points]
    for name, colour, cosines in (
        ("two drawings of a voice", _ONE, [point.centred.two_drawings for point in points]),
        ("drawing and the speaker's photograph", _PHOTOGRAPH, [point.centred.photograph for point in points]),
    ):
        values, intervals = [cosine.mean for cosine in cosines], [cosine.ci95 for cosine in cosines]
        _plot_with_interval(axes, varieties, values, intervals, colour, name, 1)
    noise = [point.centred.other_noise.mean for point in points]
    axes.plot(varieties, noise, ":", color=CHANCE, linewidth=1.4, label="one sample, other noise")
    axes.axhline(0, color=CHANCE, linewidth=1)
    axes.set(xlabel="variety", ylabel="centred cosine", xticks=varieties)
    axes.set_title("Exchangeability: calibrated where both meet", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    tidy_axes(axes)


def _plot_with_interval(
    axes: Axes,
    varieties: Sequence[float],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    colour: str,
    name: str,
    scale: float,
) -> None:
    middle, bounds = np.array(values), np.array(intervals)
    # With very few people a percentile interval may exclude the mean; error bars can't be negative.
    errors: Any = np.clip(np.stack([middle - bounds[:, 0], bounds[:, 1] - middle]), 0, None)
    axes.errorbar(varieties, scale * middle, scale * errors, fmt="o-", color=colour, capsize=3, linewidth=2, label=name)
