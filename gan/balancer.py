"""Weights of the generator's losses as shares of the gradient at the drawing.

Plain multipliers are not comparable across data sets, image sizes and networks: an LPIPS of weight 1 may dominate the
adversarial loss or be negligible. Here a weight is relative to the norm of the gradient at the pixels (as in EnCodec's
balancer, Defossez et al. 2022, section 3.4): each loss's gradient is scaled to the running norm of the reference loss's
and then multiplied by its weight. The reference's gradient keeps its own scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def _no_reduction(squares: Tensor) -> Tensor:
    return squares


class Balancer:
    """Combines losses by their gradients at the drawings.

    Args:
        weights: Weight of each loss; the first above zero is the reference, a zero drops its loss.
        halflife_images: Half-life of the running norms.
        reduce_mean: Average of a vector over processes, so that all of them use the same scales.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        halflife_images: float = 2_000,
        reduce_mean: Callable[[Tensor], Tensor] = _no_reduction,
    ) -> None:
        used = {name: weight for name, weight in weights.items() if weight > 0}
        if not used:
            raise ValueError("no loss has a weight above zero")
        reference = next(iter(used.values()))
        self.weights = {name: weight / reference for name, weight in used.items()}
        self.halflife_images = halflife_images
        self.reduce_mean = reduce_mean
        self.squared_norms = torch.zeros(len(self.weights), dtype=torch.float64)
        # Corrects the running means for their start from zero; losses may be added later in a run.
        self.total_weights = torch.zeros(len(self.weights), dtype=torch.float64)

    def gradient(self, losses: Mapping[str, Tensor], images: Tensor, num_images: int) -> tuple[Tensor, Tensor]:
        """Combine the gradients at the drawings.

        Args:
            losses: A scalar for each weight, computed from `images`. Losses may be absent: the first present one is
                the reference then.
            images: [N, 3, S, S] drawings that require gradients.
            num_images: Images of this step over all processes.

        Returns:
            The gradient to back-propagate from `images`, and [num_losses] the share of each loss in it, in the order of
            `weights`, summing to 1.
        """
        zeros = torch.zeros_like(images, dtype=torch.float32)
        gradients = [
            torch.autograd.grad(losses[name], images, retain_graph=True)[0].float() if name in losses else zeros
            for name in self.weights
        ]
        squares = self.reduce_mean(torch.stack([gradient.square().sum() for gradient in gradients]))
        device = squares.device
        present = torch.tensor([name in losses for name in self.weights], dtype=torch.float64, device=device)
        forget = (1 - 0.5 ** (num_images / self.halflife_images)) * present
        self.squared_norms = torch.lerp(self.squared_norms.to(device), squares.double(), forget)
        self.total_weights = torch.lerp(self.total_weights.to(device), torch.ones_like(forget), forget)
        norms = (self.squared_norms / self.total_weights.clamp_min(1e-12)).sqrt().clamp_min(1e-20)
        weights = torch.tensor(list(self.weights.values()), dtype=torch.float64, device=device) * present
        reference = int(present.argmax())
        scales = (weights / weights[reference] * norms[reference] / norms).float()
        combined = sum((scale * g for scale, g in zip(scales, gradients, strict=True)), zeros)
        weighted_norms = scales * squares.float().sqrt()
        return combined.to(images.dtype), weighted_norms / weighted_norms.sum().clamp_min(1e-20)

    def state_dict(self) -> dict[str, Any]:
        """Running norms, for a checkpoint."""
        return {"squared_norms": self.squared_norms, "total_weights": self.total_weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the running norms; their number must match."""
        if state["squared_norms"].shape != self.squared_norms.shape:
            raise ValueError(f"running norms of {tuple(state['squared_norms'].shape)} terms, not {len(self.weights)}")
        self.squared_norms = state["squared_norms"].clone()
        self.total_weights = state["total_weights"].clone()
