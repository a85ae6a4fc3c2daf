"""Train the generator: accelerate launch scripts/train_gan.py --config configs/real/gan.yaml."""

from __future__ import annotations

from gan.config import GanConfig
from gan.train import train
from training.command import run_command
from training.config import parse_config


def main(argv: list[str]) -> None:
    """Parse, train."""
    train(parse_config(GanConfig, argv, "Train the generator that draws faces from face features and voices."))


if __name__ == "__main__":
    run_command(main)
