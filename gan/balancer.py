"""Weights of the generator's losses as shares of the gradient at the drawing.

Raw multipliers mean nothing across data sets, image sizes and networks: an LPIPS of weight 1 may drown the adversary or
vanish beside it. Here a weight says how much of the pull on the pixels a term has (the idea of EnCodec's balancer,
Defossez et al. 2022, section 3.4): each term's gradient is brought to the running norm of the reference term's and then
weighed, so the reference alone keeps its natural size and the optimizer sees what it would without the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def _no_reduction(squares: Tensor) -> Tensor:
    return squares


class Balancer:
    """Combines loss terms by their gradients at the drawings.

    Args:
        weights: Weight of each term; the first above zero is the reference, a zero drops its term.
        halflife_images: After how many images a norm has lost half its influence.
        reduce_mean: Averages a vector over processes, so that all of them weigh alike.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        halflife_images: float = 2_000,
        reduce_mean: Callable[[Tensor], Tensor] = _no_reduction,
    ) -> None:
        used = {name: weight for name, weight in weights.items() if weight > 0}
        if not used:
            raise ValueError("no loss term has a weight above zero")
        reference = next(iter(used.values()))
        self.weights = {name: weight / reference for name, weight in used.items()}
        self.halflife_images = halflife_images
        self.reduce_mean = reduce_mean
        self.squared_norms = torch.zeros(len(self.weights), dtype=torch.float64)
        # Of the running means: corrects their start from zero, which comes later for terms that join later.
        self.total_weights = torch.zeros(len(self.weights), dtype=torch.float64)

    def gradient(self, terms: Mapping[str, Tensor], images: Tensor, num_images: int) -> tuple[Tensor, Tensor]:
        """The combined gradient at the drawings.

        Args:
            terms: A scalar for each weight, computed from `images`. Terms may be absent: the first that is there is
                the reference then.
            images: [N, 3, S, S] drawings that require gradients.
            num_images: Images of this step over all processes, for the half-life.

        Returns:
            The gradient to back-propagate from `images`, and [num_terms] the share of each term in it, in the order
            of `weights`, summing to 1.
        """
        zeros = torch.zeros_like(images, dtype=torch.float32)
        gradients = [
            torch.autograd.grad(terms[name], images, retain_graph=True)[0].float() if name in terms else zeros
            for name in self.weights
        ]
        squares = self.reduce_mean(torch.stack([gradient.square().sum() for gradient in gradients]))
        device = squares.device
        present = torch.tensor([name in terms for name in self.weights], dtype=torch.float64, device=device)
        forget = (1 - 0.5 ** (num_images / self.halflife_images)) * present
        self.squared_norms = torch.lerp(self.squared_norms.to(device), squares.double(), forget)
        self.total_weights = torch.lerp(self.total_weights.to(device), torch.ones_like(forget), forget)
        norms = (self.squared_norms / self.total_weights.clamp_min(1e-12)).sqrt().clamp_min(1e-20)
        weights = torch.tensor(list(self.weights.values()), dtype=torch.float64, device=device) * present
        reference = int(present.argmax())
        scales = (weights / weights[reference] * norms[reference] / norms).float()
        combined = sum((scale * g for scale, g in zip(scales, gradients, strict=True)), zeros)
        pulls = scales * squares.float().sqrt()
        return combined.to(images.dtype), pulls / pulls.sum().clamp_min(1e-20)

    def state_dict(self) -> dict[str, Any]:
        """The running norms."""
        return {"squared_norms": self.squared_norms, "total_weights": self.total_weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the running norms back; their number must match."""
        if state["squared_norms"].shape != self.squared_norms.shape:
            raise ValueError(f"running norms of {tuple(state['squared_norms'].shape)} terms, not {len(self.weights)}")
        self.squared_norms = state["squared_norms"].clone()
        self.total_weights = state["total_weights"].clone()
