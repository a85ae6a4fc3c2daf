from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.errors import ConfigError, MediaError, ModelError
from data.personas.footage.vowels import speak
from encoder.sampler import SamplerConfig
from gan.voice2face import SYNTHETIC_NOTICE, Voice2Face, save_drawing, to_pictures


def test_a_saved_model_draws_the_same_faces(tiny_model: Voice2Face, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path / "model")
    loaded = Voice2Face.from_pretrained(tmp_path / "model")
    voice = speak(0, seconds=3)
    for picture, again in zip(tiny_model(voice, num_images=2), loaded(voice, num_images=2), strict=True):
        assert picture.size == (64, 64) and np.array_equal(picture, again)


def test_the_seed_decides_the_noise_and_each_drawing_has_its_own(tiny_model: Voice2Face) -> None:
    voice = speak(0, seconds=3)
    first, again, other = (tiny_model(voice, num_images=2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


def test_many_drawings_are_those_of_one_batch(tiny_model: Voice2Face, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = speak(0, seconds=3)
    at_once = tiny_model(voice, num_images=5)
    monkeypatch.setattr("gan.voice2face._DRAWN_AT_ONCE", 2)
    for batched, expected in zip(tiny_model(voice, num_images=5), at_once, strict=True):
        assert np.abs(np.asarray(batched, int) - np.asarray(expected, int)).max() <= 1  # other batches round otherwise


def test_another_voice_draws_another_face(tiny_model: Voice2Face) -> None:
    (one,), (two,) = (tiny_model(speak(person, seconds=3), num_images=1) for person in (0, 1))
    assert np.abs(np.asarray(one, float) - np.asarray(two, float)).mean() > 0.1


def test_silence_and_a_wrong_number_of_images_are_refused(tiny_model: Voice2Face) -> None:
    with pytest.raises(MediaError):
        tiny_model(np.zeros(48_000, np.float32))
    with pytest.raises(ConfigError, match="num_images is 0"):
        tiny_model(speak(0, seconds=3), num_images=0)


def test_every_saved_drawing_says_that_it_is_synthetic(tmp_path: Path) -> None:
    (picture,) = to_pictures(torch.zeros(1, 3, 64, 64))
    save_drawing(picture, tmp_path / "face.png")
    with Image.open(tmp_path / "face.png") as saved:
        assert saved.text["Description"] == SYNTHETIC_NOTICE
        assert np.asarray(saved).tolist()[0][0] == [128, 128, 128]


def test_the_model_card_says_what_the_model_must_not_be_used_for(tiny_model: Voice2Face) -> None:
    card = tiny_model.model_card()
    assert "**not** portraits of the speaker" in card and "identify anyone" in card
    assert tiny_model.config.encoder.face_encoder.sha256 in card


def with_sampler(model: Voice2Face) -> Voice2Face:
    """The same model with a sampler of random weights."""
    torch.manual_seed(2)
    encoder = dataclasses.replace(model.config.encoder, sampler=SamplerConfig(condition_size=4, width=8))
    sampling = Voice2Face(dataclasses.replace(model.config, encoder=encoder))
    sampling.load_state_dict(model.state_dict(), strict=False)
    sampler = sampling.encoder.sampler
    assert sampler is not None
    sampler.residual_root.normal_()
    return sampling


def test_variety_needs_a_sampler_and_changes_the_faces(tiny_model: Voice2Face) -> None:
    voice = speak(0, seconds=3)
    with pytest.raises(ModelError, match="no sampler, so variety must be 0"):
        tiny_model(voice, num_images=1, variety=0.5)
    plain = np.stack(tiny_model(voice, num_images=2))
    assert np.array_equal(plain, np.stack(tiny_model(voice, num_images=2, variety=0.0)))
    model = with_sampler(tiny_model)
    assert np.array_equal(np.stack(model(voice, num_images=2)), np.stack(model(voice, num_images=2, variety=1.0)))
    told, some, all_ = (np.stack(model(voice, num_images=2, variety=v)).astype(float) for v in (0.0, 0.5, 1.0))
    assert np.abs(told - all_).mean() > 0.5 and np.abs(some - all_).mean() > 0.1
    with pytest.raises(ConfigError, match="variety"):
        model(voice, variety=1.5)
