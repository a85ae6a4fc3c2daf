"""Softmax over training identities with an additive angular margin (Deng et al. 2019, ArcFace, equation 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def angular_margin_logits(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Logits s cos(theta_y + m) for the right identity and s cos(theta_j) for the others.

    Beyond theta_y = pi - m, where cos(theta_y + m) would rise again, cos(theta_y) + cos(m) - 1 takes its place: it
    keeps falling and is continuous there (the published code's cos(theta_y) - m sin(m) is not).

    Args:
        cosines: [N, C] cosines between features and the identities' directions.
        labels: [N] int64, true identity.
        margin: m in radians, in [0, pi / 2).
        scale: s, the inverse temperature.

    Returns:
        [N, C] float32.
    """
    cosines = cosines.float()
    right = cosines.gather(1, labels[:, None])
    # The square root's slope is infinite at 0.
    sine = (1 - right.square()).clamp_min(1e-7).sqrt()
    moved = right * math.cos(margin) - sine * math.sin(margin)
    beyond = right + math.cos(margin) - 1
    moved = torch.where(right > -math.cos(margin), moved, beyond)
    return scale * cosines.scatter(1, labels[:, None], moved)


class AngularMargin(nn.Module):
    """Directions of the training identities, trained with the encoder and discarded after the training."""

    def __init__(self, feature_size: int, num_identities: int) -> None:
        """Start from random directions.

        Args:
            feature_size: D, length of the features.
            num_identities: C, number of training identities.
        """
        super().__init__()
        self.directions = nn.Parameter(torch.randn(num_identities, feature_size) / feature_size**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """[N, D] features of any length to [N, C] cosines in float32."""
        return F.normalize(features.float(), dim=1) @ F.normalize(self.directions, dim=1).T
