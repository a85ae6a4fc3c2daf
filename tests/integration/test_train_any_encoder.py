"""Heads on speaker networks from elsewhere: ONNX files, transformers models, several together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import ModelError
from data.store.dataset import ClipDataset
from encoder.voice_encoder import VoiceEncoder
from eval.model_under_test import encode_voices, load_model_under_test
from gan.export.graphs import voice_graph
from gan.generator import GeneratorConfig
from gan.voice2face import Voice2Face, Voice2FaceConfig
from tests.commands import ROOT, assert_one_line, call_script
from tests.networks import write_wavlm
from tests.synthetic import TinyWorld
from tests.voice_graphs import SIZE, write_voice_graph


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voice_graph(tmp_path_factory.mktemp("network") / "net.onnx", "wespeaker")


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wavlm(tmp_path_factory.mktemp("wavlm"), hidden_size=8)


def arguments(world: TinyWorld, out: Path, backbone: str, options: dict[str, object]) -> list[object]:
    return [
        *("--config", ROOT / "configs" / "real" / "encoder.yaml", "--dataset", world.dataset, "--out", out),
        *("--total-images", 16, "--batch-size", 8, "--model.sampler", "null", "--model.window-seconds", 0.5),
        *("--model.embedding-size", 4, "--model.backbone", backbone, "--model.backbone-options", json.dumps(options)),
    ]


def test_heads_are_trained_on_an_onnx_network_and_the_model_hears_but_has_no_graph(
    tiny_world: TinyWorld, network: Path, tmp_path: Path
) -> None:
    options = {"frontend": "wespeaker"}
    result = call_script("train_encoder", *arguments(tiny_world, tmp_path / "run", f"onnx:{network}", options))
    assert result.returncode == 0, result.stderr
    encoder = VoiceEncoder.from_pretrained(tmp_path / "run" / "model")
    clips = ClipDataset(tiny_world.dataset, "test")
    first, second = (clips.waveform(int(clip)) for clip in np.flatnonzero(clips.has_voice)[:2])
    features = encoder.encode([first, second]).feature
    assert not torch.allclose(features[0], features[1], atol=1e-3)
    generator = GeneratorConfig(noise_size=4, condition_size=8, widths=(8, 8, 8, 4, 4))
    model = Voice2Face(Voice2FaceConfig(encoder.config, generator, image_size=64)).eval()
    with pytest.raises(ModelError, match="an ONNX file can't be exported"):
        voice_graph(model)


def test_heads_are_trained_on_a_network_beside_a_mix_of_layers_that_is_chosen_first(
    tiny_world: TinyWorld, network: Path, wavlm: Path, tmp_path: Path
) -> None:
    parts = [
        {"name": f"onnx:{network}", "options": {"frontend": "3dspeaker"}},
        {"name": f"hf:{wavlm}", "options": {"layers": "mix"}},
    ]
    result = call_script("train_encoder", *arguments(tiny_world, tmp_path / "run", "concat", {"parts": parts}))
    assert result.returncode == 0, result.stderr
    assert "layers are mixed by the weights 0." in result.stdout
    encoder = VoiceEncoder.from_pretrained(tmp_path / "run" / "model")
    mix = encoder.state_dict()["backbone.parts.1.mix"]
    assert mix.shape == (3,) and mix.softmax(dim=0).max() > 0.34
    assert encoder.config.backbone_options["parts"][0]["options"]["sha256"]
    assert encoder.backbone.hidden_size == SIZE + 8


def test_a_published_method_draws_from_the_vector_of_an_onnx_network(
    tiny_world: TinyWorld, network: Path, tmp_path: Path
) -> None:
    options = [
        *(
            "--config",
            ROOT / "configs" / "baselines" / "wen.yaml",
            "--dataset",
            tiny_world.dataset,
            "--encoder",
            "null",
        ),
        *("--voice.backbone", f"onnx:{network}", "--voice.backbone-options", '{"frontend": "wespeaker"}'),
        *("--generator.architecture", "residual", "--generator.widths", "[8,8,8,4,4]", "--generator.noise-size", 4),
        *("--batch-size", 4, "--total-images", 4, "--log-images", 4, "--sample-images", 4, "--precision", "fp32"),
        *("--losses.face-maps", 0, "--out", tmp_path / "run"),
    ]
    assert_one_line(call_script("train_baseline", *options, "--train-encoder", "true"), "can't be trained")
    result = call_script("train_baseline", *options, "--train-encoder", "false")
    assert result.returncode == 0, result.stderr
    model = load_model_under_test(str(tmp_path / "run" / "model"))
    clips = ClipDataset(tiny_world.dataset, "test")
    conditions, _ = encode_voices(model, clips, np.flatnonzero(clips.has_voice)[:2].tolist())
    assert conditions.shape == (2, SIZE) and model.device.type == "cpu"


def test_an_onnx_network_that_should_be_trained_is_refused_in_one_line(
    tiny_world: TinyWorld, network: Path, tmp_path: Path
) -> None:
    more = arguments(tiny_world, tmp_path / "run", f"onnx:{network}", {"frontend": "wespeaker"})
    result = call_script("train_encoder", *more, "--freeze-backbone", "false")
    assert_one_line(result, f"onnx:{network} can't be trained, because an ONNX file has no gradients")
    assert not (tmp_path / "run").exists()
