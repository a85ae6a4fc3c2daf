"""Kernel principal components of face features, as a fixed non-linear input of the face head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Squared distance of unit features at which the kernel falls to 1/e: unrelated faces lie about 2 apart.
_WIDTH = 0.4


class KernelMap(nn.Module):
    """Kernel principal components (Schoelkopf et al. 1998) with a Gaussian kernel about landmarks.

    What voices and faces share, above all sex, is not a linear function of every face network's feature.
    """

    landmarks: Tensor
    mean: Tensor
    projection: Tensor

    def __init__(self, feature_size: int, num_landmarks: int) -> None:
        """Build a map that gives zeros until it is fitted or loaded.

        Args:
            feature_size: D, length of the face feature.
            num_landmarks: L, number of landmarks.
        """
        super().__init__()
        self.register_buffer("landmarks", torch.zeros(num_landmarks, feature_size))
        self.register_buffer("mean", torch.zeros(num_landmarks))
        self.register_buffer("projection", torch.zeros(num_landmarks, num_landmarks))

    @torch.no_grad()
    def fit(self, landmarks: Tensor) -> None:
        """Set the landmarks; one scale for all components makes the mean square of all entries 1.

        Args:
            landmarks: [L, D] face features, not zero.
        """
        self.landmarks.copy_(F.normalize(landmarks, dim=1))
        kernel = self._kernel(self.landmarks).double()
        mean = kernel.mean(dim=0)
        centred = kernel - mean - mean[:, None] + mean.mean()
        values, vectors = torch.linalg.eigh(centred)
        kept = values > 1e-6 * values.max()
        scale = (len(values) / values[kept].sum()).sqrt() * len(values) ** 0.5
        self.mean.copy_(mean)
        self.projection.copy_(torch.where(kept, vectors * values.clamp_min(1e-12).rsqrt() * scale, 0))

    def forward(self, features: Tensor) -> Tensor:
        """Compute the components.

        Args:
            features: [N, D] face features, not zero.

        Returns:
            [N, L] float32; zero-mean over the landmarks.
        """
        return (self._kernel(F.normalize(features, dim=1)) - self.mean) @ self.projection

    def _kernel(self, units: Tensor) -> Tensor:
        return torch.exp((2 * units @ self.landmarks.T - 2) / _WIDTH)
