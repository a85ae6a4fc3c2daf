"""The voice encoder of Bai et al. 2022, "Speech Fusion to Face" (SF2F), from random weights, and its fuser."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError
from data.media.waveform import SAMPLE_RATE
from encoder.backbones.base import Backbone
from encoder.backbones.conv1d import growing_widths
from encoder.spectrograms import HOP_SAMPLES, WINDOW_SAMPLES, FilterBankSpectrogram

_KERNELS = (2, 3, 5, 7)
# Of the energies of VoxCeleb, in the public code.
_MEAN, _DEVIATION = 10.9915, 3.1661


class Inception1D(Backbone):
    """Blocks of four convolutions side by side over the frames of 40 log-mels, averaged over time.

    Layers and log-mels as in the public code (BAI-Yeqi/SF2F_PyTorch). With a fuser, the second stage of the method: a
    recording is cut into segments, and attention fuses their vectors. There the rest of the network is trained
    before and then frozen. With several processes, batch statistics are those of each process's share.

    Attributes:
        fuser: The fuser, None without one.
    """

    def __init__(
        self, width: int = 256, hidden_size: int = 512, fuser: bool = False, segment_seconds: float = 1.25
    ) -> None:
        """Build the stack.

        Args:
            width: Channels of the first block, a multiple of 4, 256 in the paper; each of the next three is half as
                wide again.
            hidden_size: H, 512 in the paper.
            fuser: Whether there is a fuser.
            segment_seconds: Length of its segments.

        Raises:
            ConfigError: If the width or the length is out of range.
        """
        super().__init__()
        if width < 4 or width % 4 or segment_seconds < 0.5:
            raise ConfigError(
                f"inception1d of width {width} and segment_seconds {segment_seconds}: the width must be a multiple of "
                f"4, segments 0.5 s or more"
            )
        self.hidden_size = hidden_size
        self.spectrogram = FilterBankSpectrogram(
            40, 0.0, SAMPLE_RATE / 2, 512, torch.ones(WINDOW_SAMPLES), area_normalised=False
        )
        branches = [wide // len(_KERNELS) for wide in growing_widths(width)]
        widths = [len(_KERNELS) * branch for branch in branches]
        self.convolutions = nn.Sequential(
            *(InceptionBlock(narrow, wide) for narrow, wide in pairwise([self.spectrogram.num_mels, *widths])),
            nn.Conv1d(widths[-1], hidden_size, 3, 2, 1),
        )
        self.fuser = AttentionFuser(hidden_size) if fuser else None
        self._segment_frames = round(segment_seconds * SAMPLE_RATE / HOP_SAMPLES)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; any length, 1 to 1.5 s in the paper without a fuser. With one
                it is cut into as many segments as fit, and the rest at the end is left out; a shorter recording is one
                segment.

        Returns:
            [N, H] unit vectors.
        """
        energies = ((self.spectrogram(waveform) - _MEAN) / _DEVIATION).transpose(1, 2)  # [N, mels, frames]
        if self.fuser is None:
            return self._embed(energies)
        length = min(self._segment_frames, energies.shape[2])
        count = energies.shape[2] // length
        segments = (
            energies[:, :, : count * length].unflatten(2, (count, length)).transpose(1, 2)
        )  # [N, segments, mels, frames]
        vectors = self._embed(segments.flatten(0, 1)).unflatten(0, (-1, segments.shape[1]))
        return F.normalize(self.fuser(vectors), dim=1)

    def _embed(self, energies: Tensor) -> Tensor:
        """[N, mels, frames] to unit vectors [N, H]."""
        return F.normalize(self.convolutions(energies).mean(dim=2), dim=1)


class InceptionBlock(nn.Module):
    """Convolutions of kernels 2, 3, 5 and 7 side by side, each a quarter of the channels; they halve the frames."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        branch = out_channels // len(_KERNELS)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(in_channels, branch, kernel, 2, max(1, kernel // 2), bias=False),
                nn.BatchNorm1d(branch),
                nn.ReLU(inplace=True),
            )
            for kernel in _KERNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, frames] to [N, C', (frames + 1) // 2]."""
        maps = [branch(x) for branch in self.branches]
        # An even kernel gives one frame more of an even number.
        return torch.cat([part[:, :, : maps[1].shape[2]] for part in maps], dim=1)


class AttentionFuser(nn.Module):
    """Attention of each segment on all segments of its recording, averaged over segments.

    The output layer reads an attended mean and the segment's query. Here it starts as the identity of the mean, so that
    an untrained fuser gives of one segment just its vector, and of more a mean of theirs; in the public code it
    starts at random.

    Args:
        size: H, length of a vector.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(size, size, bias=False)
        self.output = nn.Linear(2 * size, size, bias=False)
        with torch.no_grad():
            self.output.weight.copy_(torch.eye(size, 2 * size))

    def forward(self, vectors: Tensor) -> Tensor:
        """[N, segments, H] to [N, H]."""
        queries = self.query(vectors)
        weights = (queries @ vectors.transpose(1, 2)).softmax(dim=2)
        fused: Tensor = self.output(torch.cat([weights @ vectors, queries], dim=2)).mean(dim=1)
        return fused
