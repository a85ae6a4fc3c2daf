"""Base class of voice backbones."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Network from waveforms of one length to one vector each; differentiable but for ONNX files.

    Attributes:
        hidden_size: H, length of that vector.
    """

    hidden_size: int

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

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
