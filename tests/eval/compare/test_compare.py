from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from data.errors import ConfigError
from eval.compare.methods import OURS, Stage, all_methods, choose, scale
from eval.compare.plan import SPEEDS, Comparison, plan_comparison, plan_speeds
from eval.compare.table import Value, _value
from eval.demo.plan import Machine
from gan.baselines.config import BaselineConfig
from gan.config import GanConfig
from training.config import parse_config

METHODS = all_methods(Path("configs/personas"))


def comparison(out: Path, minutes: float | None = 10, **changes: object) -> Comparison:
    settings: dict[str, object] = {
        "out": out,
        "dataset": Path("data"),
        "methods": METHODS,
        "minutes": minutes,
        "seeds": range(2),
        "judge": "personas-judge",
        "insightface_root": None,
        "machine": Machine(num_cores=2, has_gpu=False, has_bf16=True),
    }
    return Comparison(**settings | changes)  # type: ignore[arg-type]


def flag(command: list[str], name: str) -> str:
    """The last value of a flag: later ones win."""
    return command[len(command) - 1 - command[::-1].index(name) + 1]


def test_every_recipe_parses_and_the_time_of_each_method_is_the_whole() -> None:
    assert [method.name for method in METHODS] == [OURS, "speech2face", "transposed-conv", "wen", "wav2pix", "sf2f"]
    for method in METHODS:
        assert sum(stage.share for stage in method.stages) == pytest.approx(1)
        for stage in method.stages:
            assert stage.recipe().total_images > 0
            assert not stage.encoder or stage.encoder in {other.run for other in method.stages}


def test_all_methods_with_our_voice_encoder_take_the_recipe_that_is_named() -> None:
    recipe = Path("configs/personas/encoder_few_people.yaml")
    named = all_methods(Path("configs/personas"), recipe)
    changed = [method for method, usual in zip(named, METHODS, strict=True) if method != usual]
    assert [method.name for method in changed] == [OURS, "transposed-conv"]
    for method in changed:
        encoder = method.stages[0]
        assert encoder.config == recipe and encoder.recipe().model.backbone_options["num_masks"] == 3


