"""The steps of a comparison: trainings of equal length, and reports, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError
from encoder.train import EncoderTrainingConfig
from eval.compare.methods import Method, Stage, scale
from eval.demo.plan import Machine, launch_training, limit_threads
from eval.demo.progress import share_trained, training_rates
from eval.pages.model.runs import read_stats
from training.pipeline import Step

_SPEED_STEPS = 6
_SPEED_IMAGES = 256
SPEEDS = "speeds"
VARIETIES = (0, 1)
GALLERY = 100
QUICK_IMAGES = 48
"""Images of each training of the quick version."""


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how.

    Attributes:
        out: Folder of everything.
        dataset: Folder of the data set.
        methods: Methods.
        minutes: Minutes of training of each method; None for the quick version, with `QUICK_IMAGES` a training.
        seeds: Seeds; every method is trained with each.
        judge: E.
        insightface_root: Folder that holds `models/<pack>`; None for the default.
        machine: The machine that runs it.
    """

    out: Path
    dataset: Path
    methods: Sequence[Method]
    minutes: float | None
    seeds: Sequence[int]
    judge: str
    insightface_root: str | None
    machine: Machine

    def run(self, seed: int, stage: Stage) -> Path:
        """Run folder of a training."""
        return self.out / f"seed-{seed}" / stage.run

    def model(self, seed: int, method: Method) -> Path:
        """Folder of a method's model."""
        return self.run(seed, method.stages[-1]) / "model"

    def report(self, seed: int, method: Method) -> Path:
        """Folder of a method's report."""
        return self.out / f"seed-{seed}" / f"{method.name}-report"

    def stages(self) -> dict[str, Stage]:
        """All trainings by run, each once, in order."""
        return {stage.run: stage for method in self.methods for stage in method.stages}


def plan_speeds(comparison: Comparison) -> list[Step]:
    """Steps that measure how long an image takes in each training, in each precision that the machine has.

    An encoder of fixed length has no speed to measure, but is trained for the generator that takes it.
    """
    steps = []
    for stage in _stages_in_order(comparison):
        for precision in _precisions(comparison, stage):
            flags = [] if stage.has_fixed_length else [*_speed_flags(stage), "--precision", precision]
            steps.append(_training(comparison, stage, _speed_run(comparison, stage, precision), 0, flags))
    return steps


def plan_comparison(comparison: Comparison) -> list[Step]:
    """Steps that train and judge all methods; needs the folders that `plan_speeds` makes."""
    steps = []
    for seed in comparison.seeds:
        planned: set[str] = set()
        for method in comparison.methods:
            for stage in method.stages:
                if stage.run not in planned:
                    planned.add(stage.run)
                    run = comparison.run(seed, stage)
                    steps.append(_training(comparison, stage, run, seed, _length(comparison, stage)))
            steps.append(_reports(comparison, method, seed))
    return steps


def _stages_in_order(comparison: Comparison) -> list[Stage]:
    stages = comparison.stages().values()
    return sorted(stages, key=lambda stage: stage.script != "train_encoder")


def _speed_run(comparison: Comparison, stage: Stage, precision: str) -> Path:
    return comparison.out / SPEEDS / f"{stage.run}-{precision}"


def _speed_flags(stage: Stage) -> list[str]:
    batch = stage.recipe().batch_size
    num_images = max(_SPEED_IMAGES, batch * _SPEED_STEPS)
    # Samples, validation and checkpoints take a small part of a whole training, but most of so short a one.
    flags = [*scale(stage.recipe(), num_images, has_pauses=False), "--log-images", str(batch)]
    if stage.script == "train_gan":
        flags += ["--objective.adversarial-start", "0"]  # the expensive part of the training
    return flags


def _precisions(comparison: Comparison, stage: Stage) -> tuple[str, ...]:
    return ("fp32", "bf16") if comparison.machine.has_bf16 and not stage.has_fixed_length else ("fp32",)


def _length(comparison: Comparison, stage: Stage) -> list[str]:
    if comparison.minutes is None:
        return [*scale(stage.recipe(), QUICK_IMAGES), "--batch-size", "8"]
    if stage.has_fixed_length:
        return []
    times = {
        precision: _ms_per_image(_speed_run(comparison, stage, precision))
        for precision in _precisions(comparison, stage)
    }
    precision = min(times, key=lambda name: times[name])
    total = round(stage.share * comparison.minutes * 60_000 / times[precision])
    return [*scale(stage.recipe(), total), "--precision", precision]


def _ms_per_image(run: Path) -> float:
    times = sorted(line["speed/ms_per_image"] for line in read_stats(run)[1:] if "speed/ms_per_image" in line)
    if not times:
        raise ConfigError(f"{run}: no speed was measured; remove the folder, and run the command again")
    return float(times[len(times) // 2])


def _training(comparison: Comparison, stage: Stage, run: Path, seed: int, flags: Sequence[str]) -> Step:
    launcher, shown, environment = launch_training(comparison.machine)
    of_encoder: list[str] = []
    if stage.encoder:
        encoder = comparison.stages()[stage.encoder]
        of_speed = _speed_run(comparison, encoder, _precisions(comparison, encoder)[0])
        folder = of_speed if run.parent.name == SPEEDS else comparison.run(seed, encoder)
        of_encoder = ["--encoder", str(folder / "model")]
    fixed = [
        "--config",
        str(stage.config),
        "--dataset",
        str(comparison.dataset),
        "--out",
        str(run),
        "--seed",
        str(seed),
    ]
    minutes = stage.share * (comparison.minutes or 0.5)
    return Step(
        name=step_name(run),
        title=f"{run.parent.name.replace('-', ' ')}: {run.name}",
        commands=[[f"scripts/{stage.script}.py", *fixed, "--resume", *stage.flags, *of_encoder, *flags]],
        seconds=30 if run.parent.name == SPEEDS else 60 * minutes,
        launcher=launcher,
        shown_launcher=shown,
        environment=environment,
        share_done=lambda: share_trained(run),
        rates=lambda _: training_rates(run),
    )


def _reports(comparison: Comparison, method: Method, seed: int) -> Step:
    measured = ["--model", comparison.model(seed, method), "--dataset", comparison.dataset, "--seed", seed]
    measured += ["--judge", comparison.judge, "--out", comparison.report(seed, method)]
    if comparison.insightface_root:
        measured += ["--insightface-root", comparison.insightface_root]
    if has_sampler(method):
        measured += ["--varieties", *VARIETIES]
    commands = [["scripts/evaluate_retrieval.py", *measured, "--gallery-sizes", GALLERY]]
    return Step(
        name=f"seed-{seed}-{method.name}-report",
        title=f"seed {seed}: report of {method.title}",
        commands=[[str(part) for part in command] for command in commands],
        seconds=60,
        launcher=[sys.executable],
        shown_launcher="python",
        environment=limit_threads(comparison.machine.num_cores),
    )


def step_name(run: Path) -> str:
    """Name of the step that makes a run folder."""
    return f"{run.parent.name}-{run.name}"


def has_sampler(method: Method) -> bool:
    """Whether a method samples the face feature, so that it has a variety."""
    recipe = method.stages[0].recipe()
    return isinstance(recipe, EncoderTrainingConfig) and recipe.model.sampler is not None
