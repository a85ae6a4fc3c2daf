from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from data.store.dataset import ClipDataset
from gan.condition import ConditionedFaces
from gan.config import GanConfig
from gan.objective import FrozenNetworks
from gan.train import GanTraining
from tests.gan.batches import make_batch
from tests.synthetic import TINY_FEATURE_SIZE, TinyWorld
from training.config import parse_config
from training.run import Run
from training.stats import Stats

WIDTHS = "[8,8,8,4,4]"
MakeTraining = Callable[..., GanTraining]


@pytest.fixture
def make_training(monkeypatch: pytest.MonkeyPatch) -> MakeTraining:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")

    def make(*keys: str) -> GanTraining:
        settings = ["--generator.widths", WIDTHS, "--discriminator.widths", WIDTHS, "--generator.noise-size", "4"]
        settings += ["--objective.identity", "0", "--objective.perceptual", "0", "--batch-size", "8", "--dry-run"]
        config = parse_config(GanConfig, ["--out", "nowhere", "--precision", "fp32", *settings, *keys], "")
        features = torch.randn(16, TINY_FEATURE_SIZE, generator=torch.Generator().manual_seed(0))
        return GanTraining(config, Run(config), features, 64, FrozenNetworks())

    return make


def test_the_discriminators_learning_rate_rises_from_where_it_joins(make_training: MakeTraining) -> None:
    training = make_training(
        *("--objective.adversarial-start", "16", "--objective.adversarial-warmup", "32"),
        *("--learning-rate.warmup-images", "0", "--learning-rate.shape", "constant", "--learning-rate.start", "1e-3"),
    )
    assert training.discriminator is not None
    before = {name: value.clone() for name, value in training.discriminator.state_dict().items()}
    batch, stats, rates = make_batch(8, TINY_FEATURE_SIZE), Stats(training.run), []
    for images_seen in range(0, 64, 8):
        training.step(batch, images_seen, stats)
        rates.append(training.discriminator_optimizer.param_groups[0]["lr"])
        if images_seen == 8:
            after = training.discriminator.state_dict()
            assert all(torch.equal(after[name], before[name]) for name in before)
    assert rates[2:] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3, 1e-3])
    assert training.generator_optimizer.param_groups[0]["lr"] == 1e-3


def test_batch_statistics_are_estimated_again_for_the_averaged_weights(
    make_training: MakeTraining, tiny_world: TinyWorld
) -> None:
    training = make_training("--generator.architecture", "transposed_conv", "--objective.adversarial", "0")
    dataset = ClipDataset(tiny_world.dataset, "train")
    config = training.config
    training.set_typical_conditions(ConditionedFaces(dataset, {}, config.condition, config.objective, 0))
    for images_seen in (0, 8):
        training.step(make_batch(8, TINY_FEATURE_SIZE), images_seen, Stats(training.run))
    module = training.averaged_generator()
    assert not module.training
    first = next(part for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    assert isinstance(first, nn.BatchNorm2d) and first.running_mean is not None
    with torch.no_grad():
        maps = module.condition(training._typical_conditions).unflatten(1, (-1, 4, 4))
    torch.testing.assert_close(first.running_mean, maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(first.running_var, maps.var((0, 2, 3)), rtol=1e-3, atol=1e-4)