def test_all_that_a_recipe_counts_in_images_is_scaled_and_parses_again() -> None:
    stage = METHODS[0].stages[1]
    recipe = stage.recipe()
    total = recipe.total_images // 10
    config = parse_config(GanConfig, ["--config", str(stage.config), *scale(recipe, total)], "")
    assert (config.total_images, config.log_images, config.checkpoint_images) == (total, total // 24, total // 4)
    assert config.objective.adversarial_start == recipe.objective.adversarial_start // 10
    assert config.objective.reconstruction_end == recipe.objective.reconstruction_end // 10
    assert config.learning_rate.warmup_images == recipe.learning_rate.warmup_images // 10
    assert config.ema_halflife_images == pytest.approx(recipe.ema_halflife_images / 10)
    assert config.objective.identity == recipe.objective.identity and config.batch_size == recipe.batch_size


def test_the_fusers_part_of_a_run_is_scaled_too() -> None:
    stage = METHODS[-1].stages[0]
    config = parse_config(BaselineConfig, ["--config", str(stage.config), *scale(stage.recipe(), 4_000)], "")
    assert config.fuser_images / config.total_images == pytest.approx(0.1)


def write_speed(folder: Path, run: str, precision: str, ms_per_image: float) -> None:
    path = folder / SPEEDS / f"{run}-{precision}"
    path.mkdir(parents=True)
    lines = [{"images_seen": seen, "speed/ms_per_image": ms} for seen, ms in ((8, 900.0), (16, ms_per_image))]
    (path / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_trainings_take_the_time_they_are_given_in_the_faster_precision(tmp_path: Path) -> None:
    planned = comparison(tmp_path)
    runs = {stage.run for method in METHODS for stage in method.stages}
    for run in runs:
        write_speed(tmp_path, run, "fp32", 20)
        write_speed(tmp_path, run, "bf16", 10 if run == "wav2pix" else 40)
    commands = {step.name: list(step.commands[0]) for step in plan_comparison(planned)}
    assert flag(commands["seed-0-wav2pix"], "--total-images") == str(10 * 60_000 // 10)
    assert flag(commands["seed-0-wav2pix"], "--precision") == "bf16"
    assert flag(commands["seed-1-wen"], "--total-images") == str(round(0.75 * 10 * 60_000 / 20))
    assert flag(commands["seed-1-wen"], "--precision") == "fp32"
    assert flag(commands["seed-1-wen"], "--encoder") == str(tmp_path / "seed-1" / "wen-speaker" / "model")


def test_a_training_that_two_methods_share_is_run_once_a_seed_before_those_that_need_it(tmp_path: Path) -> None:
    names = [step.name for step in plan_comparison(comparison(tmp_path, minutes=None))]
    assert len(names) == len(set(names)) == 2 * (9 + 6)
    for seed in (0, 1):
        encoder = names.index(f"seed-{seed}-wav2face-encoder")
        assert encoder < names.index(f"seed-{seed}-wav2face") < names.index(f"seed-{seed}-wav2face-report")
        assert encoder < names.index(f"seed-{seed}-transposed-conv")


def test_speeds_are_measured_in_each_precision_with_the_adversary_at_work(tmp_path: Path) -> None:
    steps = {step.name: list(step.commands[0]) for step in plan_speeds(comparison(tmp_path))}
    assert len(steps) == 2 * 9
    assert flag(steps[f"{SPEEDS}-wav2face-bf16"], "--objective.adversarial-start") == "0"
    for command in steps.values():  # pauses would count as training
        for interval in {"--sample-images", "--validate-images", "--checkpoint-images"} & set(command):
            assert flag(command, interval) == flag(command, "--total-images")
    encoder = str(tmp_path / SPEEDS / "wav2face-encoder-fp32" / "model")
    assert flag(steps[f"{SPEEDS}-wav2face-bf16"], "--encoder") == encoder
    order = list(steps)
    assert order.index(f"{SPEEDS}-wav2face-encoder-fp32") < order.index(f"{SPEEDS}-wav2face-fp32")
    avx2 = dataclasses.replace(comparison(tmp_path), machine=Machine(2, False, False))
    assert len(plan_speeds(avx2)) == 9


def test_an_encoder_of_fixed_length_is_there_when_speeds_are_measured(tmp_path: Path) -> None:
    methods = choose(all_methods(Path("configs/real")), [OURS])
    steps = {step.name: list(step.commands[0]) for step in plan_speeds(comparison(tmp_path, methods=methods))}
    assert list(steps) == [f"{SPEEDS}-{name}" for name in ("wav2face-encoder-fp32", "wav2face-fp32", "wav2face-bf16")]
    encoder = steps[f"{SPEEDS}-wav2face-encoder-fp32"]
    assert not {"--total-images", "--precision"} & set(encoder)
    assert flag(steps[f"{SPEEDS}-wav2face-bf16"], "--encoder") == str(Path(flag(encoder, "--out")) / "model")


def test_varieties_are_measured_where_there_is_a_sampler(tmp_path: Path) -> None:
    steps = {step.name: list(step.commands[0]) for step in plan_comparison(comparison(tmp_path, minutes=None))}
    assert "--varieties" in steps["seed-0-wav2face-report"] and "--varieties" in steps["seed-0-transposed-conv-report"]
    assert "--varieties" not in steps["seed-0-wav2pix-report"]


def test_heads_in_closed_form_take_what_they_take() -> None:
    stage = Stage("encoder", "train_encoder", Path("configs/real/encoder.yaml"), 0.15)
    assert stage.has_fixed_length and not METHODS[0].stages[0].has_fixed_length


def test_a_run_without_statistics_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no speed was measured"):
        plan_comparison(comparison(tmp_path))


def test_some_methods_are_chosen_in_their_own_order() -> None:
    assert [method.name for method in choose(METHODS, ["sf2f", "wen"])] == ["wen", "sf2f"]


def test_intervals_are_over_seeds_or_the_bootstraps_of_one() -> None:
    assert _value([0.5], [0.4, 0.6]) == Value(0.5, 0.4, 0.6) and _value([0.5], None) == Value(0.5)
    value = _value([1.0, 2.0, 3.0], [0.0, 9.0])
    assert value.mean == 2 and value.low == pytest.approx(2 - 4.303 / 3**0.5, abs=1e-3)  # t of 2 degrees of freedom
    assert value.high == pytest.approx(2 + 4.303 / 3**0.5, abs=1e-3)
