"""Generator and discriminator of Wen et al. 2019, "Face Reconstruction from Voice using GANs".

Layers as in its public code (cmu-mlsp/reconstructing_faces_from_voices), which draws 64 px; each larger size has one
more stage, of half the width, at the image's end. Weights start as torch's defaults. The voice network is the backbone
`conv1d`.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from gan.blocks import resolutions
from gan.published.output import DiscriminatorOutput

_TRUNK_SIZE = 64


class WenGenerator(nn.Module):
    """Transposed convolutions with ReLU and without normalisation; the output is linear.

    Without noise of its own: the paper's training moves the condition a little on the unit sphere (`condition_noise` of
    the training), its results are drawn without.

    Args:
        feature_size: C, length of the condition, 64 in the paper.
        image_size: Side S of the drawing.
    """

    noise_size = 0

    def __init__(self, feature_size: int, image_size: int) -> None:
        super().__init__()
        widths = [1024 >> stage for stage in range(resolutions(image_size))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(feature_size, widths[0], 4), nn.ReLU(inplace=True)]
        for wide, narrow in pairwise(widths):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1), nn.ReLU(inplace=True)]
        self.stages = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 1))

    def forward(self, feature: Tensor, noise: Tensor | None = None) -> Tensor:
        """[N, C] conditions, of which the direction counts, to [N, 3, S, S], about in [-1, 1]; the noise is ignored."""
        drawing: Tensor = self.stages(F.normalize(feature, dim=1)[:, :, None, None])
        return drawing


class WenDiscriminator(nn.Module):
    """One trunk with two linear heads: real or drawn, and which training person. The condition plays no part.

    Args:
        feature_size: Length of the condition, unused.
        image_size: Side S of the images.
        num_people: P, number of training people.
    """

    def __init__(self, feature_size: int, image_size: int, num_people: int) -> None:
        super().__init__()
        widths = [512 >> stage for stage in reversed(range(resolutions(image_size)))]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 1), nn.LeakyReLU(0.2, inplace=True)]
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        self.trunk = nn.Sequential(*layers, nn.Conv2d(widths[-1], _TRUNK_SIZE, 4), nn.Flatten())
        self.real = nn.Linear(_TRUNK_SIZE, 1, bias=False)
        self.identity = nn.Linear(_TRUNK_SIZE, num_people, bias=False)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Score [N, 3, S, S] images in [-1, 1]: `score` [N] and `identity` [N, P]."""
        hidden: Tensor = self.trunk(images)
        return DiscriminatorOutput(score=self.real(hidden).squeeze(1), identity=self.identity(hidden))
