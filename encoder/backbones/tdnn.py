"""A time-delay network with attentive statistics pooling, small enough to be trained from scratch on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError
from encoder.backbones.base import Backbone
from encoder.spectrograms import LogMelSpectrogram

# Kernel size, stride and dilation of each convolution over time: about a second of context at the top.
_LAYERS = ((5, 2, 1), (3, 1, 1), (3, 1, 2), (3, 1, 4))
_MIN_SPREAD = 1e-4


class TDNN(Backbone):
    """Dilated convolutions over the frames of a log-mel spectrogram, pooled over time.

    The x-vector network (Snyder et al. 2018) with the pooling of Okabe et al. (2018): mean and standard deviation over
    time of each channel, weighted by attention. Residual connections around the layers that keep the frame rate. Layer
    normalisation, not batch normalisation, so that processes share no statistics. Masks over parts of the spectrogram
    (SpecAugment, Park et al. 2019) and dropout keep it from knowing a few hundred voices by heart.
    """

    def __init__(
        self,
        width: int = 256,
        hidden_size: int = 256,
        num_masks: int = 0,
        mask_share: float = 0.3,
        dropout: float = 0.0,
    ) -> None:
        """Build the stack.

        Args:
            width: Channels of each layer.
            hidden_size: H, units of the last layer.
            num_masks: Number of masks over time, and as many over the mel bands, of a recording in training.
            mask_share: Largest share of the frames or bands that one mask covers, in [0, 1].
            dropout: Share of the pooled numbers that is dropped in training, in [0, 1).

        Raises:
            ConfigError: If a number is out of its range.
        """
        super().__init__()
        if num_masks < 0 or not 0 <= mask_share <= 1 or not 0 <= dropout < 1:
            raise ConfigError(
                f"backbone_options of tdnn: num_masks {num_masks} must not be negative, mask_share {mask_share} must "
                f"be in [0, 1] and dropout {dropout} in [0, 1)"
            )
        self.hidden_size = hidden_size
        self._masks = range(num_masks)  # refuses other than whole numbers at once
        self._mask_share = mask_share
        self.spectrogram = LogMelSpectrogram()
        channels = [self.spectrogram.num_mels] + [width] * len(_LAYERS)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels[i], width, kernel, stride, padding=dilation * (kernel // 2), dilation=dilation)
            for i, (kernel, stride, dilation) in enumerate(_LAYERS)
        )
        self.normalisations = nn.ModuleList(nn.GroupNorm(1, width) for _ in _LAYERS)
        self.attention = nn.Sequential(nn.Conv1d(width, width // 4, 1), nn.Tanh(), nn.Conv1d(width // 4, width, 1))
        self.dropout = nn.Dropout(dropout)
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
        if self.training:
            for _ in self._masks:
                hidden = mask_random_range(hidden, 1, self._mask_share)
                hidden = mask_random_range(hidden, 2, self._mask_share)
        for convolution, normalisation in zip(self.convolutions, self.normalisations, strict=True):
            changed = F.relu(normalisation(convolution(hidden)))
            hidden = hidden + changed if changed.shape == hidden.shape else changed
        weights = self.attention(hidden).softmax(dim=2)
        mean = (weights * hidden).sum(dim=2)
        spread = ((weights * hidden.square()).sum(dim=2) - mean.square()).clamp_min(_MIN_SPREAD).sqrt()
        pooled: Tensor = self.output_normalisation(self.linear(self.dropout(torch.cat([mean, spread], dim=1))))
        return pooled


def mask_random_range(spectrogram: Tensor, dim: int, largest_share: float) -> Tensor:
    """Set a random range of bands or frames to zero, the mean of a log-mel spectrogram; another one in each row.

    Args:
        spectrogram: [N, mels, frames].
        dim: 1 masks bands, 2 frames.
        largest_share: Largest share that is masked, in [0, 1]; the share is uniform from 0 to it, then the position.
    """
    size = spectrogram.shape[dim]
    length, start = torch.rand(2, len(spectrogram), 1, device=spectrogram.device)
    length = length * (largest_share * size)
    start = start * (size - length)
    place = torch.arange(size, device=spectrogram.device) + 0.5
    is_masked = (place >= start) & (place < start + length)
    return spectrogram.masked_fill(is_masked.unsqueeze(3 - dim), 0)
