"""The folder that an export writes: two ONNX graphs, and export.json, which says how to call them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import ModelError, OutputError
from data.files import write_file
from data.media.audio import prepare_speech
from data.media.waveform import MIN_SPEECH_SECONDS, SAMPLE_RATE
from gan.export.graphs import OPSET, face_graph, voice_graph
from gan.export.precision import Precision, store_weights
from gan.voice2face import SYNTHETIC_NOTICE, Voice2Face

VOICE_NAME = "voice.onnx"
FACE_NAME = "face.onnx"
ABOUT_NAME = "export.json"

_FORMAT_VERSION = 1
# Above rounding, which is 1e-6 for models that were trained, and 4e-4 for random ones whose features it magnifies.
_TOLERANCE = 1e-3


def check_exporter() -> None:
    """Check that the packages are there that write and run ONNX graphs.

    Raises:
        ModelError: If one is missing.
    """
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise ModelError(f"{package} is not installed, which an export needs: pip install 'wav2face[export]'")


def write_export(model: Voice2Face, folder: Path, precision: Precision, sha256: str | None) -> dict[str, Any]:
    """Write a model's graphs, after comparing them with torch.

    Args:
        model: Model in eval mode on the CPU.
        folder: Folder, created if missing; an export in it is replaced.
        precision: How weights are stored.
        sha256: SHA-256 of the model's weights; None where it isn't known.

    Returns:
        The contents of export.json.

    Raises:
        ModelError: If this model can't be written as ONNX graphs that give torch's numbers.
        OutputError: If the folder can't be written to.
    """
    graphs_of = {VOICE_NAME: voice_graph, FACE_NAME: face_graph}
    exact = {name: trace(model) for name, trace in tqdm(graphs_of.items(), "exporting", disable=None, delay=2)}
    differences = compare_with_torch(model, exact[VOICE_NAME], exact[FACE_NAME])
    name, worst = max(differences.items(), key=lambda item: item[1])
    if not worst <= _TOLERANCE:
        raise ModelError(
            f"this model can't be exported (backbone {model.encoder.config.backbone}): the {name} of its ONNX graph "
            f"differs from torch's by {worst:.2g}, more than {_TOLERANCE:g}"
        )
    graphs = exact
    if precision != "fp32":
        graphs = {name: store_weights(graph, precision) for name, graph in exact.items()}
        differences = compare_with_torch(model, graphs[VOICE_NAME], graphs[FACE_NAME])
    about = _describe(model, graphs, precision, sha256, differences)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file_name, graph in graphs.items():
            write_file(folder / file_name, graph)
        write_file(folder / ABOUT_NAME, json.dumps(about, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"can't write the export to {folder}: {error.strerror or error}") from None
    return about


def compare_with_torch(model: Voice2Face, voice: bytes, face: bytes) -> dict[str, float]:
    """Largest differences between torch and the graphs, on noise as voices: of several lengths, one and two at a time.

    Args:
        model: Model in eval mode on the CPU.
        voice: Graph from waveforms to face features.
        face: Graph from face features to drawings.

    Returns:
        Largest absolute difference of each output.
    """
    window = model.encoder.config.window_samples
    rng = np.random.default_rng(0)
    pairs: list[tuple[str, NDArray[np.float32], torch.Tensor]] = []
    for num_voices, num_samples in ((1, SAMPLE_RATE * 3 // 4), (2, window * 7 // 3)):
        swell = 1 + np.sin(np.arange(num_samples) / rng.integers(500, 5000, (num_voices, 1)))
        waveform = (0.03 * swell * rng.standard_normal((num_voices, num_samples))).astype(np.float32)
        inputs = {"waveform": waveform}
        feature = model.encoder.encode([prepare_speech(row, "none") for row in waveform]).feature
        expected = {"feature": feature}
        if sampler := model.encoder.sampler:
            noise = rng.standard_normal((num_voices, 3, sampler.noise_size)).astype(np.float32)
            inputs |= {"noise": noise, "variety": np.array(0.7, np.float32)}
            samples = [
                sampler(row.expand(3, -1), torch.from_numpy(z), 0.7) for row, z in zip(feature, noise, strict=True)
            ]
            expected["samples"] = torch.stack(samples)
        for name, output in _run(voice, inputs).items():
            pairs.append((name, output, expected[name]))
        noise = rng.standard_normal((num_voices, model.noise_size)).astype(np.float32)
        inputs = {"feature": feature.numpy(), **({"noise": noise} if model.noise_size else {})}
        pairs.append(("image", _run(face, inputs)["image"], model.draw(feature, torch.from_numpy(noise))))
    worst: dict[str, float] = {}
    for name, output, truth in pairs:
        difference = float(np.abs(output - truth.numpy()).max()) if output.shape == truth.shape else float("inf")
        worst[name] = max(worst.get(name, 0.0), difference)
    return worst


def _run(graph: bytes, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Outputs of a graph, by name.

    Raises:
        ModelError: If ONNX Runtime can't run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, inputs)
    except Exception as error:
        # ONNX Runtime's exceptions have no base class but Exception.
        raise ModelError(f"this model can't be exported: ONNX Runtime: {' '.join(str(error).split())[:300]}") from error
    return {output.name: value for output, value in zip(session.get_outputs(), outputs, strict=True)}


def _describe(
    model: Voice2Face, graphs: dict[str, bytes], precision: Precision, sha256: str | None, differences: dict[str, float]
) -> dict[str, Any]:
    config, sampler = model.encoder.config, model.encoder.sampler
    voice_inputs = {"waveform": "[N, T] samples in [-1, 1]"}
    voice_outputs = {"feature": "[N, feature_size] regressed feature, the mean of all that fit the voice"}
    if sampler:
        voice_inputs["noise"] = "[N, K, sample_noise_size] standard normal, for K samples of each voice"
        voice_inputs["variety"] = "[] how much of what a voice leaves open is sampled: 0 (the most telling face) to 1"
        voice_outputs["samples"] = "[N, K, feature_size] features that people with such a voice have"
    face_inputs = {"feature": "[N, feature_size] regressed feature or sample"}
    if model.noise_size:
        face_inputs["noise"] = "[N, noise_size] standard normal"
    face_outputs = {"image": "[N, 3, image_size, image_size] RGB in [-1, 1]"}
    signatures = {VOICE_NAME: (voice_inputs, voice_outputs), FACE_NAME: (face_inputs, face_outputs)}
    return {
        "format_version": _FORMAT_VERSION,
        "notice": SYNTHETIC_NOTICE,
        "model_sha256": sha256,
        "face_network": {"name": config.face_encoder.name, "sha256": config.face_encoder.sha256},
        "precision": precision,
        "opset": OPSET,
        "sample_rate": SAMPLE_RATE,
        "min_samples": round(MIN_SPEECH_SECONDS * SAMPLE_RATE),
        "window_samples": config.window_samples,
        "feature_size": model.encoder.condition_size,
        "sample_noise_size": sampler.noise_size if sampler else 0,
        "noise_size": model.noise_size,
        "image_size": model.image_size,
        "preparation": "mono sound at sample_rate, min_samples or more, silence cut and not silent throughout; the "
        "graph levels loudness, repeats what is shorter than a window, averages over the windows of what is longer",
        "graphs": {
            name: {"sha256": hashlib.sha256(graphs[name]).hexdigest(), "inputs": inputs, "outputs": outputs}
            for name, (inputs, outputs) in signatures.items()
        },
        "largest_difference_from_torch": differences,
    }
