"""Exponential moving average of a module's weights; its half-life is counted in images seen."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class ExponentialMovingAverage:
    """Keeps a float32 average of a module's weights; buffers are copied.

    Attributes:
        module: Averaged module, in eval mode and without gradients; it is evaluated and published.
        num_images: Images that the average has seen.
    """

    def __init__(self, module: nn.Module, halflife_images: float, rampup: float | None = 0.05) -> None:
        """Start from the module's weights.

        Args:
            module: Unwrapped module that is trained.
            halflife_images: Images after which the influence of old weights is halved.
            rampup: Upper limit of the half-life as a share of the images seen, so that the random initial weights
                lose their influence early; None switches it off.
        """
        self.module = copy.deepcopy(module).float().eval().requires_grad_(False)
        self.num_images = 0
        self._source = module
        self._halflife_images = halflife_images
        self._rampup = rampup

    @torch.no_grad()
    def update(self, num_images: int) -> None:
        """Move towards the trained weights: s <- d s + (1 - d) w with d = 0.5^(images / half-life).

        Args:
            num_images: Images of the last step, over all processes.
        """
        self.num_images += num_images
        halflife = self._halflife_images
        if self._rampup is not None:
            halflife = min(halflife, self._rampup * self.num_images)
        decay = 0.5 ** (num_images / halflife) if halflife > 0 else 0.0
        shadow: list[torch.Tensor] = list(self.module.parameters())
        weights = [weight.to(torch.float32) for weight in self._source.parameters()]
        torch._foreach_lerp_(shadow, weights, 1 - decay)
        for average, buffer in zip(self.module.buffers(), self._source.buffers(), strict=True):
            average.copy_(buffer)

    def state_dict(self) -> dict[str, Any]:
        """Averaged weights and number of images, for a checkpoint."""
        return {"module": self.module.state_dict(), "num_images": self.num_images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.module.load_state_dict(state["module"], strict=True)
        self.num_images = state["num_images"]
