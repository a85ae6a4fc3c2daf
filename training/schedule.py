"""Time in images seen, so that settings keep their meaning when batch size or number of processes change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch


def crossed(interval_images: int, before: int, now: int) -> bool:
    """Whether a multiple of an interval lies in (before, now], so that it is time to log, sample or save.

    Args:
        interval_images: The interval; 0 means never.
        before: Images seen before the step.
        now: Images seen after it.
    """
    return interval_images > 0 and now // interval_images > before // interval_images


@dataclass(frozen=True)
class Schedule:
    """A value as a function of images seen.

    Attributes:
        start: Value after the warm-up.
        end: Value at the end of the run; unused by `constant`.
        shape: Curve from `start` to `end`.
        warmup_images: Length of the warm-up, in which the value rises linearly from 0 to `start`.
    """

    start: float
    end: float = 0.0
    shape: Literal["constant", "linear", "cosine"] = "constant"
    warmup_images: int = 0

    def at(self, images_seen: int, total_images: int) -> float:
        """The value after `images_seen` images of a run of `total_images`."""
        if images_seen < self.warmup_images:
            return self.start * (images_seen + 1) / (self.warmup_images + 1)
        if self.shape == "constant":
            return self.start
        length = max(1, total_images - self.warmup_images)
        progress = min(1.0, (images_seen - self.warmup_images) / length)
        if self.shape == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.start + (self.end - self.start) * progress


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
