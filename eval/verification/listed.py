"""Verification on a list of pairs that others published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.store.dataset import ClipDataset
from eval.model_under_test import ModelUnderTest, embed_true_faces, encode_voices
from eval.verification.measure import VerificationResult, check_joint_space, rate_pairs, score_pairs
from eval.verification.pair_lists import ListedPair, find_pairs


@dataclass(frozen=True)
class ListScores:
    """Scores of a list's pairs.

    Attributes:
        cosines: [N] cosines of the pairs' embeddings, in the list's order.
        result: Error rates; None for a list whose labels are not known, or all the same.
    """

    cosines: NDArray[np.float64]
    result: VerificationResult | None


def measure_list(
    model: ModelUnderTest, dataset: ClipDataset, path: Path, pairs: list[ListedPair], seed: int = 0
) -> ListScores:
    """Score the pairs of a list.

    Args:
        model: The model.
        dataset: Holds the voices and faces.
        path: The list.
        pairs: Its pairs.
        seed: Seed of the bootstrap.

    Raises:
        DatasetError: If a voice or a face is not there.
        ModelError: If the model has no joint space.
    """
    clips, faces = find_pairs(path, pairs, dataset)
    voices, of_voice = np.unique(clips, return_inverse=True)
    keys, of_face = np.unique(faces, axis=0, return_inverse=True)
    _, voice_embeddings = encode_voices(model, dataset, voices.tolist())
    check_joint_space(model, voice_embeddings)
    features = np.stack([dataset.face_features(int(clip))[int(face)] for clip, face in keys])
    face_embeddings = embed_true_faces(model, features)
    cosines = score_pairs(voice_embeddings[of_voice], face_embeddings[of_face.reshape(-1)])
    labels = [pair.is_same for pair in pairs]
    if None in labels or len(set(labels)) < 2:
        return ListScores(cosines, None)
    is_same = np.array(labels, bool)
    people = dataset.identity_of[clips], dataset.identity_of[faces[:, 0]]
    equal, area = rate_pairs(cosines, is_same, people, seed)
    num_same, num_people = int(is_same.sum()), len(np.unique(np.concatenate(people)))
    result = VerificationResult(
        "model", "list", num_same, len(pairs) - num_same, num_people, *equal, *area, extra={"list": path.name}
    )
    return ListScores(cosines, result)
