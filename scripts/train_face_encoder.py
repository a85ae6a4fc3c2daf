"""Train a face encoder: accelerate launch scripts/train_face_encoder.py --config configs/personas/face_encoder.yaml."""

from __future__ import annotations

from encoder.faces.train import FaceTrainingConfig, train_face_encoder
from training.command import run_command
from training.config import parse_config


def main(argv: list[str]) -> None:
    """Parse, then train."""
    train_face_encoder(parse_config(FaceTrainingConfig, argv, "Train a face encoder."))


if __name__ == "__main__":
    run_command(main)
