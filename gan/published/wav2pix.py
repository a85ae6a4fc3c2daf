"""Generator, discriminator and speaker classifier of Duarte et al. 2019, "Wav2Pix".

Layers as in its public code (imatge-upc/wav2pix), which draws 64 and 128 px; each doubling of the size doubles the
width at 4 x 4. Weights start as there: standard deviation 0.02 in plain layers, torch's default in those with spectral
normalisation, whose scale has no influence. The voice network is the backbone `segan`.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan.blocks import resolutions
from gan.published.output import DiscriminatorOutput

_WIDTH = 64
_HEAD_WIDTH = 200


class Wav2PixGenerator(nn.Module):
    """Transposed convolutions with spectral normalisation, dropout and ReLU, and tanh at the end.

    Without noise: a condition gives one drawing in eval mode. The published code draws its results in training mode
    too, where dropout makes them differ.

    Args:
        feature_size: C, length of the condition, 128 in the paper.
        image_size: Side S of the drawing.
    """

    noise_size = 0

    def __init__(self, feature_size: int, image_size: int) -> None:
        super().__init__()
        widths = [_WIDTH << stage for stage in reversed(range(resolutions(image_size) - 1))]
        layers: list[nn.Module] = [_normalised(nn.ConvTranspose2d(feature_size, widths[0], 4, bias=False))]
        for wide, narrow in pairwise([*widths, 3]):
            layers += [nn.Dropout(), nn.ReLU(inplace=True)]
            layers.append(_normalised(nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)))
        self.stages = nn.Sequential(*layers, nn.Tanh())

    def forward(self, feature: Tensor, noise: Tensor | None = None) -> Tensor:
        """[N, C] conditions to [N, 3, S, S] in [-1, 1]; the noise is ignored."""
        drawing: Tensor = self.stages(feature[:, :, None, None])
        return drawing


class Wav2PixDiscriminator(nn.Module):
    """Convolutions with spectral normalisation down to 4 x 4, where the condition joins as further channels.

    Args:
        feature_size: C, length of the condition.
        image_size: Side S of the images.
        num_people: Number of training people, unused: the classifier, `SpeakerHead`, hears voices.
    """

    def __init__(self, feature_size: int, image_size: int, num_people: int) -> None:
        super().__init__()
        widths = [_WIDTH << stage for stage in range(resolutions(image_size) - 1)]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([3, *widths]):
            layers += [_normalised(nn.Conv2d(narrow, wide, 4, 2, 1, bias=False)), nn.LeakyReLU(0.2, inplace=True)]
        self.stages = nn.Sequential(*layers)
        self.score = nn.Conv2d(widths[-1] + feature_size, 1, 4, bias=False)
        _initialise(self.score)

    def forward(self, images: Tensor, condition: Tensor | None) -> DiscriminatorOutput:
        """Score images with their conditions.

        Args:
            images: [N, 3, S, S] in [-1, 1].
            condition: [N, C], needed.

        Returns:
            `score` [N], and the last feature map, [N, width, 4, 4], in `maps`.
        """
        assert condition is not None, "this discriminator judges pairs"
        last_map: Tensor = self.stages(images)
        tiled = condition[:, :, None, None].expand(-1, -1, *last_map.shape[2:])
        score = self.score(torch.cat([last_map, tiled.to(last_map.dtype)], dim=1))
        return DiscriminatorOutput(score=score.flatten(), maps=(last_map,))


class SpeakerHead(nn.Module):
    """The classifier of training people on the condition, trained with generator and voice network.

    Args:
        feature_size: C, length of the condition.
        num_people: P, number of training people.
    """

    def __init__(self, feature_size: int, num_people: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(feature_size, _HEAD_WIDTH),
            nn.BatchNorm1d(_HEAD_WIDTH),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(_HEAD_WIDTH, num_people),
            nn.BatchNorm1d(num_people),
        )
        self.layers.apply(_initialise)

    def forward(self, feature: Tensor) -> Tensor:
        """[N, C] conditions to [N, P] logits."""
        logits: Tensor = self.layers(feature)
        return logits


def _normalised(layer: nn.Module) -> nn.Module:
    # Rows are the first dimension also of transposed convolutions, where torch's default is the second.
    return spectral_norm(layer, dim=0)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm1d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)
