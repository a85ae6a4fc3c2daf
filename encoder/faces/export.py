"""The folder of a face encoder: config.json, model.safetensors, README.md and the ONNX file that loaders read."""

from __future__ import annotations

import importlib.util
import io
import warnings
from pathlib import Path

import torch

from data.errors import ModelError, OutputError
from data.faces.onnx import ONNX_NAME
from data.files import write_file
from encoder.faces.network import INPUT_SIZE, FaceEncoder
from encoder.faces.verification import Verification

_OPSET = 13  # newer graphs trip onnx2torch, which the identity loss needs


def check_exporter() -> None:
    """Check before the training that the export after it is possible.

    Raises:
        ModelError: If the package that writes ONNX files is missing.
    """
    if importlib.util.find_spec("onnx") is None:
        raise ModelError("onnx is not installed, which writes the trained network: pip install 'wav2face[faces]'")


def to_onnx(encoder: FaceEncoder) -> bytes:
    """Export the network as an ONNX graph with input [batch, 3, 112, 112] and output [batch, D].

    Batch normalisation is folded into the convolutions.

    Args:
        encoder: Encoder in eval mode.
    """
    assert not encoder.training
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter by tracing is deprecated; the new one writes opset 18 and needs another package.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            encoder.cpu(),
            (torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE),),
            buffer,  # type: ignore[arg-type]
            input_names=["input"],
            output_names=["feature"],
            dynamic_axes={"input": {0: "batch"}, "feature": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


def save_face_encoder(encoder: FaceEncoder, folder: Path, training_data: str, scores: Verification | None) -> None:
    """Write the folder that `--face-encoder` takes.

    Args:
        encoder: Encoder in eval mode.
        folder: Folder, created if missing; a model in it is replaced.
        training_data: Description of the training data, for the model card.
        scores: Scores on other people, for the model card.

    Raises:
        OutputError: If it can't be written.
    """
    encoder.save_pretrained(folder)
    try:
        write_file(folder / ONNX_NAME, to_onnx(encoder))
        write_file(folder / "README.md", _card(encoder, training_data, scores))
    except OSError as error:
        raise OutputError(f"can't write the model to {folder}: {error}") from None


def _card(encoder: FaceEncoder, training_data: str, scores: Verification | None) -> str:
    config = encoder.config
    measured = f"On other people: {scores.summary()}." if scores else "It was not measured."
    return f"""---
library_name: wav2face
tags:
- wav2face
- face-recognition
---

# A face encoder

From aligned faces to features of {config.feature_size} numbers whose directions depend on identity. Trained by
wav2face's `scripts/train_face_encoder.py` (softmax with an angular margin) on
{training_data}.
Faces of another kind are outside of its training. {measured}

- `{ONNX_NAME}`: input [batch, 3, {INPUT_SIZE}, {INPUT_SIZE}], RGB, (pixel - 127.5) / 127.5, aligned by the five-point
  ArcFace template; output [batch, {config.feature_size}], not of unit length. insightface's `ArcFaceONNX` reads it, and
  every `--face-encoder` of wav2face takes this folder or `onnx:` and the file's path.
- `model.safetensors` and `config.json`: `FaceEncoder.from_pretrained` ({config.architecture}, widths {config.widths},
  depths {config.depths}).

Not for recognising real people: it was tested neither for that nor for fairness.
"""
