"""Train a voice encoder: accelerate launch scripts/train_encoder.py --config configs/real/encoder.yaml."""

from __future__ import annotations

from encoder.train import EncoderTrainingConfig, train_encoder
from training.command import run_command
from training.config import parse_config


def main(argv: list[str]) -> None:
    """Parse, then train."""
    train_encoder(parse_config(EncoderTrainingConfig, argv, "Train a voice encoder."))


if __name__ == "__main__":
    run_command(main)
