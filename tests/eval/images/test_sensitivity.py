"""How drawings change with noise, clip and person, for generators whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.faces.alignment import CROP_REGION
from eval.images.sensitivity import measure_sensitivity
from eval.model_under_test import ModelUnderTest
from eval.predictions import Pool, Predictions

NUM_PEOPLE = 8
COLOURS = np.random.default_rng(0).uniform(-0.9, 0.9, (NUM_PEOPLE, 3)).astype(np.float32)


class PlainGenerator(torch.nn.Module):
    """Draws a plain picture: the colour that the face feature is, or one that the noise decides."""

    image_size, noise_size = 8, 3

    def __init__(self, ignores_voice: bool) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.ignores_voice = ignores_voice

    def draw(self, features: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        colours = noise.tanh() if self.ignores_voice else features
        return colours[:, :, None, None].expand(-1, -1, 8, 8)


class ColourJudge:
    """A face network whose feature is the mean colour of a picture."""

    info: Any = SimpleNamespace(feature_size=3)
    region, input_size = CROP_REGION, 8

    def embed(self, inputs: np.ndarray) -> np.ndarray:
        return inputs.mean((1, 2)).astype(np.float32) / 127.5 - 1


def predictions() -> Predictions:
    """Two clips and two photographs of each person, all of which are the person's colour."""
    owners = np.repeat(np.arange(NUM_PEOPLE), 2)
    features = COLOURS[owners]
    return Predictions(
        pool=Pool.of_voices(owners, owners),
        clips=np.arange(len(owners)),
        faces=np.stack([np.arange(len(owners)), np.zeros(len(owners), int)], axis=1),
        voice_features=features,
        voice_embeddings=features,
        face_features=features,
        face_embeddings=features,
        judge_face_features=features,
        judge_drawing_features=features,
    )


def measure(ignores_voice: bool) -> dict[str, Any]:
    generator: Any = PlainGenerator(ignores_voice)
    encoder: Any = SimpleNamespace(most_telling=lambda features: features, parameters=lambda: iter([torch.zeros(1)]))
    model = ModelUnderTest(encoder, generator, "plain", None)
    dataset: Any = SimpleNamespace(clip_ids=[f"clip-{i}" for i in range(2 * NUM_PEOPLE)])
    judge: Any = ColourJudge()
    pairs = measure_sensitivity(model, judge, dataset, predictions(), predictions(), seed=0)
    assert all(pair.num == NUM_PEOPLE == len(pair.cosines) for pair in pairs)
    return {pair.pair: pair for pair in pairs}


def test_a_generator_that_draws_the_voice_alone_repeats_it_whatever_noise_and_clip():
    pairs = measure(ignores_voice=False)
    for name in ("same voice, other noise", "same person, other clip, same noise"):
        assert pairs[name].cosine == pytest.approx(1) and pairs[name].pixel_difference == 0
    assert pairs["other person, same noise"].cosine < 0.5 and pairs["other person, same noise"].pixel_difference > 0.1
    assert pairs["drawing and the speaker's photograph"].cosine > 0.99
    assert pairs["drawing and a stranger's photograph"].cosine < 0.5
    assert pairs["two photographs of one person"].cosine == pytest.approx(1)


def test_a_generator_that_ignores_the_voice_draws_other_people_as_itself():
    pairs = measure(ignores_voice=True)
    assert pairs["other person, same noise"].cosine == pytest.approx(1)
    assert pairs["other person, same noise"].pixel_difference == 0
    assert pairs["same voice, other noise"].pixel_difference > 0.1
