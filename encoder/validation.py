"""Quick scores of an encoder on the validation split during training; `eval` has the full measures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from data.store.dataset import ClipDataset
from encoder.pairs import Pairs
from encoder.voice_encoder import VoiceEncoder


@torch.no_grad()
def validate(encoder: VoiceEncoder, clips: ClipDataset, pairs: Pairs, hidden: Tensor | None) -> dict[str, float]:
    """Retrieve one face of each person by one voice, among all people of the split.

    Args:
        encoder: Encoder; it is evaluated in eval mode.
        clips: Validation split.
        pairs: Pairs of the same split.
        hidden: [num_clips, H] outputs of a frozen backbone; None computes them.

    Returns:
        `val/joint_recall_at_10pct` and `val/feature_recall_at_10pct`: share of voices whose own face is in the best
        tenth of the gallery (chance 0.1 for any size), and `val/cosine` of regressed and true feature.
    """
    was_training = encoder.training
    encoder.eval()
    device = encoder.face_mean.device
    voices, faces = pairs.first_pairs()
    faces = faces.to(device)
    if hidden is not None:
        encoding = encoder.head(hidden[voices].to(device))
    else:
        encoding = encoder.encode([clips.waveform(index) for index in voices])
    joint = encoding.embedding @ encoder.face(faces).T
    # Centred, because all predictions are biased towards the mean face, and so towards the same few people.
    centred = F.normalize(encoding.feature - encoder.face_mean, dim=1) @ F.normalize(faces - encoder.face_mean, dim=1).T
    encoder.train(was_training)
    return {
        "val/joint_recall_at_10pct": recall_at_share(joint, 0.1),
        "val/feature_recall_at_10pct": recall_at_share(centred, 0.1),
        "val/cosine": float(F.cosine_similarity(encoding.feature, faces, dim=1).mean()),
    }


def recall_at_share(similarity: Tensor, share: float) -> float:
    """Share of rows whose own column is among the best; ties count half.

    Args:
        similarity: [N, N]; the own column of row i is i.
        share: Best columns as a share of N, in (0, 1]; at least one column.
    """
    own = similarity.diagonal()[:, None]
    ahead = (similarity > own).sum(dim=1) + 0.5 * ((similarity == own).sum(dim=1) - 1)
    return float((ahead < max(1.0, share * len(similarity))).float().mean())
