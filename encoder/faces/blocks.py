"""Building blocks of the face encoders: convolutions with batch normalisation, which folds into them for inference."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def conv_norm(num_in: int, num_out: int, size: int, stride: int = 1, groups: int = 1, padded: bool = True) -> nn.Module:
    """A convolution without bias and its batch normalisation."""
    padding = (size - 1) // 2 if padded else 0
    convolution = nn.Conv2d(num_in, num_out, size, stride, padding, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(num_out))


class ResidualBlock(nn.Module):
    """Two dense 3 x 3 convolutions and a shortcut (He et al. 2016, the basic block)."""

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        """Build the block; `stride` 2 halves the map."""
        super().__init__()
        self.first = conv_norm(num_in, num_out, 3, stride)
        self.second = conv_norm(num_out, num_out, 3)
        same = num_in == num_out and stride == 1
        self.shortcut = nn.Identity() if same else conv_norm(num_in, num_out, stride, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, num_out, H / stride, W / stride]."""
        return F.relu(self.shortcut(maps) + self.second(F.relu(self.first(maps))))


class SeparableBlock(nn.Module):
    """A wide depthwise convolution, then an inverted bottleneck (Liu et al. 2022, with batch normalisation)."""

    _SIZE = 5
    _EXPANSION = 3

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        """Build the block; `stride` 2 halves the map."""
        super().__init__()
        self.has_shortcut = num_in == num_out and stride == 1
        self.depthwise = conv_norm(num_in, num_in, self._SIZE, stride, groups=num_in)
        self.expand = conv_norm(num_in, self._EXPANSION * num_in, 1)
        self.project = conv_norm(self._EXPANSION * num_in, num_out, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, num_in, H, W] to [N, num_out, H / stride, W / stride]."""
        change: Tensor = self.project(F.relu(self.expand(self.depthwise(maps))))
        return maps + change if self.has_shortcut else change
