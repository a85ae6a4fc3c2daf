from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import ConfigError, ModelError
from data.faces.protocol import FaceEncoderInfo
from encoder.losses import energy_score
from encoder.sampler import FeatureSampler, SamplerConfig
from encoder.sampler_fit import VoicedPeople, fit_sampler, score_sampler
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig

CONFIG = VoiceEncoderConfig(
    face_encoder=FaceEncoderInfo("made up", "0" * 64, 6, "nowhere"),
    backbone="speech2face",
    backbone_options={"width": 2, "hidden_size": 8},
    embedding_size=4,
    window_seconds=1.0,
    sampler=SamplerConfig(condition_size=1, width=16),
)
VOICES = [np.random.default_rng(seed).uniform(-0.5, 0.5, 16_000).astype(np.float32) for seed in range(2)]


def two_sexes(num_people: int, seed: int = 0) -> VoicedPeople:
    """People whose faces' first axis is +1 or -1, which voices tell rightly in nine of ten cases; the rest is noise."""
    generator = torch.Generator().manual_seed(seed)
    sex = torch.randint(2, (num_people, 1), generator=generator) * 2.0 - 1
    heard = torch.where(torch.rand(num_people, 1, generator=generator) < 0.9, sex, -sex)
    faces = torch.cat([sex, 0.2 * torch.randn(num_people, 5, generator=generator)], dim=1)
    predicted = torch.cat([0.8 * heard, torch.zeros(num_people, 5)], dim=1)
    people = torch.arange(num_people)
    return VoicedPeople(predicted, torch.nn.functional.normalize(faces, dim=1), people, people)


@pytest.fixture(scope="module")
def fitted() -> FeatureSampler:
    torch.manual_seed(0)
    sampler = FeatureSampler(SamplerConfig(condition_size=1, width=32), 6)
    people = two_sexes(1000)
    fit_sampler(sampler, people, people.true, torch.Generator().manual_seed(0))
    return sampler


def encoder_with_noise() -> VoiceEncoder:
    torch.manual_seed(0)
    encoder = VoiceEncoder(CONFIG).eval()
    assert encoder.sampler is not None
    encoder.sampler.residual_root.copy_(0.5 * torch.eye(6))
    return encoder


def test_the_energy_score_of_known_points() -> None:
    # |0 - 3| and |4 - 3| have a mean of 2, the samples are 4 apart: 2 - 4 / 2.
    score = energy_score(torch.tensor([[[0.0], [4.0]]]), torch.tensor([[[3.0]]]))
    torch.testing.assert_close(score, torch.tensor([0.0]), atol=1e-4, rtol=0)


def test_the_energy_score_is_least_for_the_true_distribution_and_has_a_gradient_where_samples_meet() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(1, 2000, 2, generator=generator)
    noise = torch.randn(1, 2000, 2, generator=generator)
    scores = {scale: float(energy_score(scale * noise, targets)) for scale in (0.0, 0.7, 1.0, 1.4)}
    assert min(scores, key=lambda scale: scores[scale]) == 1.0
    same = torch.zeros(1, 3, 2, requires_grad=True)
    energy_score(same, torch.zeros(1, 1, 2)).sum().backward()
    assert same.grad is not None and bool(torch.isfinite(same.grad).all())


def test_variety_0_gives_the_regressed_feature_1_a_unit_vector_and_half_the_middle(fitted: FeatureSampler) -> None:
    feature, noise = two_sexes(20).predicted, torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fitted(feature, noise, 0.0), feature)
    whole = fitted(feature, noise)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(20))
    torch.testing.assert_close(fitted(feature, noise, 0.5), (feature + whole) / 2)


def test_guidance_moves_the_most_telling_face_away_from_the_mean_and_leaves_samples_alone(
    fitted: FeatureSampler,
) -> None:
    guided = FeatureSampler(SamplerConfig(condition_size=1, width=32, guidance=2.5), 6)
    guided.load_state_dict(fitted.state_dict())
    feature, noise = two_sexes(20).predicted, torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    telling = guided(feature, noise, 0.0)
    torch.testing.assert_close(telling - guided.condition_mean, 2.5 * (feature - guided.condition_mean))
    assert torch.equal(telling, guided.guide(feature))
    whole = guided(feature, noise)
    torch.testing.assert_close(whole, fitted(feature, noise))
    torch.testing.assert_close(guided(feature, noise, 0.5), (telling + whole) / 2)


def test_samples_have_the_sex_that_voices_tell_as_often_as_voices_are_right(fitted: FeatureSampler) -> None:
    people = two_sexes(4000, seed=1)
    samples = fitted(people.predicted, torch.randn(4000, 6, generator=torch.Generator().manual_seed(2)))
    agree = (samples[:, 0].sign() == people.predicted[:, 0].sign()).float().mean()
    assert agree.item() == pytest.approx(0.9, abs=0.03)
    # Two peaks, as faces have.
    assert (samples[:, 0].abs() < 0.25).float().mean() < 0.05
    true_spread, spread = (rows[:, 1:].std(dim=0).mean().item() for rows in (people.true, samples))
    assert spread == pytest.approx(true_spread, rel=0.1)


