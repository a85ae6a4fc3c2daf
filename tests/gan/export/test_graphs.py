from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from data.faces.shipped import shipped_weights
from data.media.audio import prepare_speech
from data.media.loudness import level_loudness as numpy_level_loudness
from data.personas.footage.vowels import speak
from encoder.voice_encoder import VoiceEncoderConfig
from encoder.voice_encoder import cut_windows as numpy_cut_windows
from gan.export.graphs import OPSET, cut_windows, face_graph, level_loudness, voice_graph
from gan.generator import GeneratorConfig
from gan.voice2face import Voice2Face, Voice2FaceConfig

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def shipped() -> Voice2Face:
    return Voice2Face.from_pretrained(shipped_weights("model"))


@pytest.fixture(scope="module")
def shipped_voice(shipped: Voice2Face) -> onnxruntime.InferenceSession:
    return session(voice_graph(shipped))


def session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def voices(num: int, num_samples: int) -> NDArray[np.float32]:
    return np.stack([speak(person, seconds=num_samples / 16_000 + 0.1)[:num_samples] for person in range(num)])


@pytest.mark.parametrize(
    ("num_voices", "num_samples"), [(1, 8_000), (1, 47_999), (2, 48_000), (3, 48_001), (2, 100_000), (1, 320_007)]
)
def test_features_and_samples_are_those_of_torch_for_any_length_and_batch(
    shipped: Voice2Face, shipped_voice: onnxruntime.InferenceSession, num_voices: int, num_samples: int
) -> None:
    waveform = voices(num_voices, num_samples)
    sampler = shipped.encoder.require_sampler()
    noise = np.random.default_rng(0).standard_normal((num_voices, 4, sampler.noise_size)).astype(np.float32)
    expected = shipped.encoder.encode([prepare_speech(row, "none") for row in waveform]).feature
    for variety in (0.0, 0.4, 1.0):
        inputs = {"waveform": waveform, "noise": noise, "variety": np.array(variety, np.float32)}
        feature, samples = shipped_voice.run(["feature", "samples"], inputs)
        assert np.abs(feature - expected.numpy()).max() < TOLERANCE
        for row, z, sampled in zip(expected, noise, samples, strict=True):
            truth = sampler(row.expand(4, -1), torch.from_numpy(z), variety)
            assert np.abs(sampled - truth.numpy()).max() < TOLERANCE
    assert np.abs(samples[:, 0] - samples[:, 1]).max() > 0.1


def test_loudness_and_a_constant_offset_do_not_change_features(
    shipped_voice: onnxruntime.InferenceSession,
) -> None:
    noise = np.zeros((3, 1, 128), np.float32)
    (voice,) = voices(1, 60_000)
    waveform = np.stack([voice, 0.01 * voice, 0.3 * voice + 0.2])
    feature, _ = shipped_voice.run(None, {"waveform": waveform, "noise": noise, "variety": np.array(0, np.float32)})
    assert np.abs(feature - feature[0]).max() < TOLERANCE


@pytest.mark.parametrize("num_drawings", [1, 5])
def test_drawings_are_those_of_torch(shipped: Voice2Face, num_drawings: int) -> None:
    rng = np.random.default_rng(1)
    feature = (0.1 * rng.standard_normal((num_drawings, 128))).astype(np.float32)
    noise = rng.standard_normal((num_drawings, shipped.noise_size)).astype(np.float32)
    (image,) = session(face_graph(shipped)).run(None, {"feature": feature, "noise": noise})
    assert np.abs(image - shipped.draw(torch.from_numpy(feature), torch.from_numpy(noise)).numpy()).max() < TOLERANCE


@pytest.mark.parametrize(
    ("backbone", "options", "gain"),
    [
        ("conv1d", {"width": 16}, 2),
        ("ge2e", {}, 3),
        ("inception1d", {"width": 16, "hidden_size": 16, "fuser": True}, 2),
        ("segan", {"width": 4}, 4),
        ("speech2face", {"width": 4, "hidden_size": 16}, 2),
        ("tdnn", {"width": 16}, 1),
    ],
)
def test_each_backbone_exports_with_its_spectrogram(
    shipped: Voice2Face, backbone: str, options: dict[str, Any], gain: int
) -> None:
    torch.manual_seed(0)
    config = VoiceEncoderConfig(
        backbone=backbone,
        backbone_options=options,
        window_seconds=2.5,
        face_encoder=shipped.config.encoder.face_encoder,
    )
    model = Voice2Face(Voice2FaceConfig(config, GeneratorConfig(widths=(8,) * 5)))
    with torch.no_grad():
        for parameter in model.encoder.backbone.parameters():
            if parameter.ndim > 1:
                parameter.mul_(gain)  # else random networks hear next to no difference between voices
    graph = session(voice_graph(model))
    assert [output.name for output in graph.get_outputs()] == ["feature"]
    for num_voices, num_samples in ((1, 12_000), (3, 70_000)):
        waveform = voices(num_voices, num_samples)
        (feature,) = graph.run(None, {"waveform": waveform})
        expected = model.encoder.encode([prepare_speech(row, "none") for row in waveform]).feature.numpy()
        assert np.abs(feature - expected).max() < TOLERANCE
    assert np.abs(expected[0] - expected[1]).max() > 50 * TOLERANCE


def test_a_plain_decoder_takes_no_noise(tiny_model: Voice2Face) -> None:
    config = replace(tiny_model.config, generator=GeneratorConfig(architecture="transposed_conv", widths=(8,) * 5))
    model = Voice2Face(config)
    graph = session(face_graph(model))
    assert [entry.name for entry in graph.get_inputs()] == ["feature"]
    feature = torch.randn(2, model.encoder.condition_size)
    (image,) = graph.run(None, {"feature": feature.numpy()})
    assert np.abs(image - model.draw(feature).numpy()).max() < TOLERANCE


def test_graphs_are_checked_onnx_without_the_table_of_the_transform(shipped: Voice2Face) -> None:
    graph = voice_graph(shipped)
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model)
    assert model.opset_import[0].version == OPSET >= 17
    weights = sum(parameter.numel() * 4 for parameter in shipped.encoder.parameters())
    assert len(graph) < weights + 500_000  # the transform's table alone would be 4 MB


@pytest.mark.parametrize("num_samples", [9, 10, 11, 19, 20, 21, 37, 1_003])
def test_windows_begin_where_those_of_the_encoder_do(num_samples: int) -> None:
    waveform = np.arange(num_samples, dtype=np.float32)
    expected = np.stack(numpy_cut_windows(waveform, 10))
    assert np.array_equal(cut_windows(torch.from_numpy(waveform)[None], 10)[0].numpy(), expected)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.001, 0.0), (0.05, 0.4), (0.05, 0.001), (0.0, 0.0)])
def test_loudness_is_levelled_as_for_torch(scale: float, offset: float) -> None:
    waveform = (scale * speak(0, seconds=1) + offset).astype(np.float32)
    if scale:
        waveform[100] = 3 * scale  # a peak that limits the gain
    levelled = level_loudness(torch.from_numpy(waveform)[None])[0].numpy()
    assert np.abs(levelled - numpy_level_loudness(waveform)).max() < 1e-5
