"""Weights and inputs that are alike everywhere, for outputs that were recorded from other people's code.

The recorded outputs are of the layers of the public code that each module names, run with these weights and inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn


def normal(*shape: int) -> Tensor:
    """Standard normal numbers, the same for the same shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def fill_weights(network: nn.Module, shift: float = 0.0) -> nn.Module:
    """Set all weights of a network, in their order, and put it into eval mode.

    Args:
        network: Network, changed in place.
        shift: Mean of the weights relative to their deviation. With 0.3 a spectral norm is found in a few steps.
    """
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        values = torch.randn(parameter.shape, generator=generator)
        matrix = parameter.ndim > 1
        parameter.data = (values + shift) / math.sqrt(parameter[0].numel()) if matrix else 0.5 + 0.1 * values
    return network.eval()


def summary(output: Tensor) -> list[float]:
    """First two and last entry, mean and standard deviation."""
    flat = output.detach().flatten()
    return [float(value) for value in (flat[0], flat[1], flat[-1], flat.mean(), flat.std())]


def recorded(values: Sequence[float]) -> object:
    """A summary that was recorded, to be compared with `==`."""
    return pytest.approx(list(values), rel=2e-3, abs=2e-4)
