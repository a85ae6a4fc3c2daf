"""How an encoder does on people it was not trained on, cheaply: a curve to watch; `eval` measures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from data.store.dataset import ClipDataset
from encoder.pairs import Pairs
from encoder.voice_encoder import VoiceEncoder


@torch.no_grad()
def validate(encoder: VoiceEncoder, clips: ClipDataset, pairs: Pairs, hidden: Tensor | None) -> dict[str, float]:
    """Retrieval of one face of everybody by one voice, among everybody in the split.

    Args:
        encoder: Put into eval mode for it.
        clips: The validation split.
        pairs: The same, as pairs.
        hidden: [num_clips, H] where the backbone is frozen; else the voices are heard anew.

    Returns:
        `val/joint_recall_at_10pct` and `val/feature_recall_at_10pct`: how often the right face is among the
        best tenth of the gallery (chance .1, whatever its size), and `val/cosine` of regressed and true
        feature.
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
    # Centred, because all predictions lean towards the mean face, and so towards the same few people.
    centred = F.normalize(encoding.feature - encoder.face_mean, dim=1) @ F.normalize(faces - encoder.face_mean, dim=1).T
    encoder.train(was_training)
    return {
        "val/joint_recall_at_10pct": recall_at_share(joint, 0.1),
        "val/feature_recall_at_10pct": recall_at_share(centred, 0.1),
        "val/cosine": float(F.cosine_similarity(encoding.feature, faces, dim=1).mean()),
    }


def recall_at_share(similarity: Tensor, share: float) -> float:
    """How often the right column is among the best share of its row; ties count half.

    Args:
        similarity: [N, N], the right column of row i is i.
        share: Of N, in (0, 1]; at least one column.
    """
    right = similarity.diagonal()[:, None]
    ahead = (similarity > right).sum(dim=1) + 0.5 * ((similarity == right).sum(dim=1) - 1)
    return float((ahead < max(1.0, share * len(similarity))).float().mean())