def test_held_out_people_score_the_sampler_better_than_a_gaussian_and_that_better_than_the_mean(
    fitted: FeatureSampler,
) -> None:
    people = two_sexes(300, seed=3)
    scores = score_sampler(fitted, people, people.true.mean(dim=0), torch.Generator().manual_seed(0))
    ordered = [scores[f"sampler/energy_score{kind}"] for kind in ("", "_gaussian", "_regressed")]
    assert ordered[0] < ordered[1] < 0.8 * ordered[2]
    assert scores["sampler/cosine_samples"] == pytest.approx(scores["sampler/cosine_true"], abs=0.06)


def test_the_same_seed_fits_the_same_sampler_and_a_handful_of_people_a_gaussian() -> None:
    def fit(num_people: int) -> FeatureSampler:
        torch.manual_seed(0)
        sampler = FeatureSampler(SamplerConfig(), 6)
        people = two_sexes(num_people)
        fit_sampler(sampler, people, people.true, torch.Generator().manual_seed(0))
        return sampler

    first, second = fit(60), fit(60)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert first.network[-1].weight.any() and not fit(4).network[-1].weight.any()
    assert all(bool(torch.isfinite(value).all()) for value in fit(2).state_dict().values())


def test_rows_are_chosen_and_sorted_by_person() -> None:
    rows = torch.arange(5.0)[:, None]
    people = VoicedPeople.collect([7, 2], rows, np.array([2, 7, 3, 2, 7]), rows[:3], np.array([3, 2, 7]))
    assert people.predicted[:, 0].tolist() == [1, 4, 0, 3] and people.person_of_predicted.tolist() == [0, 0, 1, 1]
    assert people.true[:, 0].tolist() == [2, 1] and people.person_of_true.tolist() == [0, 1] and len(people) == 2


def test_samples_of_a_voice_differ_by_noise_alone_and_repeat_with_a_seed() -> None:
    encoder = encoder_with_noise()
    samples = encoder.sample(VOICES, 3, generator=torch.Generator().manual_seed(5))
    assert samples.shape == (2, 3, 6)
    assert not torch.allclose(samples[0, 0], samples[0, 1], atol=0.05)
    torch.testing.assert_close(encoder.sample(VOICES, 3, generator=torch.Generator().manual_seed(5)), samples)
    mean = encoder.encode(VOICES).feature
    torch.testing.assert_close(encoder.sample(VOICES, 2, variety=0), mean[:, None].expand(-1, 2, -1))
    encoder.require_sampler().guidance = 2.0  # the mean over voices of this sampler is 0
    torch.testing.assert_close(encoder.sample(VOICES, 2, variety=0), 2 * mean[:, None].expand(-1, 2, -1))


def test_variety_needs_a_sampler_and_lies_between_0_and_1() -> None:
    without = VoiceEncoder(replace(CONFIG, sampler=None)).eval()
    with pytest.raises(ModelError, match=r"has no sampler, so variety must be 0"):
        without.sample(VOICES, 2, variety=0.5)
    assert without.sample(VOICES, 2, variety=0).shape == (2, 2, 6)
    with pytest.raises(ConfigError, match=r"variety 1.5 must be between 0 and 1"):
        encoder_with_noise().sample(VOICES, 2, variety=1.5)


def test_a_saved_sampler_gives_the_same_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sampler = SamplerConfig(condition_size=1, width=16, guidance=2.0)
    encoder = VoiceEncoder(replace(CONFIG, sampler=sampler)).eval()
    encoder.require_sampler().residual_root.copy_(0.5 * torch.eye(6))
    encoder.save_pretrained(tmp_path)
    loaded = VoiceEncoder.from_pretrained(tmp_path)
    assert loaded.config == encoder.config and loaded.require_sampler().guidance == 2.0
    first, second = (model.sample(VOICES, 2, generator=torch.Generator().manual_seed(0)) for model in (encoder, loaded))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_the_card_says_what_the_sampler_is_and_what_it_does_not_store() -> None:
    assert (
        "sampler" in encoder_with_noise().model_card() and "no feature of a person" in encoder_with_noise().model_card()
    )
    assert "sampler" not in VoiceEncoder(replace(CONFIG, sampler=None)).model_card()


@pytest.mark.parametrize(
    "wrong", [{"condition_size": 0}, {"width": 0}, {"guidance": 0.9}, {"guidance": np.nan}, {"guidance": np.inf}]
)
def test_a_sampler_has_a_size_and_does_not_guide_towards_the_mean(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be 1 or more"):
        SamplerConfig(**wrong)
