"""Train a published method: accelerate launch scripts/train_baseline.py --config configs/baselines/wav2pix.yaml."""

from __future__ import annotations

from gan.baselines.config import BaselineConfig
from gan.baselines.train import train
from training.command import run_command
from training.config import parse_config


def main(argv: list[str]) -> None:
    """Parse, train."""
    train(parse_config(BaselineConfig, argv, "Train a published method, to compare with."))


if __name__ == "__main__":
    run_command(main)
