"""Results of a model by group of people and by length of speech."""

from __future__ import annotations

import numpy as np

from data.media.waveform import SAMPLE_RATE
from data.store.dataset import ClipDataset
from eval.attributes.groups import group_columns, split_groups
from eval.model_under_test import ModelUnderTest, encode_voices
from eval.predictions import Predictions
from eval.retrieval.galleries import Gallery
from eval.retrieval.metrics import (
    PRIMARY_METRICS,
    QueryRanks,
    RetrievalResult,
    Vectors,
    rank_queries,
    summarize,
)

LENGTHS = (1.0, 3.0, 6.0)
"""Seconds of speech that are used, for the results by length."""


def measure_groups(
    dataset: ClipDataset, gallery: Gallery, curves: dict[str, QueryRanks], judges: dict[str, str]
) -> list[RetrievalResult]:
    """Results by sex, age band, nationality and number of recordings.

    Every query keeps the gallery that it has in the result for all people.

    Args:
        dataset: The judged split.
        gallery: The gallery of the ranks.
        curves: Ranks by space.
        judges: Name of the face network by space.

    Returns:
        Results of groups of at least `MIN_GROUP` people, with `group` and `value` in `extra`.
    """
    columns = group_columns(dataset)
    results = []
    for space, ranks in curves.items():
        for column, value in split_groups(columns, np.unique(ranks.identities))[0]:
            result = summarize(
                ranks,
                gallery,
                system="model",
                space=space,
                metric=PRIMARY_METRICS[space],
                judge=judges[space],
                keep=columns[column][ranks.identities] == value,
                extra={"group": column, "value": value},
            )
            results += [] if result is None else [result]
    return results


def measure_lengths(
    model: ModelUnderTest,
    dataset: ClipDataset,
    test: Predictions,
    train: Predictions,
    gallery: Gallery,
    judge: str,
    device: str = "cpu",
) -> list[RetrievalResult]:
    """Results in the joint space with only the beginning of each clip, for each of `LENGTHS`.

    Args:
        model: The model.
        dataset: The judged split.
        test: Predictions for it.
        train: Predictions for training people, for the means.
        gallery: The gallery.
        judge: Name of the face network.
        device: Device that computes the ranks.

    Returns:
        Results with `seconds` and `long_enough`, the share of clips of at least that length, in `extra`; nothing where
        the encoder has no joint space, or the data set no recordings.
    """
    if not model.encoder.regresses_face_features or not dataset.has_media:
        return []
    metric = PRIMARY_METRICS["joint"]
    results = []
    for seconds in LENGTHS:
        embeddings = test.voice_embeddings.copy()
        longer = np.flatnonzero(dataset.durations[test.clips] > seconds)
        clips = test.clips[longer].tolist()
        embeddings[longer] = encode_voices(model, dataset, clips, int(seconds * SAMPLE_RATE))[1]
        vectors = Vectors(
            embeddings, test.face_embeddings, train.voice_embeddings.mean(0), train.face_embeddings.mean(0)
        )
        long_enough = float((dataset.durations[test.clips] >= seconds).mean())
        result = summarize(
            rank_queries(test.pool, gallery, vectors, metric, device),
            gallery,
            system="model",
            space="joint",
            metric=metric,
            judge=judge,
            extra={"seconds": seconds, "long_enough": long_enough},
        )
        results += [] if result is None else [result]
    return results
