"""Face networks in ONNX files: by path, as the folder of a trained face encoder, or those that ship."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.errors import ModelError
from data.faces.insightface import ArcFaceRecognizer, open_network
from data.faces.protocol import FaceEncoderInfo
from data.faces.shipped import shipped_weights

ONNX_NAME = "face_encoder.onnx"
"""The network's file in the folder of a trained face encoder."""

SHIPPED = {"personas": "face_encoder", "personas-judge": "judge"}
"""Names of the networks that ship, and their folders under weights/personas."""


def is_onnx_name(name: str) -> bool:
    """Whether a name is one of this module's: `onnx:<path>`, a path to a folder or .onnx file, or a shipped network."""
    return (
        name in SHIPPED
        or (name.startswith("onnx:") and name != "onnx:")
        or name.endswith(".onnx")
        or (name not in ("", "dlib") and Path(name).is_dir())
    )


def load_onnx(name: str, providers: Sequence[str]) -> ArcFaceRecognizer:
    """Load an ArcFace-style network.

    Args:
        name: See `is_onnx_name`.
        providers: Execution providers of onnxruntime, the wanted one first.

    Raises:
        ModelError: If the file or a package is missing, or it is no such network.
    """
    if name in SHIPPED:
        path = _shipped_file(name)
        # The name is enough to find it; the path on this machine is not stored.
        return ArcFaceRecognizer(name, path, open_network(path, providers), hint="")
    path = Path(name.removeprefix("onnx:")).expanduser()
    if path.is_dir():
        path = path / ONNX_NAME
    if not path.is_file():
        raise ModelError(
            f"face network {name}: no file {path}; train one with scripts/train_face_encoder.py, whose model folder "
            "it then is"
        )
    return ArcFaceRecognizer(f"onnx:{path}", path, open_network(path, providers))


def find_network(info: FaceEncoderInfo) -> Path:
    """Path of a network's file: the stored path if it exists, else the path in its name.

    Raises:
        ModelError: If a network that ships is not here.
    """
    if info.name in SHIPPED:
        return _shipped_file(info.name)
    hint = Path(info.path).expanduser()
    named = Path(info.name.removeprefix("onnx:"))
    return named if info.name.startswith("onnx:") and named.is_file() and not hint.is_file() else hint


def _shipped_file(name: str) -> Path:
    path = shipped_weights(SHIPPED[name]) / ONNX_NAME
    if not path.is_file():
        raise ModelError(
            f"face network {name}: {path} is missing; get it with the checkout, or train one with "
            "scripts/train_face_encoder.py and name its folder"
        )
    return path
