"""Time of a training step of the generator, in ms an image."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from data.errors import ConfigError, Wav2FaceError
from data.store.sampling import PersonDraw
from data.store.shards import read_info
from gan.augment import NUMBERS
from gan.balancer import MEASURE_INTERVAL
from gan.condition import FaceBatch
from gan.config import GanConfig
from gan.objective import FrozenNetworks, load_frozen_networks
from gan.train import GanTraining
from training.config import parse_config
from training.precision import has_fast_bf16
from training.run import Run
from training.stats import Stats


def measure(given: argparse.Namespace, keys: Sequence[str]) -> None:
    """Measure what the command line asks for, and print the results."""
    if given.threads:
        torch.set_num_threads(given.threads)
    config = parse_config(GanConfig, ["--out", "benchmark", *keys], "Keys of the measured training.")
    # With the discriminator from the first step, whenever it joins the training.
    config = dataclasses.replace(config, objective=dataclasses.replace(config.objective, adversarial_start=0))
    measure_training(config, given.image_size, given.steps)


def measure_training(config: GanConfig, image_size: int, num_steps: int) -> None:
    """Time steps in fp32 and bf16 by turns, so that other work on the machine slows down both equally.

    Args:
        config: Config of the training.
        image_size: Side of the images in pixels.
        num_steps: Number of measured steps in each precision.

    Raises:
        ConfigError: If there are too few steps.
    """
    if num_steps < MEASURE_INTERVAL:
        raise ConfigError(f"--steps {num_steps}: at least {MEASURE_INTERVAL} are needed, to measure all kinds of steps")
    trainings, what = {}, ""
    for precision in ("fp32", "bf16"):
        run = Run(dataclasses.replace(config, precision=precision, dry_run=True))
        networks, feature_size, what, run_config = _load_networks(config, run)
        generator = torch.Generator().manual_seed(0)
        features = torch.nn.functional.normalize(torch.randn(64, feature_size, generator=generator), dim=1)
        training = GanTraining(run_config, run, features, image_size, networks)
        batch = _random_batch(run_config, feature_size, image_size, training.noise_size).to(run.device)
        trainings[precision] = (training, batch, Stats(run, 0))
    costs: dict[str, list[float]] = {precision: [] for precision in trainings}
    for step in tqdm(range(-MEASURE_INTERVAL, num_steps), "steps", leave=False, disable=None):
        for precision, (training, batch, stats) in trainings.items():
            start = time.perf_counter()
            training.step(batch, (step % 10_000) * config.batch_size, stats)
            _synchronize(training.run.device)
            if step >= 0:  # the negative ones are for warming up
                costs[precision].append(1000 * (time.perf_counter() - start) / config.batch_size)
    print(
        f"{image_size} px, batch {config.batch_size}, {training.run.device}, {torch.get_num_threads()} threads: {what}"
    )
    for precision, values in costs.items():
        print(
            f"{precision}: mean {statistics.mean(values):6.1f} ms an image, median {statistics.median(values):.1f}, "
            f"least {min(values):.1f}"
        )
    print(f"--precision auto takes {'bf16' if has_fast_bf16(training.run.device) else 'fp32'} here")
    print(f"bf16 is {statistics.mean(costs['fp32']) / statistics.mean(costs['bf16']):.2f} times as fast as fp32")


def _load_networks(config: GanConfig, run: Run) -> tuple[FrozenNetworks, int, str, GanConfig]:
    """The networks that the configured losses need, or none where there is no such data set on this machine."""
    try:
        info = read_info(Path(config.dataset))
        networks = load_frozen_networks(config.objective, info.face_encoder, config.face_encoder_path, run.device)
        return networks, info.face_encoder.feature_size, f"with T = {info.face_encoder.name}", config
    except Wav2FaceError as error:
        objective = dataclasses.replace(config.objective, identity=0.0, perceptual=0.0)
        what = f"adversarial and pixel terms alone ({error})"
        return FrozenNetworks(), 512, what, dataclasses.replace(config, objective=objective)


def _random_batch(config: GanConfig, feature_size: int, image_size: int, noise_size: int) -> FaceBatch:
    generator = torch.Generator().manual_seed(0)
    size = config.batch_size
    draws = [PersonDraw(0, 0, position) for position in range(size)]

    def features() -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(size, feature_size, generator=generator), dim=1)

    return FaceBatch(
        images=torch.randint(256, (size, 3, image_size, image_size), dtype=torch.uint8, generator=generator),
        flipped=torch.rand(size, generator=generator) < 0.5,
        condition=features(),
        other_condition=features(),
        from_voice=torch.zeros(size, dtype=torch.bool),
        pictured=torch.rand(size, generator=generator) >= config.condition.random_share,
        judged=torch.tensor([draw.falls_into(config.objective.judged_share) for draw in draws]),
        penalised=torch.tensor([draw.falls_into(config.objective.penalised_share) for draw in draws]),
        noise=torch.randn(size, noise_size, generator=generator),
        numbers=torch.rand(size, NUMBERS, generator=generator),
    )


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
