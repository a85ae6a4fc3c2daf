"""The spaces in which voices and faces are compared."""

from __future__ import annotations

import numpy as np

from eval.predictions import Evidence, Floats
from eval.retrieval.metrics import Vectors


def spaces_of(test: Evidence, train: Evidence) -> dict[str, Vectors]:
    """Queries and faces of each space, with the centres of the training split.

    Either side is centred on its own mean over the training split: what a system says of training voices,
    and the training faces. Drawings and photographs differ in the mean, and that difference tells nobody
    from anybody.
    """
    spaces = {
        "joint": _vectors(test.voice_embeddings, test.face_embeddings, train.voice_embeddings, train.face_embeddings),
        "feature": _vectors(test.voice_features, test.face_features, train.voice_features, train.face_features),
    }
    if test.judged_drawings is not None and train.judged_drawings is not None:
        assert test.judged_faces is not None and train.judged_faces is not None
        spaces["image"] = _vectors(test.judged_drawings, test.judged_faces, train.judged_drawings, train.judged_faces)
    return spaces


def _vectors(queries: Floats, faces: Floats, train_queries: Floats, train_faces: Floats) -> Vectors:
    # In float64, so that a constant answer minus its own mean is zero.
    return Vectors(
        queries.astype(np.float64),
        faces.astype(np.float64),
        train_queries.mean(0, dtype=np.float64),
        train_faces.mean(0, dtype=np.float64),
    )
