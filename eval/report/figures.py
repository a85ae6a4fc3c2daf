"""Parts that a report's figures share: colours, axes, and pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, MUTED, RIGHT, CHANCE = "#1f2430", "#7a8194", "#1b8a5a", "#b9bfcc"
_DPI = 150


def save_mosaic(path: Path, panels: Sequence[tuple[str, NDArray[np.uint8]]], num_columns: int = 8) -> None:
    """Sets of pictures side by side.

    Args:
        path: The PNG to write.
        panels: Title and pictures [N, S, S, 3] uint8 of each panel.
        num_columns: Number of pictures side by side in a panel.
    """
    figure = Figure(figsize=(5.2 * len(panels), 5.6), layout="constrained")
    for axes, (title, images) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        show_picture(axes, tile(images, num_columns))
        axes.set_title(title, fontsize=11, color=INK)
    save_figure(figure, path)


def tile(images: NDArray[np.uint8], num_columns: int) -> NDArray[np.uint8]:
    """Arrange pictures [N, S, S, 3] row by row as one picture; empty places are white."""
    num_rows = -(-len(images) // num_columns)
    side = images.shape[1]
    canvas = np.full((num_rows * num_columns, side, side, 3), 255, np.uint8)
    canvas[: len(images)] = images
    grid = canvas.reshape(num_rows, num_columns, side, side, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(num_rows * side, num_columns * side, 3))


def show_picture(axes: Axes, picture: NDArray[np.uint8], frame: str | None = None) -> None:
    """Show [S, S, 3] uint8 RGB without ticks, with a frame of the given colour."""
    axes.imshow(picture, interpolation="bicubic")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(frame is not None)
        spine.set_edgecolor(frame or INK)
        spine.set_linewidth(3)


def tidy_axes(axes: Axes) -> None:
    """Hide the upper and right spine and draw a light grid behind the curves."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=MUTED, labelsize=8.5)
    axes.grid(axis="both", color="#eceef3", linewidth=0.8)
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, with the software's name as metadata."""
    metadata: dict[str, Any] = {"Software": "wav2face"}
    figure.savefig(path, dpi=_DPI, metadata=metadata, facecolor="white")
