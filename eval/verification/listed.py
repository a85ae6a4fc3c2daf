"""Verification on a list of pairs that others published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import ConfigError, DatasetError, MediaError, one_line
from data.faces.analyzer import FaceAnalyzer
from data.media.audio import load_speech
from data.media.images import read_image
from data.media.voice_activity import VoiceActivity
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
        notes: Files that can't be used.
    """

    cosines: NDArray[np.float64]
    result: VerificationResult | None
    notes: list[str]


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
    people = dataset.identity_of[clips], dataset.identity_of[faces[:, 0]]
    return ListScores(cosines, _rate(path, pairs, cosines, people, seed), [])


def measure_files(
    model: ModelUnderTest,
    root: Path,
    analyzer: FaceAnalyzer,
    voice_activity: VoiceActivity,
    path: Path,
    pairs: list[ListedPair],
    seed: int = 0,
) -> ListScores:
    """Score the pairs of a list whose recordings and photographs are files.

    A pair of which a file can't be used gets the cosine 0, since a challenge wants a score for each.

    Args:
        model: The model.
        root: Folder that the list's paths start from.
        analyzer: Finds the faces, and turns them into features of the model's T.
        voice_activity: Method by which silence is found and cut.
        path: The list.
        pairs: Its pairs.
        seed: Seed of the bootstrap, which is over files: who is on them is not known.

    Raises:
        ConfigError: If the analyzer's face network is not T.
        DatasetError: If no voice, or no face, can be used.
        ModelError: If the model has no joint space.
    """
    if analyzer.recognizer.info.sha256 != model.face_encoder.sha256:
        raise ConfigError(
            f"--face-analyzer makes features of {analyzer.recognizer.info.name}, but the model was trained on those of "
            f"{model.face_encoder.name}"
        )
    notes: list[str] = []
    voices, of_voice = np.unique([pair.voice for pair in pairs], return_inverse=True)
    faces, of_face = np.unique([pair.face for pair in pairs], return_inverse=True)
    voice_embeddings = _embed(
        path,
        root,
        voices.tolist(),
        notes,
        lambda file: model.encoder.encode([load_speech(file, voice_activity)]).embedding[0],
    )
    check_joint_space(model, voice_embeddings)
    features = _embed(path, root, faces.tolist(), notes, lambda file: analyzer.analyze(read_image(file), 64).feature)
    face_embeddings = embed_true_faces(model, features) * features.any(axis=1, keepdims=True)
    cosines = score_pairs(voice_embeddings[of_voice], face_embeddings[of_face])
    result = _rate(path, pairs, cosines, (of_voice, of_face + len(voices)), seed, {"unit": "files"})
    return ListScores(cosines, result, notes)


def _embed(
    path: Path, root: Path, names: list[str], notes: list[str], embed: Callable[[Path], Any]
) -> NDArray[np.float32]:
    """A vector of each file; zeros, and a note, for those that can't be used."""
    vectors: dict[int, NDArray[np.float32]] = {}
    for number, name in enumerate(tqdm(names, desc=path.name, disable=None, delay=2)):
        try:
            vectors[number] = np.asarray(embed(root / name), np.float32)
        except MediaError as error:
            notes.append(f"{path.name}: pairs with {name} count as a cosine of 0: {one_line(error)}")
    if not vectors:
        raise DatasetError(f"{path}: none of its files can be used; {notes[-1]}")
    table = np.zeros((len(names), len(next(iter(vectors.values())))), np.float32)
    for number, vector in vectors.items():
        table[number] = vector
    return table


def _rate(
    path: Path,
    pairs: list[ListedPair],
    cosines: NDArray[np.float64],
    people: tuple[NDArray[np.int64], NDArray[np.int64]],
    seed: int,
    extra: dict[str, Any] | None = None,
) -> VerificationResult | None:
    labels = [pair.is_same for pair in pairs]
    if None in labels or len(set(labels)) < 2:
        return None
    is_same = np.array(labels, bool)
    equal, area = rate_pairs(cosines, is_same, people, seed)
    num_same, num_people = int(is_same.sum()), len(np.unique(np.concatenate(people)))
    extra = {"list": path.name, **(extra or {})}
    return VerificationResult("model", "list", num_same, len(pairs) - num_same, num_people, *equal, *area, extra=extra)
