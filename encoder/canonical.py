"""Closed-form weights of the heads on a frozen backbone: canonical correlation analysis and ridge regression.

On a few hundred pairs a regularised canonical correlation analysis (Hotelling 1936; ridge: Vinod 1976) gives better
heads than gradient descent from random weights; see docs/results/real.md. It takes about a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data.errors import ConfigError
from encoder.voice_encoder import VoiceEncoder


@dataclass(frozen=True, kw_only=True)
class CanonicalConfig:
    """Strengths of the ridges, each in units of the mean variance of the vectors that it regularises.

    Attributes:
        enabled: Whether heads start from the closed forms, and not from random weights.
        voice_ridge: Ridge on the backbone's outputs, for the joint space.
        face_ridge: Ridge on the face features, for the joint space.
        feature_ridge: Ridge on the backbone's outputs, for the regressed feature.
    """

    enabled: bool = True
    voice_ridge: float = 50.0
    face_ridge: float = 2.0
    feature_ridge: float = 20.0

    def __post_init__(self) -> None:
        if min(self.voice_ridge, self.face_ridge, self.feature_ridge) <= 0:
            raise ConfigError("the ridges of canonical must be greater than 0")


@torch.no_grad()
def start_heads(
    encoder: VoiceEncoder, voices: Tensor, faces: Tensor, all_faces: Tensor, config: CanonicalConfig
) -> None:
    """Set the heads' weights to the closed-form solutions; the input statistics must be set before.

    Args:
        encoder: Encoder, changed in place.
        voices: [N, H] outputs of the frozen backbone, one row for each person: the mean over the person's recordings,
            so that people count equally.
        faces: [N, D] mean face features of the same people.
        all_faces: [M, D] face features of all people, also of those without a voice, for the covariance of faces.
        config: Strengths of the ridges.
    """
    device, dtype = encoder.face_mean.device, encoder.face_mean.dtype
    x = encoder.standard_voice(voices.to(device)).double()
    y = encoder.standard_face(faces.to(device)).double()
    all_y = encoder.standard_face(all_faces.to(device)).double()
    x_mean = x.mean(dim=0)
    x = x - x_mean
    y_centred = y - y.mean(dim=0)
    rank = encoder.config.embedding_size
    voice_directions, face_directions = canonical_directions(
        x, y_centred, covariance(all_y), rank, config.voice_ridge, config.face_ridge
    )
    for head, directions, inputs, mean in (
        (encoder.voice_head, voice_directions, x, x_mean),
        (encoder.face_head, face_directions, y_centred, torch.zeros_like(y[0])),
    ):
        # Only directions are used; lengths are scaled to 1 on average, near those of random weights.
        weight = directions / (inputs @ directions).square().sum(dim=1).mean().sqrt()
        head.weight.copy_(weight.T.to(dtype))
        head.bias.copy_(-(mean @ weight).to(dtype))
    regression = ridge_regression(
        x, faces.to(device).double() - faces.double().mean(dim=0).to(device), config.feature_ridge
    )
    encoder.feature_head.weight.copy_(regression.T.to(dtype))
    offset = faces.double().mean(dim=0).to(device) - encoder.face_mean.double()
    encoder.feature_head.bias.copy_((offset - x_mean @ regression).to(dtype))


def canonical_directions(
    x: Tensor, y: Tensor, y_covariance: Tensor, rank: int, x_ridge: float, y_ridge: float
) -> tuple[Tensor, Tensor]:
    """Pairs of directions along which x and y are correlated, the strongest first.

    They are the singular vectors of the cross covariance, whitened by (C + ridge mean-variance I)^-1/2 on both sides.
    Each direction is weighted by the root of its singular value, so that the inner product of two projections is the
    best bilinear score of that rank.

    Args:
        x: [N, H] centred.
        y: [N, D] centred, rows of the same people.
        y_covariance: [D, D] covariance of y, possibly from more rows.
        rank: Number of directions; missing ones are zero.
        x_ridge: Ridge on x in units of its mean variance.
        y_ridge: Ridge on y, likewise.

    Returns:
        [H, rank] and [D, rank].
    """
    x_whitening = inverse_root(covariance(x), x_ridge)
    y_whitening = inverse_root(y_covariance, y_ridge)
    left, strengths, right = torch.linalg.svd(x_whitening @ (x.T @ y / len(x)) @ y_whitening, full_matrices=False)
    weights = strengths[:rank].sqrt()
    directions = (x_whitening @ left[:, :rank] * weights, y_whitening @ right[:rank].T * weights)
    missing = rank - len(weights)
    if missing > 0:
        directions = (
            torch.nn.functional.pad(directions[0], (0, missing)),
            torch.nn.functional.pad(directions[1], (0, missing)),
        )
    return directions


def covariance(rows: Tensor) -> Tensor:
    """[D, D] covariance of [N, D] rows, divided by N."""
    centred = rows - rows.mean(dim=0)
    return centred.T @ centred / len(rows)


def inverse_root(matrix: Tensor, ridge: float) -> Tensor:
    """(matrix + ridge tr(matrix) / D I)^-1/2 of a positive semidefinite [D, D]."""
    values, vectors = torch.linalg.eigh(matrix)
    raised = values.clamp_min(0) + ridge * matrix.diagonal().mean().clamp_min(1e-12)
    return vectors * raised.rsqrt() @ vectors.T


def ridge_regression(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """[H, D] weights W minimising |x W - y|^2 / N + ridge tr(C_x) / H |W|^2, for centred [N, H] and [N, D]."""
    own = covariance(x)
    damping = ridge * own.diagonal().mean().clamp_min(1e-12) * torch.eye(len(own), dtype=x.dtype, device=x.device)
    return torch.linalg.solve(own + damping, x.T @ y / len(x))
