from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import ConfigError, ModelError
from encoder.sampler import FeatureSampler
from eval.model_under_test import (
    VARIETIES,
    ModelUnderTest,
    choose_varieties,
    draw_faces,
    load_model_under_test,
    sample_features,
    sample_noise,
)
from eval.predictions import draw_samples
from gan.voice2face import Voice2Face
from tests.gan.test_voice2face import with_sampler


class PlainSampler(torch.nn.Module):
    """Adds the noise, times variety, to the feature."""

    noise_size = 4

    def forward(self, feature: torch.Tensor, noise: torch.Tensor, variety: float = 1.0) -> torch.Tensor:
        return feature + variety * noise


def model_with(sampler: Any) -> ModelUnderTest:
    def require_sampler() -> FeatureSampler:
        if sampler is None:
            raise ModelError("this model has no sampler")
        return sampler

    encoder: Any = SimpleNamespace(
        sampler=sampler,
        require_sampler=require_sampler,
        most_telling=lambda feature: feature,
        parameters=lambda: iter([torch.zeros(1)]),
    )
    return ModelUnderTest(encoder, None, "a model", None)


def test_noise_depends_on_the_key_alone():
    together, alone = sample_noise(["a", "b", "c"], 16), sample_noise(["b"], 16)
    assert (together[1] == alone[0]).all() and (together[0] != together[1]).any()
    assert sample_noise(["a"], 0).shape == (1, 0) and sample_noise([], 4).shape == (0, 4)


def test_samples_depend_on_feature_key_and_variety_alone_not_on_their_order():
    model, features = model_with(PlainSampler()), np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    together = sample_features(model, features, ["a", "b", "c"], 0.5)
    backwards = sample_features(model, features[::-1].copy(), ["c", "b", "a"], 0.5)
    assert (together == backwards[::-1]).all() and together.dtype == np.float32
    assert (together != features).all()
    # The generator's noise of the same key is another one, so that sample and drawing are independent.
    difference = torch.from_numpy((together - features) / 0.5)
    assert (difference - sample_noise(["a", "b", "c"], 4)).abs().min() > 1e-3


def test_variety_0_gives_the_features_themselves_also_without_a_sampler():
    features = np.ones((2, 4), np.float32)
    for sampler in (None, PlainSampler()):
        assert (sample_features(model_with(sampler), features, ["a", "b"], 0) == features).all()
    with pytest.raises(ModelError, match="has no sampler"):
        sample_features(model_with(None), features, ["a", "b"], 0.5)


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(ModelError, match="the sampler gives values that are not finite"):
        sample_features(model_with(PlainSampler()), np.full((1, 4), np.nan, np.float32), ["a"], 1)


def test_reports_measure_five_varieties_with_a_sampler_and_variety_0_alone_without():
    assert choose_varieties(model_with(PlainSampler()), None) == VARIETIES == (0, 0.25, 0.5, 0.75, 1)
    assert choose_varieties(model_with(None), None) == (0,)
    assert choose_varieties(model_with(PlainSampler()), [1, 0.5, 1]) == (0.5, 1)
    assert choose_varieties(model_with(None), [0]) == (0,)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        choose_varieties(model_with(PlainSampler()), [1.5])
    with pytest.raises(ModelError, match="has no sampler"):
        choose_varieties(model_with(None), [0, 0.5])


def test_guidance_moves_drawings_of_variety_0_from_voices_and_none_of_true_features(
    tiny_model: Voice2Face, tmp_path: Path
) -> None:
    model = with_sampler(tiny_model)
    model.encoder.require_sampler().condition_mean.normal_()
    model.save_pretrained(tmp_path)
    plain, guided = (load_model_under_test(str(tmp_path), guidance=guidance) for guidance in (None, 3.0))
    features = np.random.default_rng(0).normal(size=(2, plain.encoder.condition_size)).astype(np.float32)
    mean = guided.encoder.require_sampler().condition_mean.numpy()
    moved = sample_features(guided, features, ["a", "b"], 0.0)
    np.testing.assert_allclose(moved, mean + 3 * (features - mean), rtol=1e-5, atol=1e-5)
    assert (sample_features(plain, features, ["a", "b"], 0.0) == features).all()
    assert (draw_samples(guided, features, ["a", "b"]) == draw_samples(plain, features, ["a", "b"])).all()
    assert plain.voice2face is not None
    noise = sample_noise(["a", "b"], plain.voice2face.noise_size)
    drawn = draw_samples(guided, features, ["a", "b"], 0.0)
    assert (drawn == draw_faces(plain.voice2face, moved, noise)).all()
    assert (drawn != draw_samples(plain, features, ["a", "b"], 0.0)).any()


def test_guidance_needs_a_sampler_and_is_1_or_more(tiny_model: Voice2Face, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path / "plain")
    with pytest.raises(ModelError, match="plain: it has no sampler, which guidance belongs to"):
        load_model_under_test(str(tmp_path / "plain"), guidance=2.0)
    with_sampler(tiny_model).save_pretrained(tmp_path / "sampling")
    with pytest.raises(ConfigError, match=r"guidance 0.5 must be 1 or more"):
        load_model_under_test(str(tmp_path / "sampling"), guidance=0.5)
