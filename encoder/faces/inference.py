"""A face encoder on stored crops: features, and the statistics of its batch normalisation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data.faces.alignment import ARCFACE_REGION, crop_region
from encoder.faces.network import INPUT_SIZE, FaceEncoder

_BATCH_SIZE = 64


def to_inputs(crops: NDArray[np.uint8]) -> Tensor:
    """[N, S, S, 3] uint8 RGB crops to [N, 3, 112, 112] inputs, cut as `data.faces.analyzer.embed_crops` does."""
    squares = crop_region(crops, ARCFACE_REGION, INPUT_SIZE)
    inputs = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 127.5 - 1
    return inputs.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def embed(encoder: FaceEncoder, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute features [N, D], not of unit length, of crops [N, S, S, 3] uint8 RGB; the encoder is in eval mode."""
    device = next(encoder.parameters()).device
    features = [np.zeros((0, encoder.config.feature_size), np.float32)]
    for start in range(0, len(crops), _BATCH_SIZE):
        features.append(encoder(to_inputs(crops[start : start + _BATCH_SIZE]).to(device)).float().cpu().numpy())
    return np.concatenate(features)


@torch.no_grad()
def measure_statistics(encoder: FaceEncoder, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of batch normalisation to their means over given images, in eval mode afterwards.

    "Precise BN" (Wu and Johnson 2021). Statistics collected in training belong to older weights, augmented images and
    one process's share; these depend on the weights and the images only.

    Args:
        encoder: Encoder, such as the moving average, which has no statistics of its own.
        batches: Inputs [N, 3, 112, 112], in large batches.
    """
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    device = next(encoder.parameters()).device
    encoder.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # None makes torch average over all batches
        norm.train()
    for inputs in batches:
        encoder(inputs.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
