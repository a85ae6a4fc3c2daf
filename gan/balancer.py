"""Weights of the generator's losses as shares of the gradient at the drawings.

Plain multipliers are not comparable across data sets, image sizes and networks: an LPIPS of weight 1 may dominate the
adversarial loss or be negligible. Here a weight is relative to the gradient at the pixels (as in EnCodec's balancer,
Defossez et al. 2022, section 3.4): each loss's gradient is scaled to the running strength of the reference loss's and
then multiplied by its weight. The reference's gradient keeps its own scale.

The strength of a loss is the root mean square of its gradient over the drawings that it sees, times the share of
drawings that it sees: gradients of drawings add up in the weights, so that a loss on a quarter of them has a quarter of
the effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MEASURE_INTERVAL = 8
"""Steps from one measurement of the strengths to the next; it needs a backward pass for each loss."""


def _no_reduction(squares: Tensor) -> Tensor:
    return squares


@dataclass(frozen=True)
class Loss:
    """A loss as a function of the drawings.

    Attributes:
        value: Scalar, a mean over the whole batch.
        coverage: Share of the drawings that it sees, in (0, 1].
    """

    value: Tensor
    coverage: float = 1.0


class Balancer:
    """Combines losses by their gradients at the drawings.

    Args:
        weights: Weight of each loss; the first above zero is the reference, a zero drops its loss.
        halflife_images: Half-life of the running strengths.
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
        self.squares = torch.zeros(len(self.weights), dtype=torch.float64)
        # Corrects the running means for their start from zero; losses may be added later in a run. It stays on the CPU:
        # it tells, without synchronising, whether a loss was ever measured.
        self.total_weights = torch.zeros(len(self.weights), dtype=torch.float64)

    def gradient(
        self,
        drawings: Tensor,
        losses: Mapping[str, Loss],
        num_images: int,
        *,
        known: Mapping[str, Tensor] | None = None,
        measure: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Combine the gradients at the drawings.

        Args:
            drawings: [N, 3, S, S] drawings that require gradients.
            losses: Losses computed from the drawings. Losses may be absent: the first present one is the reference
                then.
            num_images: Images of this step over all processes.
            known: Gradients [N, 3, S, S] at the drawings that were already computed, of losses that see all drawings.
            measure: Whether to measure the strengths, for which each loss is back-propagated by itself. Losses that
                were never measured are, in any case.

        Returns:
            The gradient to back-propagate from the drawings; and, in steps that measure, [num_losses] the share of each
            loss in it, in the order of `weights`, summing to 1.
        """
        known = known or {}
        names = list(self.weights)
        present = torch.tensor([name in losses or name in known for name in names], dtype=torch.float64)
        measure = measure or bool(((self.total_weights == 0) & (present > 0)).any())
        zeros = torch.zeros_like(drawings, dtype=torch.float32)
        if not measure:
            scales = self._scales(present, drawings.device)
            combined = sum((scales[names.index(name)] * known[name] for name in known if name in names), zeros)
            if losses:
                total = torch.stack([scales[names.index(name)] * loss.value for name, loss in losses.items()]).sum()
                combined = combined + torch.autograd.grad(total, drawings)[0].float()
            return combined.to(drawings.dtype), None
        gradients, coverage = [], torch.ones(len(names))
        for place, name in enumerate(names):
            if name in losses:
                coverage[place] = losses[name].coverage
                gradients.append(torch.autograd.grad(losses[name].value, drawings, retain_graph=True)[0].float())
            else:
                gradients.append(known.get(name, zeros))
        squares = torch.stack([gradient.square().sum() for gradient in gradients]) * coverage.to(drawings.device)
        squares = self.reduce_mean(squares).double()
        forget = (1 - 0.5 ** (MEASURE_INTERVAL * num_images / self.halflife_images)) * present
        self.total_weights = torch.lerp(self.total_weights, torch.ones_like(forget), forget)
        self.squares = torch.lerp(self.squares.to(drawings.device), squares, forget.to(drawings.device))
        scales = self._scales(present, drawings.device)
        combined = sum((scale * gradient for scale, gradient in zip(scales, gradients, strict=True)), zeros)
        strengths = scales * squares.sqrt().float()
        return combined.to(drawings.dtype), strengths / strengths.sum().clamp_min(1e-20)

    def _scales(self, present: Tensor, device: torch.device) -> Tensor:
        """Factor of each loss, [num_losses] float32; 0 for absent ones, and for those whose gradient always was zero.

        A loss on few drawings may see none of its kind when it is measured (perceptual: no drawing with a photograph).
        Divided by a strength of zero, its next gradient would spoil the weights.
        """
        strengths = (self.squares.to(device) / self.total_weights.clamp_min(1e-12).to(device)).sqrt()
        weights = torch.tensor(list(self.weights.values()), dtype=torch.float64) * present
        reference = int(present.argmax())
        factors = (weights / weights[reference]).to(device) * strengths[reference] / strengths.clamp_min(1e-20)
        return torch.where(strengths > 0, factors, 0.0).float()

    def state_dict(self) -> dict[str, Any]:
        """Running strengths, for a checkpoint."""
        return {"squares": self.squares, "total_weights": self.total_weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the running strengths; their number must match."""
        if state["squares"].shape != self.squares.shape:
            raise ValueError(f"running strengths of {tuple(state['squares'].shape)} losses, not {len(self.weights)}")
        self.squares = state["squares"].clone()
        self.total_weights = state["total_weights"].clone().cpu()
