"""Figures of a retrieval report, drawn with matplotlib: queries, samples, recall curves, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eval.images.sensitivity import PairSimilarity
from eval.report.figures import CHANCE, INK, MUTED, RIGHT, save_figure, show_picture, tidy_axes
from eval.retrieval.metrics import RetrievalResult

_COLOURS = {"joint": "#2f5fd0", "feature": "#c9702a", "image": "#8a3fb0"}


@dataclass(frozen=True)
class QueryRow:
    """One query of the figure of queries.

    Attributes:
        title: Text such as "rank 3 of 140".
        pictures: [S, S, 3] uint8: spectrogram of the voice, drawing if there is one, true face.
        answers: The first faces of the ranking, [S, S, 3] uint8.
        scores: Scores of these faces.
        right: Position of the right face among them; -1 if it is not among them.
    """

    title: str
    pictures: Sequence[NDArray[np.uint8]]
    answers: Sequence[NDArray[np.uint8]]
    scores: Sequence[float]
    right: int


def save_queries(path: Path, blocks: Sequence[tuple[str, Sequence[QueryRow]]], columns: Sequence[str]) -> None:
    """Draw queries in rows and blocks (best, median, worst); the right face has a green frame.

    Args:
        path: The PNG to write.
        blocks: Title and queries of each block.
        columns: Titles of `QueryRow.pictures`.
    """
    rows = [(title if i == 0 else "", row) for title, block in blocks for i, row in enumerate(block)]
    num_left, num_right = len(columns), max(len(row.answers) for _, row in rows)
    figure = Figure(figsize=(1.25 * (num_left + num_right) + 1.2, 1.42 * len(rows) + 0.6), layout="constrained")
    grid = figure.add_gridspec(
        len(rows), num_left + num_right + 2, width_ratios=[0.85, *[1] * num_left, 0.25, *[1] * num_right]
    )
    for r, (block_title, row) in enumerate(rows):
        label = figure.add_subplot(grid[r, 0])
        label.axis("off")
        label.text(0, 0.72, block_title, weight="bold", fontsize=11, color=INK, va="center")
        label.text(0, 0.42, row.title, fontsize=8.5, color=MUTED, va="center")
        for c, picture in enumerate(row.pictures):
            axes = figure.add_subplot(grid[r, 1 + c])
            show_picture(axes, picture)
            if r == 0:
                axes.set_title(columns[c], fontsize=9, color=INK)
        for c, (picture, score) in enumerate(zip(row.answers, row.scores, strict=True)):
            axes = figure.add_subplot(grid[r, 2 + num_left + c])
            show_picture(axes, picture, frame=RIGHT if c == row.right else None)
            axes.set_xlabel(f"{score:.2f}", fontsize=7.5, color=RIGHT if c == row.right else MUTED, labelpad=2)
            if r == 0:
                axes.set_title(f"answer {c + 1}", fontsize=9, color=INK)
    save_figure(figure, path)


def save_samples(path: Path, columns: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
    """Draw a grid of pictures with one person in each row.

    Args:
        path: The PNG to write.
        columns: Titles of the columns; neighbours with the same title share it.
        rows: Pictures [S, S, 3] uint8 of each row, one for each column.
    """
    figure = Figure(figsize=(1.2 * len(columns), 1.2 * len(rows) + 0.35), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            show_picture(axes[r, c], picture)
    for c, title in enumerate(columns):
        if c == 0 or columns[c - 1] != title:
            axes[0, c].set_title(title, fontsize=8.5, color=INK, loc="left")
    save_figure(figure, path)


def save_recall(
    path: Path,
    curves: dict[str, NDArray[np.float64]],
    results: Sequence[RetrievalResult],
    floors: dict[str, NDArray[np.float64]],
    lengths: Sequence[RetrievalResult],
    limits: dict[str, NDArray[np.float64]],
) -> None:
    """Draw R@k over k for each space with intervals, floor and chance, and R@10 over the length of speech.

    Args:
        path: The PNG to write.
        curves: [size] R@1 .. R@size by space.
        results: Headline result of each space.
        floors: Curves of shuffled voices by space.
        lengths: Results by length of speech.
        limits: Curves of the best possible rankers by name; empty where true traits are not known.
    """
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1])
    size = len(next(iter(curves.values())))
    ks = np.arange(1, size + 1)
    left.plot(ks, 100 * ks / size, color=CHANCE, linestyle="--", linewidth=1.4, label="chance")
    for (name, limit), style in zip(limits.items(), ("-", "--", "-.", ":"), strict=False):
        left.plot(ks, 100 * limit, color=INK, linestyle=style, linewidth=1, alpha=0.7, label=name)
    for result in results:
        colour = _COLOURS[result.space]
        left.plot(
            ks,
            100 * curves[result.space],
            color=colour,
            linewidth=2,
            label=f"{result.space} ({result.metric})",
        )
        left.plot(ks, 100 * floors[result.space], color=colour, linewidth=1, linestyle=":", alpha=0.8)
        points = [int(k) for k in result.recall]
        values = np.array([result.recall[str(k)] for k in points])
        bounds = np.array([result.ci95[str(k)] for k in points])
        # With very few people a percentile interval may exclude the mean; error bars can't be negative.
        errors = np.clip(np.stack([values - bounds[:, 0], bounds[:, 1] - values]), 0, None)
        left.errorbar(points, 100 * values, 100 * errors, color=colour, fmt="o", markersize=3.5, capsize=2, linewidth=1)
    left.plot([], [], color=MUTED, linewidth=1, linestyle=":", label="shuffled voices")
    left.set(xlabel="k", ylabel="right face among the first k (%)", ylim=(0, 101))
    if size > 20:
        left.set_xscale("log")
        left.set_xlim(0.95, size)
        ticks = [k for k in (1, 2, 5, 10, 25, 50, 100, 250, 1000) if k <= size]
        left.set_xticks(ticks, [str(k) for k in ticks], minor=False)
        left.minorticks_off()
    first = results[0]
    left.set_title(
        f"{first.identities} people, galleries of {first.gallery} ({first.draws} drawn)",
        fontsize=10,
        color=INK,
    )
    left.legend(frameon=bool(limits), edgecolor="none", framealpha=0.9, fontsize=8.5, loc="upper left")
    _plot_lengths(right, lengths)
    for axes in (left, right):
        tidy_axes(axes)
    save_figure(figure, path)


def _plot_lengths(axes: Axes, lengths: Sequence[RetrievalResult]) -> None:
    k = _length_recall(lengths)
    if k is None:
        axes.axis("off")
        return
    seconds = [row.extra["seconds"] for row in lengths]
    values = np.array([row.recall[k] for row in lengths])
    bounds = np.array([row.ci95[k] for row in lengths])
    errors = np.clip(np.stack([values - bounds[:, 0], bounds[:, 1] - values]), 0, None)
    axes.errorbar(seconds, 100 * values, 100 * errors, fmt="o-", color=_COLOURS["joint"], capsize=3, linewidth=2)
    axes.axhline(100 * lengths[0].chance[k], color=CHANCE, linestyle="--", linewidth=1.4)
    for second, value, row in zip(seconds, values, lengths, strict=True):
        text = f"{100 * row.extra['long_enough']:.0f} % this long"
        axes.annotate(text, (second, 100 * value), (5, -12), textcoords="offset points", fontsize=7.5, color=MUTED)
    axes.set(xlabel="seconds of speech", ylabel=f"R@{k} (%), joint space", ylim=(0, None), xticks=seconds)
    axes.set_xlim(0, seconds[-1] * 1.35)
    axes.set_title("Recall by length of speech", fontsize=10, color=INK)


def _length_recall(lengths: Sequence[RetrievalResult]) -> str | None:
    if not lengths or not lengths[0].recall:
        return None
    return "10" if "10" in lengths[0].recall else max(lengths[0].recall, key=int)


def save_sensitivity(path: Path, similarities: Sequence[PairSimilarity]) -> None:
    """Draw the cosine of every pair as a dot and the means as bars, a row for each kind of pair."""
    figure = Figure(figsize=(9, 0.55 * len(similarities) + 1.1), layout="constrained")
    axes = figure.subplots()
    random = np.random.default_rng(0)
    for row, similarity in enumerate(similarities):
        drawn = similarity.pixel_difference is not None
        colour = _COLOURS["image"] if drawn else (RIGHT if "drawing" not in similarity.pair else _COLOURS["feature"])
        y = row + random.uniform(-0.22, 0.22, similarity.num)
        axes.scatter(similarity.cosines, y, s=7, color=colour, alpha=0.35, linewidths=0)
        axes.plot([similarity.cosine] * 2, [row - 0.32, row + 0.32], color=colour, linewidth=2.5)
    axes.set_yticks(range(len(similarities)), [f"{s.pair} ({s.num})" for s in similarities], fontsize=8.5)
    axes.invert_yaxis()
    axes.axvline(0, color=CHANCE, linewidth=1)
    axes.set_xlim(-1.02, 1.02)
    axes.set_xlabel("centred cosine of the judge's features")
    tidy_axes(axes)
    save_figure(figure, path)
