"""The smallest complete training: what the real ones do with training/, on random numbers."""

from __future__ import annotations

import atexit
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from training.checkpoints import Checkpoints
from training.command import run_command
from training.config import parse_config
from training.ema import ExponentialMovingAverage
from training.pretrained import PretrainedModel
from training.run import Run, RunConfig
from training.schedule import Schedule, crossed, set_learning_rate
from training.stats import Stats, check_finite


@dataclass(frozen=True)
class ToyModelConfig:
    width: int = 8
    strides: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, kw_only=True)
class ToyConfig(RunConfig):
    """A toy training.

    Attributes:
        model: The network.
        learning_rate: Over the run.
        total_images: Length of the run.
        batch_size: Over all processes.
        seconds_a_step: Slows it down, for those who want to interrupt it.
    """

    model: ToyModelConfig = field(default_factory=ToyModelConfig)
    learning_rate: Schedule = field(default_factory=lambda: Schedule(1e-2, 0.0, "cosine", warmup_images=16))
    total_images: int = 128
    batch_size: int = 8
    seconds_a_step: float = 0.0


class ToyModel(PretrainedModel):
    config_class = ToyModelConfig
    model_type = "toy"

    def __init__(self, config: ToyModelConfig) -> None:
        super().__init__(config)
        strides = zip((3, config.width), (config.width, config.width), config.strides, strict=True)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride, padding=1) for a, b, stride in strides)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            images = torch.nn.functional.softplus(layer(images))
        return images.mean(dim=(1, 2, 3))


def count_gloo_threads() -> int:
    """Threads of gloo in this process; Linux alone tells their names."""
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    return sum("gloo" in name for name in names)


def main(argv: list[str]) -> None:
    if "WORLD_SIZE" in os.environ:  # one of several processes
        # Handlers run in reverse order: this one sees what the run's own left.
        atexit.register(lambda: print(f"ends with {count_gloo_threads()} threads of gloo", flush=True))
    config = parse_config(ToyConfig, argv, "Train next to nothing.")
    run = Run(config)
    run.seed_step(0)
    torch.manual_seed(config.seed)
    model = ToyModel(config.model).to(run.device, memory_format=torch.channels_last)
    ema = ExponentialMovingAverage(model, halflife_images=64)
    prepared = run.accelerator.prepare(model)
    optimizer = torch.optim.AdamW(prepared.parameters())
    checkpoints = Checkpoints(run)
    for name, part in {"model": prepared, "ema": ema, "optimizer": optimizer}.items():
        checkpoints.register(name, part)
    images_seen = checkpoints.load_latest() or 0
    stats = Stats(run, images_seen)
    share = config.batch_size // run.num_processes
    while images_seen < config.total_images:
        time.sleep(config.seconds_a_step)
        set_learning_rate(optimizer, config.learning_rate.at(images_seen, config.total_images))
        images = torch.randn(config.batch_size, 3, 8, 8, generator=run.generator(images_seen))
        images = images[run.rank * share : (run.rank + 1) * share].to(run.device)
        optimizer.zero_grad()
        for rows in run.micro_batches(share, 2, prepared):
            real = images[rows].requires_grad_()
            with run.autocast():
                scores = prepared(real)
            (slope,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
            loss = (scores - 1).square().mean() + slope.square().sum(dim=(1, 2, 3)).mean()
            check_finite({"loss": loss}, images_seen)
            (loss * len(real) / share).backward()
            stats.add("loss", loss)
        optimizer.step()
        ema.update(config.batch_size)
        before, images_seen = images_seen, images_seen + config.batch_size
        if crossed(32, before, images_seen):
            stats.flush(images_seen)
            checkpoints.save(images_seen)
    if run.is_main:
        ema.module.save_pretrained(run.folder / "model")
    run.log(f"finished in {run.num_processes} processes")
    run.finish()


if __name__ == "__main__":
    run_command(main)
