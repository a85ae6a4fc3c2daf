"""What reports say of variety, for a model whose samples and drawings are known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.faces.alignment import CROP_REGION
from eval.images.pictures import choose_pictures
from eval.model_under_test import ModelUnderTest
from eval.predictions import Pool, Predictions, clip_noise_keys, extract_drawing_features
from eval.retrieval.galleries import draw_galleries
from eval.retrieval.variety.measure import (
    VarietyCurve,
    VarietyMeter,
    first_voices,
    measure_varieties,
    with_queries,
)

NUM_PEOPLE, SIZE = 60, 12
TOLD, OPEN = 0.3, 0.2
"""Spread of what voices tell of a face, and of what they leave open."""


class ColourModel(torch.nn.Module):
    """Draws four quarters whose colours are the face feature; noise is not used."""

    image_size, noise_size = 8, 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def draw(self, features: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        quarters = features.reshape(-1, 3, 2, 2)
        return quarters.repeat_interleave(4, 2).repeat_interleave(4, 3).clamp(-1, 1)


class ColourJudge:
    """A face network whose feature is the colour of each quarter of a picture."""

    info: Any = SimpleNamespace(feature_size=SIZE, name="E")
    region, input_size = CROP_REGION, 8

    def embed(self, inputs: np.ndarray) -> np.ndarray:
        corners = inputs[:, 1::5, 1::5].transpose(0, 3, 1, 2)
        return (corners.reshape(len(inputs), SIZE) / 127.5 - 1).astype(np.float32)


class Posterior(torch.nn.Module):
    """The true p(face feature | voice) of the people below."""

    noise_size = SIZE

    def forward(self, feature: torch.Tensor, noise: torch.Tensor, variety: float = 1.0) -> torch.Tensor:
        return feature + variety * OPEN * noise


def people(seed: int) -> tuple[Any, Predictions]:
    """A data set of two voices and one face a person, and predictions that tell all that voices tell."""
    random = np.random.default_rng(seed)
    told = random.normal(0, TOLD, (NUM_PEOPLE, SIZE)).astype(np.float32)
    faces = told + random.normal(0, OPEN, told.shape).astype(np.float32)
    owners = np.repeat(np.arange(NUM_PEOPLE), 2)
    keys = np.stack([2 * np.arange(NUM_PEOPLE), np.zeros(NUM_PEOPLE, np.int64)], axis=1)

    class Clips(list[int]):
        clip_ids = tuple(f"{seed}/{clip}" for clip in range(2 * NUM_PEOPLE))
        identity_of = owners
        has_voice = np.ones(2 * NUM_PEOPLE, bool)

        def all_face_features(self) -> tuple[np.ndarray, np.ndarray]:
            return faces, keys

        def face(self, clip: int, face: int) -> np.ndarray:
            image = ColourModel().draw(torch.from_numpy(faces[[clip // 2]]), torch.zeros(1, 0))[0]
            return np.asarray(((image.permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8))

        def attributes(self, person: int) -> Any:
            return SimpleNamespace(sex=None)

        @property
        def identities(self) -> range:
            return range(NUM_PEOPLE)

    judge_faces = (np.clip(faces, -1, 1)).astype(np.float32)
    predictions = Predictions(
        pool=Pool.of_voices(owners, np.arange(NUM_PEOPLE)),
        clips=np.arange(2 * NUM_PEOPLE),
        faces=keys,
        voice_features=told[owners],
        voice_embeddings=told[owners],
        face_features=faces,
        face_embeddings=faces,
        judge_face_features=judge_faces,
        judge_drawing_features=np.clip(told[owners], -1, 1),
    )
    return Clips(range(2 * NUM_PEOPLE)), predictions


@pytest.fixture(scope="module")
def curve() -> VarietyCurve:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.images.measure.find_faces", lambda images: np.ones(len(images), bool))  # HOG takes a minute
        return measure_varieties(meter(), (0.0, 0.5, 1.0), lambda _: None)


def meter() -> VarietyMeter:
    (dataset, test), (train_dataset, train) = people(0), people(1)
    sampler = Posterior()
    encoder: Any = SimpleNamespace(
        config=SimpleNamespace(feature_size=SIZE, embedding_size=SIZE),
        sampler=sampler,
        regresses_face_features=True,
        condition_size=SIZE,
        require_sampler=lambda: sampler,
        most_telling=lambda features: features,
        parameters=lambda: iter([torch.zeros(1)]),
    )
    generator: Any = ColourModel()
    judge: Any = ColourJudge()
    return VarietyMeter(
        model=ModelUnderTest(encoder, generator, "colours", None),
        judge=judge,
        dataset=dataset,
        test=test,
        train=train,
        train_dataset=train_dataset,
        gallery=draw_galleries(test.pool, sizes=(20,), num_draws=20)[0],
        seed=0,
        sex=None,
        sets=choose_pictures(dataset, 240, 0),
    )


def test_variety_makes_one_drawing_less_faithful_and_the_mean_of_8_hardly(curve):
    one = [point.one.recall["1"] for point in curve.points]
    mean = [point.mean.recall["1"] for point in curve.points]
    assert one[0] == pytest.approx(mean[0], abs=0.02)  # without noise all drawings of variety 0 are the same
    assert one[2] < one[0] - 0.2 and mean[2] > one[2] + 0.15
    assert all(point.one.ci95["1"][0] <= point.one.recall["1"] <= point.one.ci95["1"][1] for point in curve.points)
    assert all(point.one.queries > NUM_PEOPLE == point.mean.queries for point in curve.points)


def test_the_true_posterior_is_calibrated_at_variety_1_and_too_uniform_below(curve):
    none, half, whole = (point.centred for point in curve.points)
    assert none.two_drawings.mean == pytest.approx(1, abs=1e-3) and none.gap.ci95[0] > 0.1
    assert none.gap.mean > half.gap.mean > whole.gap.mean
    assert whole.gap.ci95[0] < 0.01 and whole.gap.ci95[1] > -0.01
    assert all(point.centred.other_noise.mean == pytest.approx(1, abs=1e-3) for point in curve.points)


def test_drawings_of_variety_1_are_closer_to_the_distribution_of_faces_than_those_of_variety_0(curve):
    first, _, last = (point.distance for point in curve.points)
    assert first is not None and last is not None and last.num_images == 240
    assert first.frechet_distance > 1.2 * last.frechet_distance
    assert {bound.system for bound in curve.distance_bounds} == {
        "drawings from true features (F2F)",
        "bound: other real faces",
    }


def test_the_headline_of_the_mean_is_at_the_variety_that_was_fixed_or_at_the_lowest(curve):
    assert curve.headline.variety == 0.5
    assert replace(curve, points=[curve.points[0], curve.points[2]]).headline.variety == 0


def test_records_are_flat_enough_for_a_table(curve):
    record = curve.points[1].as_json()
    assert record["variety"] == 0.5 and record["judge"] == "E" and record["gallery"] == 20
    for value in record.values():
        values = value.values() if isinstance(value, dict) else [value]
        assert not any(isinstance(item, dict) for item in values)
    assert record["gap"] == pytest.approx(record["two_drawings"] - record["photograph"])
    assert {"recall_one", "recall_mean_of_8", "frechet_distance", "improved_recall", "faces_found"} <= set(record)


def test_one_drawing_at_variety_0_is_that_of_the_headline():
    given = meter()
    assert given.test.judge_drawing_features is not None
    keys = clip_noise_keys(given.dataset, given.test.clips, 0)
    drawn = extract_drawing_features(given.model, given.judge, given.test.voice_features, keys)
    assert drawn == pytest.approx(given.test.judge_drawing_features, abs=0.01)


def test_galleries_are_asked_with_the_first_voice_of_each_person_who_is_drawn():
    pool = Pool.of_voices([3, 3, 5, 7, 7], [3, 5, 7])
    assert first_voices(pool, 10, 0).tolist() == [0, 2, 3]
    gallery = draw_galleries(pool, sizes=(), num_draws=1)[0]
    asked = with_queries(pool, gallery, np.array([0, 3]))
    for before, after in zip(gallery.draws, asked.draws, strict=True):
        assert after.queries.tolist() == [0, 3] and (after.faces == before.faces).all()
        assert pool.face_identities[after.faces[after.targets]].tolist() == [3, 7]
    assert len(first_voices(pool, 2, 0)) == 2
