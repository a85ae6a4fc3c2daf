"""The speaker network of Wen et al. 2019, "Face Reconstruction from Voice using GANs", from random weights."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoder.backbones.base import Backbone
from encoder.spectrograms import WINDOW_SAMPLES, FilterBankSpectrogram

_MIN_VARIANCE = 1e-5


class Conv1D(Backbone):
    """Convolutions over the frames of 64 log-mels, averaged over time.

    Layers and log-mels as in the public code (cmu-mlsp/reconstructing_faces_from_voices): each band of a recording has
    mean 0 and variance 1 over time. With several processes, batch statistics are those of each process's share.
    """

    def __init__(self, width: int = 256, hidden_size: int = 64) -> None:
        """Build the stack.

        Args:
            width: Channels of the first layer, 256 in the paper; each of the next three is half as wide again.
            hidden_size: H, channels of the last layer, 64 in the paper.
        """
        super().__init__()
        self.hidden_size = hidden_size
        window = torch.hamming_window(WINDOW_SAMPLES, periodic=False)
        self.spectrogram = FilterBankSpectrogram(64, 20.0, 7200.0, 1024, window, area_normalised=True)
        layers: list[nn.Module] = []
        widths = growing_widths(width)
        for narrow, wide in pairwise([self.spectrogram.num_mels, *widths]):
            layers += [nn.Conv1d(narrow, wide, 3, 2, 1, bias=False), nn.BatchNorm1d(wide), nn.ReLU(inplace=True)]
        self.convolutions = nn.Sequential(*layers, nn.Conv1d(widths[-1], hidden_size, 3, 2, 1))

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; any length, 3 to 8 s in the paper.

        Returns:
            [N, H] unit vectors.
        """
        energies = self.spectrogram(waveform).transpose(1, 2)  # [N, mels, frames]
        centred = energies - energies.mean(dim=2, keepdim=True)
        standard = centred * (centred.square().mean(dim=2, keepdim=True) + _MIN_VARIANCE).rsqrt()
        return F.normalize(self.convolutions(standard).mean(dim=2), dim=1)


def growing_widths(width: int) -> list[int]:
    """Channels of the four layers: 256, 384, 576 and 864 for a width of 256."""
    return [width * 3**layer // 2**layer for layer in range(4)]
