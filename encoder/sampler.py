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
        condition_size: Number of directions of face features, those that voices tell most of, in which the shape of the
            distribution is learnt; in the others noise is Gaussian. More of them overfit a few hundred people.
        width: Width of the network's two hidden layers.
        guidance: Distance of the most telling face (variety 0) from the mean over voices, in distances of the regressed
            feature; 1 or more. Regressed features lie nearer to the mean than any true one, so that a generator that
            learnt from true ones draws them alike; above 1 they are moved outwards, as classifier-free guidance moves
            predictions (Ho and Salimans 2022). It changes no training: a model's config.json may be given another.
    """

    condition_size: int = 2
    width: int = 32
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.guidance < float("inf"):
            raise ConfigError(f"sampler: guidance {self.guidance} must be 1 or more")
        if self.condition_size < 1 or self.width < 1:
            raise ConfigError(f"sampler: condition_size {self.condition_size} and width {self.width} must be 1 or more")


class FeatureSampler(nn.Module):
    """Samples of p(T's face feature | voice) from a regressed feature and noise.

    A sample is the regressed feature plus noise with the covariance of what voices leave open, with length 1 as all
    features of T have. In the few directions that voices tell most of, such as sex, a small network changes the noise
    by the voice, because there the distribution is no Gaussian of one width. Means, covariances and a few thousand
    weights are all that is stored: no feature of a person.

    Attributes:
        noise_size: Z, length of the noise.
        guidance: As in `SamplerConfig`.
    """

    residual_root: Tensor
    condition_mean: Tensor
    condition_basis: Tensor

    def __init__(self, config: SamplerConfig, feature_size: int) -> None:
        """Build a sampler that adds no noise until it is fitted (`encoder.sampler_fit`) or loaded.

        Args:
            config: Shape.
            feature_size: D, length of the face feature.
        """
        super().__init__()
        self.noise_size = feature_size
        self.guidance = config.guidance
        self.condition_size = min(config.condition_size, feature_size)
        self.register_buffer("residual_root", torch.zeros(feature_size, feature_size))
        self.register_buffer("condition_mean", torch.zeros(feature_size))
        self.register_buffer("condition_basis", torch.zeros(feature_size, self.condition_size))
        self.network = nn.Sequential(
            nn.Linear(2 * self.condition_size, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
            last := nn.Linear(config.width, self.condition_size),
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.requires_grad_(False)  # no step of the encoder's training uses it

    def forward(self, feature: Tensor, noise: Tensor, variety: float = 1.0) -> Tensor:
        """Sample a face feature for each regressed feature.

        Args:
            feature: [N, D] regressed features, as `VoiceEncoding.feature` has them (their lengths matter).
            noise: [N, Z] standard normal.
            variety: Share of the way from the most telling face to the sample, in [0, 1]: 0 gives `guide(feature)`, 1 a
                sample of all faces that the voice leaves open, which guidance does not change.

        Returns:
            [N, D].
        """
        telling = self.shape_noise(self.condition(feature), noise[:, : self.condition_size])
        residual = torch.cat([telling, noise[:, self.condition_size :]], dim=1) @ self.residual_root
        sample = F.normalize(feature + residual, dim=1)
        start = self.guide(feature)
        return start + variety * (sample - start)

    def guide(self, feature: Tensor) -> Tensor:
        """The most telling faces [N, D]: regressed features, moved outwards from the mean over voices by `guidance`."""
        return feature + (self.guidance - 1) * (feature - self.condition_mean)

    def condition(self, feature: Tensor) -> Tensor:
        """What the network sees of regressed features [N, D]: [N, C], entries of about 1."""
        return (feature - self.condition_mean) @ self.condition_basis

    def shape_noise(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Noise [N, C] in the telling directions, changed by the condition [N, C]."""
        changed: Tensor = noise + self.network(torch.cat([condition, noise], dim=1))
        return changed
