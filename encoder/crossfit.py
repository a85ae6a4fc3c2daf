"""Predictions of training people's face features by regressions that did not see them."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from data.store.dataset import ClipDataset
from encoder.canonical import CanonicalConfig, start_heads
from encoder.pairs import Pairs, compute_hidden
from encoder.voice_encoder import VoiceEncoder
from training.run import Run


def predict_features(
    encoder: VoiceEncoder, dataset: ClipDataset, num_folds: int, feature_ridge: float, run: Run
) -> dict[int, Tensor]:
    """Predict the face feature of each clip's voice by cross-fitting; the backbone computes each clip once.

    Args:
        encoder: Trained encoder.
        dataset: Split that it was trained on.
        num_folds: As `cross_fit` takes it.
        feature_ridge: Ridge of the fits.
        run: Run whose processes share the work.

    Returns:
        Clip index -> [D] float32 on the CPU, the same in every process.
    """
    hidden = compute_hidden(encoder.to(run.device).eval(), dataset, 0, 0.0, run)
    features = cross_fit(encoder, dataset, hidden, num_folds, feature_ridge)
    return {int(clip): features[clip] for clip in np.flatnonzero(dataset.has_voice)}


def cross_fit(
    encoder: VoiceEncoder, dataset: ClipDataset, hidden: Tensor, num_folds: int, feature_ridge: float
) -> Tensor:
    """Predict the face feature of each clip from the backbone's outputs, by a regression that did not see the person.

    The encoder predicts faces of its training people better than those of others: what is learnt from such predictions
    relies on details that other people's voices lack. So the regression is fitted again for each fold of people on
    the other folds; the backbone stays.

    Args:
        encoder: Encoder with the input statistics of the heads; it stays as it is.
        dataset: Split that it was trained on.
        hidden: [num_clips, num_crops, H] from `compute_hidden`; the first crop, the whole recording, is used.
        num_folds: Number of folds; 0 takes the encoder's own predictions.
        feature_ridge: Ridge of the fits, as in the encoder's `canonical`.

    Returns:
        [num_clips, D] float32 on the CPU; rows of clips without a voice have no meaning.
    """
    pairs = Pairs(dataset, encoder.config.window_samples, hidden)
    features = regress(encoder, hidden)
    voices, faces = pairs.mean_hidden(), pairs.prototypes()
    folds = torch.arange(len(pairs.people)) % max(1, num_folds)
    for fold in range(num_folds):
        refitted = copy.deepcopy(encoder)
        kept = folds != fold
        start_heads(refitted, voices[kept], faces[kept], pairs.features, CanonicalConfig(feature_ridge=feature_ridge))
        left_out = {person for person, own in zip(pairs.people, folds.tolist(), strict=True) if own == fold}
        rows = torch.tensor([int(identity) in left_out for identity in dataset.identity_of])
        features[rows] = regress(refitted, hidden[rows])
    return features


@torch.no_grad()
def regress(encoder: VoiceEncoder, hidden: Tensor) -> Tensor:
    """Regressed features of whole recordings, in eval mode.

    Args:
        encoder: Encoder.
        hidden: [N, num_crops, H], the whole recording first.

    Returns:
        [N, D] float32 on the CPU.
    """
    return encoder.eval().head(hidden[:, 0].to(encoder.face_mean.device)).feature.cpu()
