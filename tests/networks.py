"""Small face networks of our own for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from encoder.faces.export import save_face_encoder
from encoder.faces.inference import measure_statistics, to_inputs
from encoder.faces.network import FaceEncoder, FaceEncoderConfig
from tests.synthetic import draw_face

FEATURE_SIZE = 24


def random_face_encoder(architecture: str = "residual") -> FaceEncoder:
    """Of random weights, with statistics that make the features of different faces differ."""
    torch.manual_seed(0)
    config = FaceEncoderConfig(
        architecture=architecture,  # type: ignore[arg-type]
        widths=(8, 12, 16),
        depths=(1, 1, 1),
        feature_size=FEATURE_SIZE,
    )
    encoder = FaceEncoder(config)
    measure_statistics(encoder, [to_inputs(np.stack([draw_face(person) for person in range(5)]))])
    return encoder


def make_face_encoder(folder: Path, architecture: str = "residual") -> Path:
    """The folder of such a network."""
    save_face_encoder(random_face_encoder(architecture), folder, "5 faces of 5 people of nowhere", None)
    return folder
