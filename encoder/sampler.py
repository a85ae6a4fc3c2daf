"""The sampler: face features that people with such a voice have, p(face feature | voice)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Shape of a sampler.

    Attributes:
        num_components: Principal components of face features that samples differ in, also the length of the noise; at
            most the length of the feature.
        condition_size: Principal components of regressed features that the network sees.
        width: Width of the network's two hidden layers.
    """

    num_components: int = 128
    condition_size: int = 16
    width: int = 128

    def __post_init__(self) -> None:
        if min(self.num_components, self.condition_size, self.width) < 1:
            raise ConfigError("num_components, condition_size and width of a sampler must be 1 or more")


class FeatureSampler(nn.Module):
    """Samples of p(T's face feature | voice) from a regressed feature and noise.

    A sample is the regressed feature, plus noise with the covariance of what voices leave open, plus a small network's
    correction that depends on both; its length is 1 as that of all features of T. Its weights are means,
    covariances and a network that was trained on them: no feature of a person is stored.

    Attributes:
        noise_size: Z, length of the noise.
    """

    basis: Tensor
    condition_mean: Tensor
    condition_basis: Tensor

    def __init__(self, config: SamplerConfig, feature_size: int) -> None:
        """Build a sampler whose samples are the normalised regressed features until it is fitted or loaded.

        Args:
            config: Shape.
            feature_size: D, length of the face feature.
        """
        super().__init__()
        self.noise_size = min(config.num_components, feature_size)
        condition_size = min(config.condition_size, feature_size)
        self.register_buffer("basis", torch.zeros(feature_size, self.noise_size))
        self.register_buffer("condition_mean", torch.zeros(feature_size))
        self.register_buffer("condition_basis", torch.zeros(feature_size, condition_size))
        self.residual_root = nn.Parameter(torch.zeros(self.noise_size, self.noise_size))
        self.network = nn.Sequential(
            nn.Linear(condition_size + self.noise_size, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
            nn.Linear(config.width, self.noise_size),
        )
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)
        self.requires_grad_(False)  # no step of the encoder's training uses it

    def forward(self, feature: Tensor, noise: Tensor, variety: float = 1.0) -> Tensor:
        """Sample a face feature for each regressed feature.

        Args:
            feature: [N, D] regressed features, as `VoiceEncoding.feature` has them (their lengths matter).
            noise: [N, Z] standard normal.
            variety: Share of the way from the regressed feature to the sample, in [0, 1]: 0 gives the regressed feature
                itself (the most telling face), 1 a sample of all faces that the voice leaves open.

        Returns:
            [N, D].
        """
        condition = (feature - self.condition_mean) @ self.condition_basis
        residual = noise @ self.residual_root.T + self.network(torch.cat([condition, noise], dim=1))
        sample = F.normalize(feature + residual @ self.basis.T, dim=1)
        return feature + variety * (sample - feature)
