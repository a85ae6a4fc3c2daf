"""What every voice backbone offers."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Waveforms of one length in, one vector a waveform out; differentiable.

    Attributes:
        hidden_size: H, the length of that vector.
    """

    hidden_size: int

    def forward(self, waveform: Tensor) -> Tensor:
        """Describe a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz, T of 0.5 s or more.

        Returns:
            [N, H].
        """
        raise NotImplementedError

    def load_pretrained(self) -> None:
        """Read published weights; nothing to do for a network that starts from scratch.

        Raises:
            ModelError: If the weights are not at hand; the message says how to get them.
        """
