"""Craniofacial ratios of drawings and of true faces: how far the drawn geometry follows the speaker's.

The measures of Speech2Face (Oh et al. 2019, table 1), which are Farkas' (1994) as Merler et al. (2019) chose them for
pictures. The papers don't say which detected points stand for Farkas' landmarks; ours are iBUG's, named beside each
measure. Speech2Face compares drawings from voices with drawings from true faces; here they are compared with
photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import pearsonr

from data.errors import ModelError
from data.faces.dlib import DlibDetector
from data.store.dataset import ClipDataset
from eval.attributes.groups import MIN_GROUP
from eval.model_under_test import ModelUnderTest
from eval.predictions import Predictions, clip_noise_keys, draw_samples

MAX_PEOPLE = 200
"""Number of people at most; the detector needs about .1 s a picture."""

_SIDE = 512  # px to which pictures are enlarged, because dlib rounds points to whole pixels
_NUM_RESAMPLES = 2000
_MIN_OF_A_SEX = 10

Points = NDArray[np.float64]
"""[N, 68, 2] landmarks (x, y)."""


def _between(points: Points, first: int, second: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points[:, first] - points[:, second], axis=1))


def _to_eyes(points: Points, first: int, second: int) -> NDArray[np.float64]:
    """A distance as a share of that between the eyes' outer corners."""
    return _between(points, first, second) / _between(points, 36, 45)


def _chin_height(points: Points) -> NDArray[np.float64]:
    mouth = (points[:, 62] + points[:, 66]) / 2
    return np.asarray(np.linalg.norm(mouth - points[:, 8], axis=1))


def _nose_area(points: Points) -> NDArray[np.float64]:
    x, y = points[:, [27, 31, 33, 35]].transpose(2, 0, 1)
    return np.asarray(np.abs((x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)) / 2)


MEASURES: dict[str, tuple[str, Callable[[Points], NDArray[np.float64]]]] = {
    "upper lip height": ("sn-sto, 33-62, over ex-ex", lambda p: _to_eyes(p, 33, 62)),
    "lateral upper lip heights": (
        "sbal-ls', mean of 32-50 and 34-52, over ex-ex",
        lambda p: (_to_eyes(p, 32, 50) + _to_eyes(p, 34, 52)) / 2,
    ),
    "jaw width": ("go-go, 4-12, over ex-ex", lambda p: _to_eyes(p, 4, 12)),
    "nose height": ("n-sn, 27-33, over ex-ex", lambda p: _to_eyes(p, 27, 33)),
    "nose width": ("al-al, 31-35, over ex-ex", lambda p: _to_eyes(p, 31, 35)),
    "labio-oral region": ("ch-ch, 48-54, over ex-ex", lambda p: _to_eyes(p, 48, 54)),
    "mandibular index": ("sto-gn, 62/66-8, over go-go, 4-12", lambda p: _chin_height(p) / _between(p, 4, 12)),
    "intercanthal index": ("en-en, 39-42, over ex-ex, 36-45", lambda p: _to_eyes(p, 39, 42)),
    "nasal index": ("al-al, 31-35, over n-sn, 27-33", lambda p: _between(p, 31, 35) / _between(p, 27, 33)),
    "vermilion height index": (
        "ls-sto, 51-62, over sto-li, 66-57",
        lambda p: _between(p, 51, 62) / np.maximum(_between(p, 66, 57), 1),  # at least a pixel
    ),
    "mouth-face width index": ("ch-ch, 48-54, over zy-zy, 1-15", lambda p: _between(p, 48, 54) / _between(p, 1, 15)),
    "nose area": (
        "n, al, sn, al, 27, 31, 33, 35, over ex-ex squared",
        lambda p: _nose_area(p) / _between(p, 36, 45) ** 2,
    ),
}
"""Farkas' and iBUG's landmarks of each measure, and the measure [N] of landmarks; ex-ex is 36-45."""


