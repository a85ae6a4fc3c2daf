from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from data.errors import ConfigError, DatasetError
from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw
from gan.baselines.config import BaselineConfig
from gan.baselines.data import VoicedBatch, VoicedFaces, collate
from gan.baselines.train import BaselineTraining, make_encoder
from gan.losses import discriminator_loss, generator_loss
from tests.synthetic import TinyWorld
from training.config import parse_config
from training.run import Run
from training.stats import Stats

MakeTraining = Callable[..., BaselineTraining]
TDNN = ("--voice.backbone", "tdnn", "--voice.backbone-options", '{"width": 8, "hidden_size": 16}')
SMALL = ("--generator.architecture", "residual", "--generator.widths", "[8,8,8,4,4]", "--generator.noise-size", "4")


@pytest.fixture
def make_training(monkeypatch: pytest.MonkeyPatch, tiny_world: TinyWorld) -> MakeTraining:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    dataset = ClipDataset(tiny_world.dataset, "train")

    def make(*keys: str) -> BaselineTraining:
        fixed = ("--out", "nowhere", "--precision", "fp32", "--dry-run", "--voice.window-seconds", "1.0")
        config = parse_config(BaselineConfig, [*fixed, *TDNN, *SMALL, *keys], "")
        return BaselineTraining(config, Run(config), make_encoder(config, dataset), 5, 64, None)

    return make


def make_batch(condition_size: int = 16) -> VoicedBatch:
    generator = torch.Generator().manual_seed(0)
    return VoicedBatch(
        images=torch.rand(4, 3, 64, 64, generator=generator) * 2 - 1,
        flipped=torch.zeros(4, dtype=torch.bool),
        voices=torch.randn(4, 16_000, generator=generator) * 0.1,
        people=torch.arange(4),
        speakers=torch.tensor([1, 2, 3, 4]),
        noise=torch.randn(4, 4, generator=generator),
        condition_noise=torch.randn(4, condition_size, generator=generator),
    )


def state(training: BaselineTraining, name: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in training.network(name).state_dict().items()}


def changed(training: BaselineTraining, name: str, before: dict[str, torch.Tensor]) -> set[str]:
    after = training.network(name).state_dict()
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_adversarial_losses_are_those_of_the_papers() -> None:
    real, fake, wrong = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 1.0]), torch.tensor([0.5, 0.5])
    fakes = [(1.0, fake), (2.0, wrong)]

    def softplus(value: float) -> torch.Tensor:
        return torch.nn.functional.softplus(torch.tensor(value))

    bce = (softplus(-2.0) + softplus(0.0)) / 2 + (softplus(-1.0) + softplus(1.0)) / 2 + 2 * softplus(0.5)
    torch.testing.assert_close(discriminator_loss("bce", real, fakes), bce)
    lsgan = (1.1**2 + 0.9**2) / 2 + 1.0 + 2 * 0.25
    assert discriminator_loss("lsgan", real, fakes, real_label=0.9).item() == pytest.approx(lsgan)
    assert discriminator_loss("hinge", real, fakes).item() == pytest.approx(0.5 + 1.0 + 2 * 1.5)
    pairs = (softplus(-3.0) + softplus(1.0)) / 2 + 2 * (softplus(-1.5) + softplus(0.5)) / 2
    torch.testing.assert_close(discriminator_loss("relativistic", real, fakes), pairs)
    torch.testing.assert_close(generator_loss("bce", fake, real), (softplus(1.0) + softplus(-1.0)) / 2)
    assert generator_loss("lsgan", fake, real, real_label=0.9).item() == pytest.approx((1.9**2 + 0.1**2) / 2)
    assert generator_loss("hinge", fake, real).item() == 0
    torch.testing.assert_close(generator_loss("relativistic", fake, real), (softplus(3.0) + softplus(-1.0)) / 2)


@pytest.mark.parametrize("discriminator", ["wen", "wav2pix", "sf2f"])
def test_a_step_trains_every_network_with_its_own_optimizer(make_training: MakeTraining, discriminator: str) -> None:
    training = make_training(
        *("--discriminator", discriminator, "--losses.identity", "1" if discriminator != "wav2pix" else "0"),
        *("--losses.speaker", "1", "--losses.pixel", "1", "--losses.wrong-face", "1"),
        *("--generator-adam.learning-rate", "1e-3", "--encoder-adam.learning-rate", "2e-3"),
    )
    before = {name: state(training, name) for name in training.networks}
    training.step(make_batch(), Stats(training.run))
    assert training.networks.keys() == {"generator", "encoder", "speaker_head", "discriminator"}
    assert all(changed(training, name, weights) for name, weights in before.items())
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in training.optimizers.items()}
    assert rates == {"generator": 1e-3, "encoder": 2e-3, "speaker_head": 2e-3, "discriminator": 2e-4}


