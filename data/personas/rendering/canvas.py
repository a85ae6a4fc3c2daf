"""Canvas of all layers of a head, and the functions that layers are built from: smooth steps and Gaussian spots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

EXTENT = 2.66  # head units a side
CENTRE_V = 0.06  # v of the canvas centre


@dataclass(frozen=True)
class Window:
    """Rectangle of the canvas in which a small feature is computed."""

    rows: slice
    columns: slice
    u: Tensor  # [1, 1, width]
    v: Tensor  # [1, height, 1]


class Canvas:
    """Pixel coordinates of a square canvas in head units.

    Attributes:
        size: Pixels a side.
        pixel: Head units a pixel.
        u: [1, 1, N] coordinates of the columns.
        v: [1, N, 1] coordinates of the rows.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.pixel = EXTENT / size
        line = (torch.arange(size) + 0.5) * self.pixel - EXTENT / 2
        self.u = line.view(1, 1, size)
        self.v = (line + CENTRE_V).view(1, size, 1)
        self.abs_u = self.u.abs()

    def window(self, left: float, right: float, top: float, bottom: float, side: float = 1.0) -> Window:
        """The pixels of a rectangle given in head units, clipped to the canvas; `side` -1 mirrors it."""
        if side < 0:
            left, right = -right, -left

        def index(position: float) -> int:
            return min(max(int((position + EXTENT / 2) / self.pixel), 0), self.size)

        rows = slice(index(top - CENTRE_V), index(bottom - CENTRE_V) + 1)
        columns = slice(index(left), index(right) + 1)
        return Window(rows, columns, self.u[:, :, columns], self.v[:, rows])

    def slopes(self, heights: Tensor) -> tuple[Tensor, Tensor]:
        """Central differences of a [B, N, N] map by u and by v, zero on the border."""
        by_u, by_v = torch.zeros_like(heights), torch.zeros_like(heights)
        by_u[:, :, 1:-1] = (heights[:, :, 2:] - heights[:, :, :-2]) * (0.5 / self.pixel)
        by_v[:, 1:-1] = (heights[:, 2:] - heights[:, :-2]) * (0.5 / self.pixel)
        return by_u, by_v


@lru_cache(maxsize=8)
def canvas_of(size: int) -> Canvas:
    """Canvas of a size, cached."""
    return Canvas(size)


def smoothstep(x: Tensor, start: Tensor | float, end: Tensor | float) -> Tensor:
    """0 below `start`, 1 above `end`, a cubic between; falling if start > end."""
    t = ((x - start) / (end - start)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def gauss(x: Tensor, centre: Tensor | float, width: Tensor | float) -> Tensor:
    """exp(-((x - centre) / width)^2)."""
    return torch.exp(-(((x - centre) / width) ** 2))


_Number = Tensor | float


class SoftSpots:
    """Sum of axis-parallel Gaussian spots, symmetric about u = 0, as one batched matrix product."""

    def __init__(self, canvas: Canvas, num_pictures: int) -> None:
        self._canvas = canvas
        self._num_pictures = num_pictures
        self._spots: list[tuple[_Number, ...]] = []

    def add(self, v: _Number, width: _Number, height: _Number, amount: _Number) -> None:
        """Add a spot on the midline, exp(-(u / width)^2 - ((v - v0) / height)^2) * amount."""
        self._spots.append((0.0, v, width, height, amount * 0.5))

    def add_pair(self, u: _Number, v: _Number, width: _Number, height: _Number, amount: _Number) -> None:
        """Add a spot at u and its mirror image at -u."""
        self._spots.append((u, v, width, height, amount))

    def paint(self) -> Tensor:
        """Sum of all spots, [B, N, N]."""
        u, v, width, height, amount = (self._gather(values) for values in zip(*self._spots, strict=True))
        across = torch.exp(-(((self._canvas.u - u) / width) ** 2))
        along = torch.exp(-(((self._canvas.v.transpose(1, 2) - v) / height) ** 2)) * amount
        return torch.bmm(along.transpose(1, 2), across + across.flip(-1))

    def _gather(self, values: tuple[_Number, ...]) -> Tensor:
        """[B, spots, 1] of numbers that are the same for all pictures or [B, 1, 1]."""
        constants = [0.0 if isinstance(value, Tensor) else value for value in values]
        gathered = torch.tensor(constants).repeat(self._num_pictures, 1)
        varying = [number for number, value in enumerate(values) if isinstance(value, Tensor)]
        if varying:
            tensors = [value.view(-1) for value in values if isinstance(value, Tensor)]
            gathered[:, varying] = torch.stack(tensors, 1)
        return gathered[..., None]
