"""Several backbones side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoder.backbones.base import Backbone


class Concat(Backbone):
    """Outputs of several backbones, each brought to length 1, as one vector: no part outweighs another by its scale."""

    def __init__(self, parts: Sequence[Backbone]) -> None:
        """Put backbones side by side.

        Args:
            parts: Backbones; their hidden sizes add up.
        """
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.hidden_size = sum(part.hidden_size for part in parts)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz.

        Returns:
            [N, H], of length sqrt(number of parts).
        """
        return torch.cat([F.normalize(part(waveform), dim=1) for part in self.parts], dim=1)

    def load_pretrained(self) -> None:
        """Read the published weights of each part.

        Raises:
            ModelError: If they are not at hand.
        """
        for part in self.parts:
            part.load_pretrained()  # type: ignore[operator]
