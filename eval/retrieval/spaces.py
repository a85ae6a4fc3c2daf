"""The spaces in which voices and faces are compared."""

from __future__ import annotations

import numpy as np

from eval.predictions import Floats, Predictions
from eval.retrieval.metrics import Vectors


def spaces_of(test: Predictions, train: Predictions) -> dict[str, Vectors]:
    """Queries and faces of each space, with the centres of the training split.

    Queries are centred on the mean prediction for training voices, faces on the mean of training faces. The means of
    drawings and of photographs differ, and that difference says nothing about identity.
    """
    spaces = {}
    if test.voice_embeddings.shape[1]:  # else the encoder is a voice backbone alone
        spaces["joint"] = _vectors(
            test.voice_embeddings, test.face_embeddings, train.voice_embeddings, train.face_embeddings
        )
        spaces["feature"] = _vectors(test.voice_features, test.face_features, train.voice_features, train.face_features)
    if test.judge_drawing_features is not None and train.judge_drawing_features is not None:
        assert test.judge_face_features is not None and train.judge_face_features is not None
        spaces["image"] = _vectors(
            test.judge_drawing_features,
            test.judge_face_features,
            train.judge_drawing_features,
            train.judge_face_features,
        )
    return spaces


def _vectors(queries: Floats, faces: Floats, train_queries: Floats, train_faces: Floats) -> Vectors:
    # In float64, so that a constant prediction minus its own mean is zero.
    return Vectors(
        queries.astype(np.float64),
        faces.astype(np.float64),
        train_queries.mean(0, dtype=np.float64),
        train_faces.mean(0, dtype=np.float64),
    )
