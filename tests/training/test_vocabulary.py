"""The three trainings share one vocabulary, and refuse the words of earlier versions."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from data.errors import ConfigError
from encoder.faces.train import FaceTrainingConfig
from encoder.train import EncoderTrainingConfig
from gan.config import GanConfig
from training.config import parse_config
from training.run import RunConfig
from training.schedule import Schedule

CONFIGS = Path(__file__).parents[2] / "configs"
TRAININGS = [EncoderTrainingConfig, FaceTrainingConfig, GanConfig]


@pytest.mark.parametrize("training", TRAININGS)
def test_lengths_are_named_in_images_and_what_changes_over_a_run_is_a_schedule(training: type) -> None:
    names = {field.name for field in dataclasses.fields(training)}
    assert {"total_images", "log_images", "checkpoint_images", "keep_checkpoints", "learning_rate"} <= names
    assert not [name for name in names if name.endswith(("_every", "_halflife", "_end"))]
    config = parse_config(training, ["--out", "run", "--dataset", "data"], "")
    assert isinstance(config.learning_rate, Schedule)
    assert config.precision == "auto"


RENAMED = [
    (EncoderTrainingConfig, "save_images", "checkpoint_images"),
    (FaceTrainingConfig, "save_images", "checkpoint_images"),
    (GanConfig, "log_every", "log_images"),
    (GanConfig, "sample_every", "sample_images"),
    (GanConfig, "checkpoint_every", "checkpoint_images"),
    (GanConfig, "ema_halflife", "ema_halflife_images"),
    (GanConfig, "learning_rate_end", "learning_rate.end"),
    (GanConfig, "warmup_images", "learning_rate.warmup_images"),
    (GanConfig, "beta2_end", "beta2.end"),
    (GanConfig, "objective.gamma_end", "objective.gamma.end"),
    (GanConfig, "objective.penalty_interval", "objective.penalised_share"),
]


@pytest.mark.parametrize(("training", "old", "new"), RENAMED)
@pytest.mark.parametrize("from_file", [True, False])
def test_an_old_key_is_refused_with_its_new_name(
    training: type[RunConfig], old: str, new: str, from_file: bool, tmp_path: Path
) -> None:
    group, _, name = old.rpartition(".")
    (tmp_path / "old.yaml").write_text(f"{group}: {{{name}: 1}}" if group else f"{name}: 1")
    flag = "--" + old.replace("_", "-")
    argv = ["--config", str(tmp_path / "old.yaml")] if from_file else [flag, "1"]
    with pytest.raises(ConfigError, match=f"^{old} was renamed: {new}"):
        parse_config(training, ["--out", "run", "--dataset", "data", *argv], "")


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("number", ["0.001", "1e-3"])
@pytest.mark.parametrize("from_file", [True, False])
def test_a_number_in_place_of_a_schedule_is_refused_with_the_keys_of_schedules(
    training: type[RunConfig], number: str, from_file: bool, tmp_path: Path
) -> None:
    (tmp_path / "old.yaml").write_text(f"learning_rate: {number}")
    argv = ["--config", str(tmp_path / "old.yaml")] if from_file else ["--learning-rate", number]
    with pytest.raises(ConfigError, match=r"learning_rate should .* not the number .*learning_rate\.start"):
        parse_config(training, ["--out", "run", "--dataset", "data", *argv], "")


def old_learning_rate(images_seen: int, total_images: int, start: float, end_share: float, warmup_images: int) -> float:
    """The formula of `learning_rate`, `learning_rate_end` and `warmup_images` before they became a schedule."""
    if images_seen < warmup_images:
        return start * (images_seen + 1) / (warmup_images + 1)
    progress = (images_seen - warmup_images) / (total_images - warmup_images)
    return start * (end_share + (1 - end_share) * (1 + math.cos(math.pi * progress)) / 2)


def old_cosine(images_seen: int, total_images: int, start: float, end: float) -> float:
    """The formula of `beta2` with its `beta2_end`."""
    return end + (start - end) * (1 + math.cos(math.pi * images_seen / total_images)) / 2


@pytest.mark.parametrize(
    ("recipe", "learning_rate"),
    [
        ("real/gan", (8e-4, 0.125, 800)),
        ("baselines/transposed_conv", (4e-4, 0.25, 2_000)),
        ("personas/gan", (8e-4, 0.1875, 800)),
        ("personas/demo/generator", (8e-4, 0.25, 800)),
    ],
)
def test_the_recipes_schedules_give_what_the_old_keys_gave(
    recipe: str, learning_rate: tuple[float, float, int]
) -> None:
    config = parse_config(GanConfig, ["--config", str(CONFIGS / f"{recipe}.yaml")], "")
    total = config.total_images
    for images_seen in (0, 1, 799, 800, 1_999, 2_000, total // 3, total - 16, total):
        assert config.learning_rate.at(images_seen, total) == pytest.approx(
            old_learning_rate(images_seen, total, *learning_rate)
        )
        assert config.beta2.at(images_seen, total) == pytest.approx(old_cosine(images_seen, total, 0.9, 0.99))
