"""A time-delay network with attentive statistics pooling, small enough to be trained from scratch on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoder.backbones.base import Backbone
from encoder.spectrograms import LogMelSpectrogram

# Kernel size, stride and dilation of each convolution over time: about a second of context at the top.
_LAYERS = ((5, 2, 1), (3, 1, 1), (3, 1, 2), (3, 1, 4))
_MIN_SPREAD = 1e-4


class TDNN(Backbone):
    """Dilated convolutions over the frames of a log-mel spectrogram, pooled over time.

    The x-vector network (Snyder et al. 2018) with the pooling of Okabe et al. (2018): mean and standard deviation over
    time of each channel, weighted by attention. Residual connections around the layers that keep the frame rate. Layer
    normalisation, not batch normalisation, so that processes share no statistics.
    """

    def __init__(self, width: int = 256, hidden_size: int = 256) -> None:
        """Build the stack.

        Args:
            width: Channels of each layer.
            hidden_size: H, units of the last layer.
        """
        super().__init__()
        self.hidden_size = hidden_size
        self.spectrogram = LogMelSpectrogram()
        channels = [self.spectrogram.num_mels] + [width] * len(_LAYERS)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels[i], width, kernel, stride, padding=dilation * (kernel // 2), dilation=dilation)
            for i, (kernel, stride, dilation) in enumerate(_LAYERS)
        )
        self.normalisations = nn.ModuleList(nn.GroupNorm(1, width) for _ in _LAYERS)
        self.attention = nn.Sequential(nn.Conv1d(width, width // 4, 1), nn.Tanh(), nn.Conv1d(width // 4, width, 1))
        self.linear = nn.Linear(2 * width, hidden_size)
        self.output_normalisation = nn.LayerNorm(hidden_size)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz.

        Returns:
            [N, H].
        """
        hidden = self.spectrogram(waveform).transpose(1, 2)  # [N, mels, frames]
        for convolution, normalisation in zip(self.convolutions, self.normalisations, strict=True):
            changed = F.relu(normalisation(convolution(hidden)))
            hidden = hidden + changed if changed.shape == hidden.shape else changed
        weights = self.attention(hidden).softmax(dim=2)
        mean = (weights * hidden).sum(dim=2)
        spread = ((weights * hidden.square()).sum(dim=2) - mean.square()).clamp_min(_MIN_SPREAD).sqrt()
        pooled: Tensor = self.output_normalisation(self.linear(torch.cat([mean, spread], dim=1)))
        return pooled
