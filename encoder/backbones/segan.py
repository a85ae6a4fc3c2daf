"""The voice network of Duarte et al. 2019, "Wav2Pix": the encoder of SEGAN (Pascual et al. 2017) on raw samples."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from encoder.backbones.base import Backbone

_KERNEL = 15
_STRIDE = 4
_GROWTH = (1, 2, 8, 16, 32, 64)
_TIMES = 4
_PRE_EMPHASIS = 0.95
_MIN_PEAK = 1e-5


class SEGAN(Backbone):
    """Strided convolutions with batch normalisation over the samples of a waveform, then three linear layers.

    Layers and initial weights as in the public code (imatge-upc/wav2pix), which takes recordings of one length. Here
    the last feature map is averaged in four equal parts of the recording. For 1 s, the paper's length, it has just four
    columns, and the network is the published one; the rule lets other lengths in. With several processes, batch
    statistics are those of each process's share.
    """

    def __init__(self, width: int = 16, hidden_size: int = 128) -> None:
        """Build the stack.

        Args:
            width: Channels of the first layer, 16 in the paper; the others scale with it, up to 1024.
            hidden_size: H, 128 in the paper.
        """
        super().__init__()
        self.hidden_size = hidden_size
        widths = [width * growth for growth in _GROWTH]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([1, *widths]):
            layers += [
                nn.ConstantPad1d((_KERNEL // 2 - 1, _KERNEL // 2), 0.0),
                nn.Conv1d(narrow, wide, _KERNEL, _STRIDE),
                nn.BatchNorm1d(wide),
                nn.LeakyReLU(0.3),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Sequential(
            nn.Linear(_TIMES * widths[-1], 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, hidden_size),
        )
        self.apply(_initialise)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; any length, 1 s in the paper. Brought to a peak of 1.

        Returns:
            [N, H].
        """
        scaled = waveform / waveform.abs().amax(dim=1, keepdim=True).clamp_min(_MIN_PEAK)
        emphasised = torch.cat([scaled[:, :1], scaled[:, 1:] - _PRE_EMPHASIS * scaled[:, :-1]], dim=1)
        maps = self.convolutions(emphasised[:, None])
        length = maps.shape[2]
        # F.adaptive_avg_pool1d, which torch's exporter can't write for a batch of any size.
        bounds = [(part * length // _TIMES, ((part + 1) * length + _TIMES - 1) // _TIMES) for part in range(_TIMES)]
        parts = torch.stack([maps[:, :, start:end].mean(dim=2) for start, end in bounds], dim=2)
        hidden: Tensor = self.linear(parts.flatten(1))
        return hidden


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv1d | nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm1d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)
