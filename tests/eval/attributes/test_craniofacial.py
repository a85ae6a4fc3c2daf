"""Craniofacial ratios of landmarks whose ratios are known, and their correlation over people."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.errors import ModelError
from eval.attributes import craniofacial
from eval.attributes.craniofacial import MEASURES, measure_craniofacial
from eval.attributes.text import craniofacial_section
from eval.predictions import Pool

NUM = 40


def points_of(nose_widths: np.ndarray) -> np.ndarray:
    """Landmarks [N, 68, 2] of faces that differ in the width of the nose alone."""
    points = np.zeros((len(nose_widths), 68, 2))
    fixed = {36: (0, 0), 45: (100, 0), 39: (35, 0), 42: (65, 0), 27: (50, 0), 33: (50, 50), 4: (10, 90), 12: (90, 90)}
    fixed |= {1: (0, 40), 15: (100, 40), 48: (25, 80), 54: (75, 80), 62: (50, 80), 66: (50, 80), 51: (50, 74)}
    fixed |= {57: (50, 90), 8: (50, 120), 32: (45, 50), 34: (55, 50), 50: (45, 75), 52: (55, 75)}
    for number, place in fixed.items():
        points[:, number] = place
    points[:, 31] = np.stack([50 - nose_widths / 2, np.full(len(nose_widths), 50)], axis=1)
    points[:, 35] = np.stack([50 + nose_widths / 2, np.full(len(nose_widths), 50)], axis=1)
    return points


def test_each_measure_of_a_face_whose_proportions_are_known():
    values = {name: float(compute(points_of(np.array([30.0])))[0]) for name, (_, compute) in MEASURES.items()}
    assert values == pytest.approx(
        {
            "upper lip height": 0.3,
            "lateral upper lip heights": 0.25,
            "jaw width": 0.8,
            "nose height": 0.5,
            "nose width": 0.3,
            "labio-oral region": 0.5,
            "mandibular index": 0.5,
            "intercanthal index": 0.3,
            "nasal index": 0.6,
            "vermilion height index": 0.6,
            "mouth-face width index": 0.5,
            "nose area": 0.5 * 30 * 50 / 100**2,
        }
    )


def world(monkeypatch: pytest.MonkeyPatch, num: int = NUM) -> dict[str, Any]:
    """People with two photographs whose noses a detector reads from the first pixel; drawings share half of it."""
    random = np.random.default_rng(0)
    is_female = np.arange(num) % 2 == 0
    nose = random.uniform(20, 60, num) + 20 * is_female
    drawn = 0.5 * nose + random.uniform(10, 20, num)
    photographs = np.stack([nose, nose + random.normal(0, 3, num)], axis=1)

    def picture(width: float) -> np.ndarray:
        return np.full((64, 64, 3), round(width), np.uint8)

    class Detector:
        def __init__(self, kind: str) -> None: ...

        def find_all_points(self, image: np.ndarray) -> np.ndarray | None:
            return None if image[0, 0, 0] == 0 else points_of(image[:1, 0, 0].astype(float))[0]

    # Nobody's face is found in the drawing of person 0.
    drawings = np.stack([picture(0 if person == 0 else drawn[person]) for person in range(num)])
    monkeypatch.setattr(craniofacial, "DlibDetector", Detector)
    monkeypatch.setattr(craniofacial, "draw_samples", lambda *_: drawings)
    monkeypatch.setattr(craniofacial, "clip_noise_keys", lambda *_: [])
    people = np.arange(num)
    test: Any = SimpleNamespace(
        pool=Pool.of_voices(people, np.repeat(people, 2)),
        clips=people,
        voice_features=np.zeros((num, 2), np.float32),
        faces=np.stack([np.repeat(people, 2), np.tile([0, 1], num)], axis=1),
    )
    dataset: Any = SimpleNamespace(face=lambda clip, face: picture(photographs[clip, face]))
    model: Any = SimpleNamespace(voice2face=object())
    sexes = np.where(is_female, "female", "male")
    return measure_craniofacial(model, dataset, test, sexes, 0) | {"nose": nose, "drawn": drawn}


def test_a_ratio_that_drawings_share_correlates_and_people_without_a_found_face_are_left_out(monkeypatch):
    measured = world(monkeypatch)
    rows = {row["measure"]: row for row in measured["rows"]}
    nose = rows["nose width"]
    expected = np.corrcoef(np.round(measured["nose"][1:]), np.round(measured["drawn"][1:]))[0, 1]
    assert nose["people"] == NUM - 1 and not nose["too_small"]
    assert nose["correlation"] == pytest.approx(expected) and nose["p_value"] < 1e-6
    assert nose["ci95"][0] < nose["correlation"] < nose["ci95"][1]
    assert 0.5 < nose["within_sex"] < nose["correlation"]  # a part of it was the sex alone
    assert nose["photographs"] > 0.95
    # All jaws are alike, so there is nothing to correlate.
    assert rows["jaw width"]["correlation"] is None
    text = craniofacial_section(measured)
    assert "| nose width | al-al, 31-35, over ex-ex | 39 |" in text and f"{nose['correlation']:.2f} (" in text


def test_fewer_than_ten_people_have_no_correlation(monkeypatch):
    measured = world(monkeypatch, num=10)
    row = measured["rows"][4]
    assert (row["people"], row["too_small"], row["correlation"]) == (9, True, None)
    assert "too small: fewer than 10 people" in craniofacial_section(measured)


def test_without_dlib_the_report_says_what_is_missing(monkeypatch):
    def missing(kind: str) -> None:
        raise ModelError("dlib is not installed: pip install 'wav2face[dlib]'")

    people = np.arange(3)
    monkeypatch.setattr(craniofacial, "DlibDetector", missing)
    test: Any = SimpleNamespace(pool=Pool.of_voices(people, people))
    model: Any = SimpleNamespace(voice2face=object())
    measured = measure_craniofacial(model, None, test, np.zeros(3, "<U6"), 0)  # type: ignore[arg-type]
    assert measured["rows"] == []
    assert "were not measured: dlib is not installed: pip install" in craniofacial_section(measured)
