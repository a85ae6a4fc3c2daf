"""What a model predicts for the voices of a split, and the features of the split's faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError
from data.faces.analyzer import embed_crops
from data.faces.protocol import FaceRecognizer
from data.store.dataset import ClipDataset
from eval.model_under_test import (
    ModelUnderTest,
    batches,
    draw_faces,
    embed_true_faces,
    encode_voices,
    sample_features,
    sample_noise,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """Predictions for voices, and features of faces.

    Row i of an array of Q rows belongs to query i of the pool, row j of an array of M rows to its face j.

    Attributes:
        pool: Voices and faces of people who have both.
        clips: [Q] int64 clip of each voice.
        faces: [M, 2] int64 clip and number of each face.
        voice_features: [Q, D] face features regressed from the voices.
        voice_embeddings: [Q, E] joint embeddings of the voices.
        face_features: [M, D] T's features of the faces.
        face_embeddings: [M, E] joint embeddings of the faces.
        judge_face_features: [M, F] E's features of the faces; None without a judge.
        judge_drawing_features: [Q, F] E's features of one drawing of each voice; None without generator or judge.
    """

    pool: Pool
    clips: NDArray[np.int64]
    faces: NDArray[np.int64]
    voice_features: Floats
    voice_embeddings: Floats
    face_features: Floats
    face_embeddings: Floats
    judge_face_features: Floats | None
    judge_drawing_features: Floats | None


def predict_split(
    model: ModelUnderTest,
    judge: FaceRecognizer | None,
    dataset: ClipDataset,
    *,
    seed: int = 0,
    max_identities: int | None = None,
    draw: bool = True,
) -> Predictions:
    """Run the model on every voice of the people who have a voice and a face.

    Args:
        model: The model.
        judge: E, or None.
        dataset: One split.
        seed: Decides the noise of the drawings and which people are taken.
        max_identities: Number of people at most, chosen by the seed; all by default.
        draw: Whether to draw, if the model can.

    Raises:
        DatasetError: If fewer than two people have both.
    """
    features, keys = dataset.all_face_features()
    face_identities = dataset.identity_of[keys[:, 0]]
    voices = np.flatnonzero(dataset.has_voice)
    people = np.intersect1d(dataset.identity_of[voices], face_identities)
    if len(people) < 2:
        raise DatasetError(
            f"{dataset.root}: {len(people)} people of the split '{dataset.split}' have both a voice and a "
            "face, at least two are needed"
        )
    if max_identities is not None and len(people) > max_identities:
        people = np.sort(np.random.default_rng([seed, 2]).choice(people, max_identities, replace=False))
    voices = voices[np.isin(dataset.identity_of[voices], people)]
    kept = np.isin(face_identities, people)
    features, keys = features[kept], keys[kept]
    voice_features, voice_embeddings = encode_voices(model, dataset, voices.tolist())
    drawings = None
    if draw and judge is not None and model.voice2face is not None:
        drawings = extract_drawing_features(model, judge, voice_features, clip_noise_keys(dataset, voices, seed), 0.0)
    return Predictions(
        pool=Pool.of_voices(dataset.identity_of[voices], dataset.identity_of[keys[:, 0]]),
        clips=voices,
        faces=keys,
        voice_features=voice_features,
        voice_embeddings=voice_embeddings,
        face_features=features,
        face_embeddings=embed_true_faces(model, features),
        judge_face_features=None if judge is None else extract_face_features(judge, dataset, keys),
        judge_drawing_features=drawings,
    )


def clip_noise_keys(
    dataset: ClipDataset,
    clips: Sequence[int] | NDArray[np.int64],
    seed: int,
    numbers: Sequence[int] | NDArray[np.int64] | None = None,
) -> list[str]:
    """Keys for `sample_noise` and `sample_features` that give each drawing of each clip noise of its own.

    Args:
        dataset: Holds the clips.
        clips: [N] clips.
        seed: Seed of the noise.
        numbers: [N] number of the drawing among the drawings of its clip; 0 by default.
    """
    keys = [f"{seed}/{dataset.clip_ids[clip]}" for clip in clips]
    if numbers is None:
        return keys
    return [f"{key}/{number}" if number else key for key, number in zip(keys, numbers, strict=True)]


def extract_face_features(judge: FaceRecognizer, dataset: ClipDataset, keys: NDArray[np.int64]) -> Floats:
    """E's features [N, F] of stored faces, which are given as [N, 2] clip and number."""
    blocks = [np.zeros((0, judge.info.feature_size), np.float32)]
    for rows in batches(range(len(keys)), 256, f"photographs, seen by {judge.info.name}"):
        crops = np.stack([dataset.face(int(clip), int(face)) for clip, face in keys[rows]])
        blocks.append(embed_crops(judge, crops))
    return np.concatenate(blocks)


def extract_drawing_features(
    model: ModelUnderTest, judge: FaceRecognizer, features: Floats, keys: Sequence[str], variety: float | None = None
) -> Floats:
    """E's features [N, F] of drawings, which are not kept; arguments as `draw_samples` takes them."""
    assert model.voice2face is not None
    blocks = [np.zeros((0, judge.info.feature_size), np.float32)]
    for rows in batches(range(len(features)), 256, f"drawings, seen by {judge.info.name}"):
        drawings = draw_samples(model, features[rows], [keys[row] for row in rows], variety)
        blocks.append(embed_crops(judge, drawings))
    return np.concatenate(blocks)


def draw_samples(
    model: ModelUnderTest, features: Floats, keys: Sequence[str], variety: float | None = None
) -> NDArray[np.uint8]:
    """One drawing for each feature.

    Args:
        model: A model with a generator.
        features: [N, D] features regressed from voices, or with variety None any others, such as those of true faces.
        keys: N keys, which decide samples and noise.
        variety: Variety of the samples; None draws the features as they are.

    Returns:
        [N, S, S, 3] uint8.
    """
    assert model.voice2face is not None
    noise = sample_noise(keys, model.voice2face.noise_size)
    drawn = features if variety is None else sample_features(model, features, keys, variety)
    return draw_faces(model.voice2face, drawn, noise)


@dataclass(frozen=True)
class Pool:
    """All queries and faces of a split, from which galleries are drawn.

    Attributes:
        query_identities: [Q] int64, the identity of each query.
        face_identities: [M] int64, the identity of each face. A query whose identity has no face is never asked.
        query_faces: [Q] int64, the row of the face that a query itself is; -1 for a voice. That face is never the
            query's right answer.
    """

    query_identities: NDArray[np.int64]
    face_identities: NDArray[np.int64]
    query_faces: NDArray[np.int64]

    @staticmethod
    def of_voices(query_identities: NDArray[np.integer], face_identities: NDArray[np.integer]) -> Pool:
        """A pool whose queries are voices."""
        queries = np.asarray(query_identities, dtype=np.int64)
        return Pool(queries, np.asarray(face_identities, dtype=np.int64), np.full(len(queries), -1, dtype=np.int64))

    def paired(self) -> NDArray[np.int64]:
        """Sorted identities that have both a query and a face."""
        return np.intersect1d(self.query_identities, self.face_identities)