def measure_craniofacial(
    model: ModelUnderTest, dataset: ClipDataset, test: Predictions, sexes: NDArray[np.str_], seed: int
) -> dict[str, Any]:
    """Correlation over people of each ratio in a drawing with the same ratio in a photograph of the speaker.

    One drawing at variety 0 of each person's first voice, and the first photograph; people in whom no face is found
    are left out.

    Args:
        model: A model with a generator.
        dataset: The split of `test`.
        test: Predictions for it.
        sexes: [identities] "female", "male" or "".
        seed: Seed of the drawings' noise.

    Returns:
        `rows`, one a measure, `num_people` who were looked at and `missing`: why there are no rows, or None. A row has
        `people`, `too_small`, `correlation` (Pearson's r), `ci95` over people, `p_value`, `within_sex` (r after each
        sex's mean is subtracted; None with fewer than ten of either sex or nine labels for ten people) and
        `photographs` (r of two photographs of one person, the bound).
    """
    assert model.voice2face is not None
    people = test.pool.paired()[:: -(-len(test.pool.paired()) // MAX_PEOPLE)]
    try:
        detector = DlibDetector("hog")
    except ModelError as error:
        return {"rows": [], "num_people": len(people), "missing": str(error)}
    voices = np.array([np.flatnonzero(test.pool.query_identities == person)[0] for person in people])
    photographs = [np.flatnonzero(test.pool.face_identities == person) for person in people]
    keys = clip_noise_keys(dataset, test.clips[voices], seed)
    drawn = _find_points(detector, draw_samples(model, test.voice_features[voices], keys, 0.0))
    first, second = (
        _find_points(
            detector, (_read(dataset, test, rows[number]) if len(rows) > number else None for rows in photographs)
        )
        for number in (0, 1)
    )
    rows = []
    for name, (landmarks, compute) in MEASURES.items():
        ours, true, other = (compute(points) for points in (drawn, first, second))
        rows.append({"measure": name, "landmarks": landmarks, **_correlate(ours, true, other, sexes[people], seed)})
    return {"rows": rows, "num_people": len(people), "missing": None}


def _correlate(
    ours: NDArray[np.float64],
    true: NDArray[np.float64],
    other: NDArray[np.float64],
    sexes: NDArray[np.str_],
    seed: int,
) -> dict[str, Any]:
    """A row without its name, of values [P] of drawings and of two photographs; NaN where no face was found."""
    both = np.isfinite(ours) & np.isfinite(true)
    num = int(both.sum())
    row: dict[str, Any] = {"people": num, "too_small": num < MIN_GROUP}
    row |= dict.fromkeys(("correlation", "ci95", "p_value", "within_sex", "photographs"))
    if num < MIN_GROUP or np.ptp(ours[both]) == 0 or np.ptp(true[both]) == 0:
        return row
    x, y = ours[both], true[both]
    result = pearsonr(x, y)
    drawn = np.random.default_rng([seed, 12]).integers(0, num, (_NUM_RESAMPLES, num))
    resampled = _row_correlations(x[drawn], y[drawn])
    low, high = np.nanpercentile(resampled, (2.5, 97.5))
    row |= {"correlation": float(result.statistic), "ci95": (float(low), float(high)), "p_value": float(result.pvalue)}
    labelled = [both & (sexes == sex) for sex in ("female", "male")]
    nums = [int(group.sum()) for group in labelled]
    if min(nums) >= _MIN_OF_A_SEX and sum(nums) >= 0.9 * num:
        x, y = (np.concatenate([v[group] - v[group].mean() for group in labelled]) for v in (ours, true))
        row["within_sex"] = float(_row_correlations(x[None], y[None])[0])
    twice = np.isfinite(true) & np.isfinite(other)
    if twice.sum() >= MIN_GROUP:
        row["photographs"] = float(_row_correlations(true[None, twice], other[None, twice])[0])
    return row


def _row_correlations(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's r of each row of [R, N] and [R, N]."""
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may be constant
        return np.asarray((x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1)))


def _read(dataset: ClipDataset, test: Predictions, row: int) -> NDArray[np.uint8]:
    clip, face = test.faces[row]
    return dataset.face(int(clip), int(face))


def _find_points(detector: DlibDetector, images: Iterable[NDArray[np.uint8] | None]) -> Points:
    """Landmarks of each picture [S, S, 3] uint8; NaN where there is no picture or no face is found in it."""
    found = []
    for image in images:
        points = None
        if image is not None:
            large = Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            points = detector.find_all_points(np.asarray(large))
        found.append(np.full((68, 2), np.nan) if points is None else points)
    return np.stack(found)
