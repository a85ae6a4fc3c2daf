"""Generator and discriminators of Bai et al. 2022, "Speech Fusion to Face" (SF2F).

Layers as in its public code (BAI-Yeqi/SF2F_PyTorch). At 128 px that code also draws 64 px from the stage before, with
discriminators of its own; here the largest drawing alone is made and judged. Each larger size has one more stage at the
image's end. Weights start as torch's defaults. The voice network is the backbone `inception1d`.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from gan.blocks import resolutions
from gan.published.output import DiscriminatorOutput

_WIDTH = 512
_HIDDEN_SIZE = 1024


class SF2FGenerator(nn.Module):
    """A linear layer to 4 x 4, then nearest upsampling, 3 x 3 convolution, batch normalisation and gated linear units.

    Without noise: a condition gives one drawing in eval mode.

    Args:
        feature_size: C, length of the condition, 512 in the paper.
        image_size: Side S of the drawing.
    """

    noise_size = 0

    def __init__(self, feature_size: int, image_size: int) -> None:
        super().__init__()
        widths = [_WIDTH >> stage for stage in range(resolutions(image_size))]
        units = 2 * 16 * widths[0]  # the gates halve them
        self.first = nn.Sequential(nn.Linear(feature_size, units, bias=False), nn.BatchNorm1d(units), nn.GLU(dim=1))
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(wide, 2 * narrow, 3, padding=1, bias=False),
                nn.BatchNorm2d(2 * narrow),
                nn.GLU(dim=1),
            ]
        last = widths[-1]
        self.stages = nn.Sequential(
            *layers, nn.Conv2d(last, last, 3, padding=1), nn.LeakyReLU(0.01), nn.Conv2d(last, 3, 1)
        )

    def forward(self, feature: Tensor, noise: Tensor | None = None) -> Tensor:
        """[N, C] conditions to [N, 3, S, S], about in [-1, 1], not clamped; the noise is ignored."""
        drawing: Tensor = self.stages(self.first(feature).unflatten(1, (-1, 4, 4)))
        return drawing


class SF2FDiscriminator(nn.Module):
    """Two networks of the same convolutions: scores of patches; classifier of training people with a score of its own.

    The condition plays no part. Batch normalisation: real images and drawings belong into batches of their own.

    Args:
        feature_size: Length of the condition, unused.
        image_size: Side S of the images.
        num_people: P, number of training people.
    """

    def __init__(self, feature_size: int, image_size: int, num_people: int) -> None:
        super().__init__()
        widths = [64 << stage for stage in range(resolutions(image_size) - 2)]
        self.patches = nn.Sequential(_convolutions(widths), nn.Conv2d(widths[-1], 1, 1))
        self.people = nn.Sequential(
            _convolutions(widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], _HIDDEN_SIZE)
        )
        self.real = nn.Linear(_HIDDEN_SIZE, 1)
        self.identity = nn.Linear(_HIDDEN_SIZE, num_people)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score images.

        Args:
            images: [N, 3, S, S] in [-1, 1].
            condition: Ignored.

        Returns:
            `score` [N, 1, h, w] of patches (6 x 6 at 64 px and at 128), `identity` [N, P], and `identity_score` [N].
        """
        hidden = self.people(images)
        return DiscriminatorOutput(
            score=self.patches(images), identity=self.identity(hidden), identity_score=self.real(hidden).squeeze(1)
        )


def _convolutions(widths: list[int]) -> nn.Sequential:
    """4 x 4 convolutions without padding that halve the size; the last one's output is linear."""
    layers: list[nn.Module] = []
    for narrow, wide in pairwise([3, *widths]):
        layers += [nn.Conv2d(narrow, wide, 4, 2), nn.BatchNorm2d(wide), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers[:-2])
