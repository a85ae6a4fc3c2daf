"""Contents of the retrieval report's figures: the queries, samples and curves that are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.store.dataset import ClipDataset
from eval.model_under_test import ModelUnderTest
from eval.personas.limits import LIMIT_NAMES
from eval.predictions import clip_noise_keys, draw_samples
from eval.retrieval.baselines import rank_shuffled_voices
from eval.retrieval.figures import QueryRow, save_queries, save_recall, save_samples, save_sensitivity
from eval.retrieval.measure import RetrievalMeasurement
from eval.retrieval.metrics import PRIMARY_METRICS, recall_curve
from eval.retrieval.ranks import score_matrix
from eval.retrieval.variety.figure import save_varieties
from gan.samples import draw_spectrogram

_SHOWN = 3  # queries in each of best, median, worst
_TOP = 5
_SAMPLE_ROWS = 8
_SAMPLE_DRAWINGS = 5


def save_pictures(
    out: Path, model: ModelUnderTest, dataset: ClipDataset, measured: RetrievalMeasurement, seed: int
) -> dict[str, str]:
    """Save the figures of a retrieval report into a folder.

    Returns:
        File names by name of the figure.
    """
    names = {}
    for space in measured.spaces:
        if space == "feature" and "image" in measured.spaces:
            continue  # drawings are made from the feature, so the image space shows it
        if not dataset.has_media:
            continue  # there is nothing to show
        names[f"queries_{space}"] = f"queries_{space}.png"
        _save_query_picture(out / names[f"queries_{space}"], model, dataset, measured, space, seed)
    if model.voice2face is not None:
        names["samples"] = "samples.png"
        _save_sample_picture(out / names["samples"], model, dataset, measured, seed)
    curves, floors = {}, {}
    for space, vectors in measured.spaces.items():
        pool, gallery, metric = measured.test.pool, measured.headline, PRIMARY_METRICS[space]
        curves[space] = recall_curve(measured.curves[space], gallery)
        floors[space] = recall_curve(rank_shuffled_voices(pool, gallery, vectors, metric, seed=seed), gallery)
    names["recall"] = "recall.png"
    limits = {LIMIT_NAMES[knows]: recall_curve(known, measured.headline) for knows, known in measured.limits.items()}
    save_recall(out / names["recall"], curves, measured.headlines(), floors, measured.lengths, limits)
    if measured.varieties is not None and len(measured.varieties.points) > 1:
        names["varieties"] = "varieties.png"
        judge, gallery = measured.varieties.points[0].judge, measured.headline
        bounds = [
            bound
            for bound in measured.bounds
            if (bound.judge == judge or bound.system == LIMIT_NAMES["voice"])
            and (bound.gallery_kind, bound.gallery) == (gallery.kind, gallery.size)
        ]
        save_varieties(out / names["varieties"], measured.varieties, bounds)
    if measured.sensitivity:
        names["listening"] = "listening.png"
        save_sensitivity(out / names["listening"], measured.sensitivity)
    return names


def _save_query_picture(
    path: Path, model: ModelUnderTest, dataset: ClipDataset, measured: RetrievalMeasurement, space: str, seed: int
) -> None:
    test, vectors, draw = measured.test, measured.spaces[space], measured.whole_split.draws[0]
    queries, faces = vectors.queries[draw.queries], vectors.faces[draw.faces]
    if PRIMARY_METRICS[space] == "centred_cosine":
        queries, faces = queries - vectors.query_centre, faces - vectors.face_centre
    scores = score_matrix(torch.from_numpy(queries).double(), torch.from_numpy(faces).double(), "cosine").numpy()
    right_scores = scores[np.arange(len(queries)), draw.targets]
    ranks = 1 + (scores > right_scores[:, None]).sum(1)
    # Queries of equal rank are ordered by the score of the right face.
    order = np.lexsort((-right_scores, ranks))
    middle = max(0, len(order) // 2 - _SHOWN // 2)
    chosen = {"best": order[:_SHOWN], "median": order[middle : middle + _SHOWN], "worst": order[-_SHOWN:]}
    columns = ["voice", *(["drawing"] if model.voice2face is not None else []), "true face"]
    blocks = []
    for title, positions in chosen.items():
        rows = []
        for query in positions.tolist():
            clip = int(test.clips[draw.queries[query]])
            top = np.argsort(-scores[query], kind="stable")[:_TOP]
            true = _face(dataset, test.faces[draw.faces[draw.targets[query]]])
            left = [draw_spectrogram(dataset.waveform(clip), true.shape[0])]
            if model.voice2face is not None:
                keys = clip_noise_keys(dataset, [clip], seed)
                left.append(draw_samples(model, test.voice_features[[draw.queries[query]]], keys, 0.0)[0])
            hits = np.flatnonzero(top == draw.targets[query])
            rows.append(
                QueryRow(
                    title=f"rank {ranks[query]} of {len(faces)}",
                    pictures=[*left, true],
                    answers=[_face(dataset, test.faces[draw.faces[row]]) for row in top],
                    scores=scores[query, top].tolist(),
                    right=int(hits[0]) if len(hits) else -1,
                )
            )
        blocks.append((title, rows))
    save_queries(path, blocks, columns)


def _save_sample_picture(
    path: Path, model: ModelUnderTest, dataset: ClipDataset, measured: RetrievalMeasurement, seed: int
) -> None:
    assert model.voice2face is not None
    test, draw = measured.test, measured.whole_split.draws[0]
    # Spread over the split, independent of the model's predictions.
    step = max(1, len(draw.queries) // _SAMPLE_ROWS)
    variety = 0.0 if model.sampler is None else 1.0
    rows = []
    for position in range(0, len(draw.queries), step)[:_SAMPLE_ROWS]:
        query, face = draw.queries[position], draw.faces[draw.targets[position]]
        true = _face(dataset, test.faces[face])
        clip = int(test.clips[query])
        keys = clip_noise_keys(dataset, [clip] * _SAMPLE_DRAWINGS, seed, range(_SAMPLE_DRAWINGS))
        feature = test.voice_features[[query]]
        from_voice = [
            *(draw_samples(model, feature, keys[:1], 0.0) if variety else []),
            *draw_samples(model, np.repeat(feature, len(keys), 0), keys, variety),
        ]
        from_face = list(draw_samples(model, test.face_features[[face]], keys[:1])) if model.draws_face_features else []
        rows.append([draw_spectrogram(dataset.waveform(clip), true.shape[0]), true, *from_face, *from_voice])
    columns = [
        "voice",
        "true face",
        *(["from true feature"] if model.draws_face_features else []),
        *(["variety 0"] if variety else []),
        *[f"drawn from the voice, variety {variety:g}"] * _SAMPLE_DRAWINGS,
    ]
    save_samples(path, columns, rows)


def _face(dataset: ClipDataset, key: NDArray[np.int64]) -> NDArray[np.uint8]:
    return dataset.face(int(key[0]), int(key[1]))
