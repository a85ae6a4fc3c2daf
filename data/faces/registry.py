"""Face networks by name. Nothing is ever downloaded: a missing file is a `ModelError` that says where it belongs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from data.errors import ConfigError
from data.faces.analyzer import FaceAnalyzer
from data.faces.protocol import Device, FaceEncoderInfo, FaceRecognizer

_PROVIDERS: dict[Device, tuple[str, ...]] = {"cpu": ("CPUExecutionProvider",), "cuda": ("CUDAExecutionProvider",)}


_SAME_PERSON = {
    # Cosine thresholds by sha256 of the weights. Measured on pairs of photographs (LFW: 610 people, personas: 406):
    # false matches among pairs of different people; missed matches among pairs of one person, in brackets the same
    # where each side is the mean feature of two photographs.
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30": 0.97,  # dlib: 0 of 2.8 M; 88 % (23 %)
    "e72a5710cce378dc46472b6b845cb90647634f2738d8c3e581735cf195b9866f": 0.6,  # MobileFaceNet: 0 of 2.5 M; 30 % (3 %)
    "c88c153c415e02a10e2116522e7d12fdb4ad47c5fb8e5a4707e7be3d8a857af1": 0.92,  # personas: 0 of 3.0 M; 81 %
}


def load_recognizer(
    name: str, root: str | Path | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> FaceRecognizer:
    """Load a face network by name.

    Args:
        name: `insightface:<pack>`, `insightface:<pack>/<file without .onnx>`, `dlib`, `onnx:<path>` or the folder of a
            trained face encoder, `personas` or `personas-judge` (the networks that ship).
        root: Folder that holds `models/<pack>/`; None for `~/.insightface`.
        providers: Execution providers of onnxruntime; the first one must be available.

    Raises:
        ConfigError: If the name is unknown.
        ModelError: If a file or a package is missing, or a provider was not granted.

    Example:
        >>> judge = load_recognizer("personas-judge")
        >>> judge.info.feature_size
        128
    """
    kind, _, rest = name.partition(":")
    if kind == "insightface" and rest:
        from data.faces.insightface import load_arcface

        return load_arcface(rest, root, providers)
    if name == "dlib":
        from data.faces.dlib import DlibRecognizer

        return DlibRecognizer()
    from data.faces.onnx import is_onnx_name, load_onnx

    if is_onnx_name(name):
        return load_onnx(name, providers)
    raise ConfigError(
        f"unknown face network '{name}': use insightface:<pack>, dlib, personas, personas-judge, onnx:<path>, or the "
        "folder of a trained face encoder"
    )


@functools.cache
def cached_recognizer(name: str, root: str | None, device: Device = "cpu") -> FaceRecognizer:
    """`load_recognizer` with a cache for the process."""
    return load_recognizer(name, root, _providers(name, device))


@functools.cache
def cached_analyzer(name: str, root: str | None, device: Device = "cpu") -> FaceAnalyzer:
    """`load_analyzer` with a cache for the process."""
    return load_analyzer(name, root, _providers(name, device))


def _providers(name: str, device: Device) -> tuple[str, ...]:
    """Execution providers of onnxruntime for a device.

    Raises:
        ConfigError: If the network can run on the CPU alone.
    """
    if device == "cuda" and name.removeprefix("aligned:").startswith("dlib"):
        raise ConfigError(f"--device cuda: {name} runs on the CPU here; use an ONNX network such as insightface:<pack>")
    return _PROVIDERS[device]


def load_analyzer(
    name: str, root: str | Path | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> FaceAnalyzer:
    """Load a detector and a recognizer by name.

    Args:
        name: `insightface:<pack>`, `dlib` (HOG detector), `dlib:cnn`, or `aligned:<recognizer>`.
        root: As in `load_recognizer`.
        providers: As in `load_recognizer`.

    Raises:
        ConfigError: If the name is unknown.
        ModelError: If a file or a package is missing, or a provider was not granted.

    Example:
        >>> analyzer = load_analyzer("aligned:personas")  # pictures that are aligned crops already
        >>> analyzer.recognizer.info.name
        'personas'
    """
    kind, _, rest = name.partition(":")
    if kind == "aligned" and rest:
        return FaceAnalyzer(None, load_recognizer(rest, root, providers))
    if kind == "insightface" and rest:
        from data.faces.insightface import load_scrfd

        return FaceAnalyzer(load_scrfd(rest, root, providers), load_recognizer(name, root, providers))
    if name in ("dlib", "dlib:hog", "dlib:cnn"):
        from data.faces.dlib import DlibDetector

        return FaceAnalyzer(DlibDetector("cnn" if rest == "cnn" else "hog"), load_recognizer("dlib"))
    raise ConfigError(
        f"unknown face analyzer '{name}': use insightface:<pack>, dlib, dlib:cnn, or aligned:<face network>"
    )


def same_person_threshold(info: FaceEncoderInfo) -> float | None:
    """Cosine from which two faces count as one person's: high, because errors accumulate when many faces are linked.

    Returns:
        Threshold; None for a network for which it has not been measured.
    """
    return _SAME_PERSON.get(info.sha256)
