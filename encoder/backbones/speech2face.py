"""The convolutional voice encoder of Speech2Face (Oh et al. 2019, table 1), trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.clip import SAMPLE_RATE
from encoder.backbones.base import Backbone
from encoder.spectrograms import PowerLawSpectrogram

# Output channels (in units of the base width of 64), stride; "pool" halves time and leaves frequency, which
# carries the voice, alone.
_LAYERS: tuple[tuple[int, int] | str, ...] = (
    *((1, 1), (1, 1), (2, 1), "pool", (2, 1), "pool", (2, 1), "pool", (4, 1), "pool"),
    *((8, 1), (8, 2), (8, 2)),
)
_KERNEL = 4
_MIN_SAMPLES = 3 * SAMPLE_RATE  # the stack needs 259 frames


class Speech2Face(Backbone):
    """Convolutions with ReLU and batch normalisation, pooled over time, then a fully connected layer.

    Under several processes batch statistics are those of each process's share.
    """

    def __init__(self, width: int = 64, hidden_size: int = 4096) -> None:
        """Build the stack.

        Args:
            width: Channels of the first layer; 64 in the paper. The others scale with it.
            hidden_size: Units of the fully connected layer; 4096 in the paper.
        """
        super().__init__()
        self.hidden_size = hidden_size
        self.spectrogram = PowerLawSpectrogram()
        layers: list[nn.Module] = []
        channels, num_frequencies = 2, self.spectrogram.num_frequencies
        for layer in _LAYERS:
            if isinstance(layer, str):
                layers.append(nn.MaxPool2d((2, 1)))
                continue
            factor, stride = layer
            layers += [
                nn.Conv2d(channels, factor * width, _KERNEL, stride),
                nn.ReLU(),
                nn.BatchNorm2d(factor * width),
            ]
            channels, num_frequencies = factor * width, (num_frequencies - _KERNEL) // stride + 1
        # As in the paper the last convolution is averaged over time before its ReLU and normalisation.
        self.convolutions = nn.Sequential(*layers[:-2])
        self.normalisation = nn.BatchNorm1d(channels * num_frequencies)
        self.linear = nn.Linear(channels * num_frequencies, hidden_size)

    def forward(self, waveform: Tensor) -> Tensor:
        """Describe a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; less than 3 s is repeated.

        Returns:
            [N, H], >= 0.
        """
        if waveform.shape[1] < _MIN_SAMPLES:
            repeats = -(-_MIN_SAMPLES // waveform.shape[1])
            waveform = waveform.repeat(1, repeats)[:, :_MIN_SAMPLES]
        maps = self.convolutions(self.spectrogram(waveform))  # [N, C, time, frequencies]
        pooled = torch.relu(maps.mean(dim=2)).flatten(1)
        return F.relu(self.linear(self.normalisation(pooled)))
