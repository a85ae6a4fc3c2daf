"""How drawings change with noise, clip and speaker: drawings of one voice must be alike, those of two people not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.faces.analyzer import embed_crops
from data.faces.protocol import FaceRecognizer, unit_rows
from data.store.dataset import ClipDataset
from eval.images.similarity import OptionalLpips
from eval.intervals import bootstrap_interval
from eval.model_under_test import ModelUnderTest
from eval.predictions import Predictions, clip_noise_keys, draw_samples

MAX_PEOPLE = 100
"""Number of people that are compared at most."""


@dataclass(frozen=True)
class PairSimilarity:
    """Similarity of pairs of drawings or photographs, one pair a person.

    Attributes:
        pair: What the two have in common and what differs.
        num: Number of pairs.
        cosine: Mean centred cosine of E's features.
        ci95: 95 % bootstrap interval of the mean over people.
        pixel_difference: Mean absolute difference of the pixels as a share of the full range; None for
            photographs.
        lpips: Mean LPIPS; None for photographs, and where its weights are missing.
        cosines: [num] cosine of each pair, for the figure.
    """

    pair: str
    num: int
    cosine: float
    ci95: tuple[float, float]
    pixel_difference: float | None
    lpips: float | None
    cosines: NDArray[np.float64]

    def as_json(self) -> dict[str, Any]:
        """The entry of `listening` in report.json: everything but the single cosines."""
        return {key: value for key, value in asdict(self).items() if key != "cosines"}


def measure_sensitivity(
    model: ModelUnderTest, judge: FaceRecognizer, dataset: ClipDataset, test: Predictions, train: Predictions, seed: int
) -> list[PairSimilarity]:
    """Compare drawings that differ in noise, clip or speaker, one comparison a person.

    Args:
        model: A model with a generator.
        judge: E.
        dataset: The split of `test`.
        test: Predictions for the judged split.
        train: Predictions for training people, for the mean of drawings.
        seed: Decides the noise and, in a large split, the people.
    """
    assert model.voice2face is not None and train.judge_drawing_features is not None
    assert test.judge_face_features is not None and train.judge_face_features is not None
    identities = test.pool.query_identities
    people = np.unique(identities)
    if len(people) > MAX_PEOPLE:
        people = np.sort(np.random.default_rng([seed, 4]).choice(people, MAX_PEOPLE, replace=False))
    own = np.array([np.flatnonzero(identities == person)[0] for person in people])
    strangers = np.roll(own, 1)
    keys = clip_noise_keys(dataset, test.clips[own], seed)

    def draw(queries: NDArray[np.int64], keys: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        assert train.judge_drawing_features is not None
        drawings = draw_samples(model, test.voice_features[queries], keys, 0.0)
        return drawings, unit_rows(embed_crops(judge, drawings) - train.judge_drawing_features.mean(0))

    reference = draw(own, keys)
    lpips = OptionalLpips()
    similarities = [_compare("same voice, other noise", reference, draw(own, [key + "/other" for key in keys]), lpips)]
    several = np.array([i for i, person in enumerate(people) if (identities == person).sum() > 1], dtype=np.int64)
    if len(several) > 1:
        other_clips = np.array([np.flatnonzero(identities == people[i])[1] for i in several])
        chosen = (reference[0][several], reference[1][several])
        drawn = draw(other_clips, [keys[i] for i in several])
        similarities.append(_compare("same person, other clip, same noise", chosen, drawn, lpips))
    similarities.append(_compare("other person, same noise", reference, draw(strangers, keys), lpips))
    neighbours = (np.roll(reference[0], 1, 0), np.roll(reference[1], 1, 0))
    similarities.append(_compare("other person, other noise", reference, neighbours, lpips))
    faces = unit_rows(test.judge_face_features - train.judge_face_features.mean(0))
    rows = [np.flatnonzero(test.pool.face_identities == person) for person in people]
    first = faces[[row[0] for row in rows]]
    similarities.append(_compare_features("drawing and the speaker's photograph", reference[1], first))
    similarities.append(_compare_features("drawing and a stranger's photograph", reference[1], np.roll(first, 1, 0)))
    twice = [row for row in rows if len(row) > 1]
    if len(twice) > 1:
        similarities.append(
            _compare_features(
                "two photographs of one person", faces[[r[0] for r in twice]], faces[[r[1] for r in twice]]
            )
        )
    similarities.append(_compare_features("photographs of two people", first, np.roll(first, 1, 0)))
    return similarities


def _compare(
    pair: str,
    first: tuple[NDArray[np.uint8], NDArray[np.float32]],
    second: tuple[NDArray[np.uint8], NDArray[np.float32]],
    lpips: OptionalLpips,
) -> PairSimilarity:
    difference = np.abs(first[0].astype(np.float64) - second[0]).mean() / 255
    return _compare_features(pair, first[1], second[1], float(difference), lpips(first[0], second[0]))


def _compare_features(
    pair: str,
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    pixel_difference: float | None = None,
    lpips: float | None = None,
) -> PairSimilarity:
    cosines = (first * second).sum(1, dtype=np.float64)
    interval = bootstrap_interval(cosines, np.arange(len(cosines)), len(cosines))
    return PairSimilarity(pair, len(cosines), float(cosines.mean()), interval, pixel_difference, lpips, cosines)