def test_the_generators_loss_leaves_the_discriminator_alone(make_training: MakeTraining) -> None:
    training = make_training("--discriminator", "wen", "--losses.identity", "1")
    batch = make_batch()
    condition = training._condition(batch)
    drawings = training.networks["generator"](condition, batch.noise)
    torch.stack(list(training._generator_losses(batch, condition, drawings).values())).sum().backward()
    assert all(weight.grad is None for weight in training.network("discriminator").parameters())
    assert all(weight.requires_grad for weight in training.network("discriminator").parameters())
    assert any(weight.grad is not None for weight in training.network("encoder").parameters())


def test_a_frozen_voice_encoder_stays_and_its_outputs_are_the_condition(make_training: MakeTraining) -> None:
    training = make_training("--train-encoder", "false", "--condition-noise", "0.05")
    assert "encoder" not in training.networks
    batch = make_batch()
    hidden = torch.nn.functional.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    noisy = training._condition(VoicedBatch(**{**batch.__dict__, "voices": 3 * hidden}))
    torch.testing.assert_close(noisy.norm(dim=1), torch.full((4,), 3.0))
    cosine = torch.nn.functional.cosine_similarity(noisy, hidden)
    assert ((cosine > 0.9) & (cosine < 1)).all()


def test_in_the_last_part_of_a_run_the_fuser_alone_is_trained_and_the_model_reads_several_segments(
    make_training: MakeTraining,
) -> None:
    training = make_training(
        *("--voice.backbone", "inception1d", "--voice.backbone-options", '{"fuser": true, "segment_seconds": 0.5}'),
        *("--fuser-images", "8", "--discriminator", "sf2f", "--losses.identity", "0.05", "--losses.pixel", "1"),
        *("--voice.window-seconds", "0.5"),
    )
    fuser = {key for key in state(training, "encoder") if key.startswith("fuser.")}
    batch = make_batch(512)
    before = state(training, "encoder")
    training.step(batch, Stats(training.run))
    assert fuser and not changed(training, "encoder", before) & fuser
    training.train_fuser_alone()
    before, generator = state(training, "encoder"), state(training, "generator")
    training.step(batch, Stats(training.run))
    assert changed(training, "encoder", before) and changed(training, "encoder", before) <= fuser
    assert not changed(training, "generator", generator)


def test_draws_are_pure_functions_of_the_draw_and_voices_the_persons_own(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    faces = VoicedFaces(dataset, 8000, 6)
    faces.noise_size = 4
    for person in faces.people[:3]:
        draw = PersonDraw(person, 7)
        first, second = faces[draw], faces[draw]
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert first["people"] == first["speakers"] == faces.people.index(person)
        assert first["voices"].shape == (8000,) and first["noise"].shape == (4,)
        assert first["condition_noise"].shape == (6,)


def test_unpaired_voices_are_of_anybody_and_hidden_rows_of_the_speakers_clips(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    hidden = torch.arange(len(dataset)).float()[:, None, None].expand(-1, 2, 3)
    faces = VoicedFaces(dataset, 8000, 3, paired=False, hidden=hidden)
    samples = [faces[PersonDraw(faces.people[0], seed)] for seed in range(60)]
    assert len({int(sample["speakers"]) for sample in samples}) > 3
    for sample in samples:
        clip = int(sample["voices"][0])
        assert faces.people[int(sample["speakers"])] == dataset.identity_of[clip]
    assert collate(samples[:2]).voices.shape == (2, 3)


def test_two_people_with_voice_and_face_are_needed(tiny_world: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    monkeypatch.setattr(dataset, "voices_of", lambda person: [0] if person == 0 else [])
    with pytest.raises(DatasetError, match="at least two are needed"):
        VoicedFaces(dataset, 8000, 6)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("--losses.real-label", "0"), "losses.real_label 0.0: above 0 and at most 1 is needed"),
        (("--losses.adversarial", "0", "--losses.pixel", "1", "--losses.identity", "1"), "need a discriminator"),
        (("--losses.adversarial", "0"), "one of adversarial, pixel, face_maps must be above 0"),
        (("--paired", "false", "--losses.pixel", "1"), "leaves no crop to compare a drawing with"),
        (("--discriminator", "wav2pix", "--losses.identity", "1"), "wav2pix has no classifier of identities"),
        (("--discriminator", "wen", "--losses.feature-matching", "1"), "wav2pix alone gives its inner maps"),
        (("--fuser-images", "8"), "a backbone with the option fuser: true"),
        (("--condition-noise", "-1"), "it can't be negative"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(keys: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(BaselineConfig, ["--out", "nowhere", *keys], "")
