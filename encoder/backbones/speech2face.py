"""The convolutional voice encoder of Speech2Face (Oh et al. 2019, table 1), trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError
from data.media.waveform import SAMPLE_RATE
from encoder.backbones.base import Backbone
from encoder.spectrograms import PowerLawSpectrogram

# Output channels (in units of the base width of 64) and stride; "pool" halves the number of frames and keeps the
# frequencies.
_LAYERS: tuple[tuple[int, int] | str, ...] = (
    *((1, 1), (1, 1), (2, 1), "pool", (2, 1), "pool", (2, 1), "pool", (4, 1), "pool"),
    *((8, 1), (8, 2), (8, 2)),
)
_KERNEL = 4
_MIN_SAMPLES = 3 * SAMPLE_RATE
_MIN_FRAMES = 259  # needed by the layers


class Speech2Face(Backbone):
    """Convolutions with ReLU and batch normalisation, pooled over time, then a fully connected layer.

    With several processes, batch statistics are those of each process's share.
    """

    def __init__(
        self,
        width: int = 64,
        hidden_size: int = 4096,
        window: float = 0.025,
        stride: float = 0.010,
        fft_length: int = 512,
        amp_norm: float = 0.3,
    ) -> None:
        """Build the stack.

        Args:
            width: Channels of the first layer, 64 in the paper; the other layers scale with it.
            hidden_size: Units of the fully connected layer, 4096 in the paper.
            window: Length of a spectrogram frame in seconds.
            stride: Seconds from one frame to the next.
            fft_length: Samples of the FFT.
            amp_norm: Exponent of the compression.

        Raises:
            ConfigError: If no such spectrogram is possible, or it has too few frequencies for the layers.
        """
        super().__init__()
        self.hidden_size = hidden_size
        self.spectrogram = PowerLawSpectrogram(window, stride, fft_length, amp_norm)
        enough = (_MIN_FRAMES - 1) * self.spectrogram.hop_samples + self.spectrogram.window_samples
        self._min_samples = max(_MIN_SAMPLES, enough)
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
        if num_frequencies < 1:
            raise ConfigError(f"fft_length {fft_length}: too few frequencies for the layers of speech2face; use more")
        # As in the paper the last convolution is averaged over time before its ReLU and normalisation.
        self.convolutions = nn.Sequential(*layers[:-2])
        self.normalisation = nn.BatchNorm1d(channels * num_frequencies)
        self.linear = nn.Linear(channels * num_frequencies, hidden_size)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; less than 3 s (or 259 frames) is repeated.

        Returns:
            [N, H], >= 0.
        """
        if waveform.shape[1] < self._min_samples:
            repeats = 1 + (self._min_samples - 1) // waveform.shape[1]  # ONNX rounds negative quotients up
            waveform = waveform.repeat(1, repeats)[:, : self._min_samples]
        maps = self.convolutions(self.spectrogram(waveform))  # [N, C, time, frequencies]
        pooled = torch.relu(maps.mean(dim=2)).flatten(1)
        return F.relu(self.linear(self.normalisation(pooled)))
