from __future__ import annotations

import hashlib
import json
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from data.errors import ModelError
from gan.export.folder import check_exporter, write_export
from gan.voice2face import SYNTHETIC_NOTICE, Voice2Face


class Remembered(nn.Module):
    """A generator that the exporter can't follow: numbers that leave torch become constants of the graph."""

    noise_size = 4

    def forward(self, feature: Tensor, noise: Tensor) -> Tensor:
        level = float(feature.detach().square().sum()) / 100
        return torch.full((len(feature), 3, 64, 64), 0.0) + 0 * (noise.sum() + feature.sum()) + level


def test_export_json_says_how_to_call_the_graphs(tiny_model: Voice2Face, tmp_path: Path) -> None:
    about = write_export(tiny_model, tmp_path / "new", "fp32", sha256="abc")
    assert json.loads((tmp_path / "new" / "export.json").read_text()) == about
    assert about["notice"] == SYNTHETIC_NOTICE and about["model_sha256"] == "abc"
    assert about["face_network"]["name"] == tiny_model.config.encoder.face_encoder.name
    assert (about["sample_rate"], about["window_samples"], about["min_samples"]) == (16_000, 16_000, 8_000)
    assert (about["feature_size"], about["noise_size"], about["image_size"]) == (32, 4, 64)
    assert about["sample_noise_size"] == 0 and list(about["graphs"]["voice.onnx"]["inputs"]) == ["waveform"]
    assert all(worst < 1e-3 for worst in about["largest_difference_from_torch"].values())
    for name, graph in about["graphs"].items():
        assert hashlib.sha256((tmp_path / "new" / name).read_bytes()).hexdigest() == graph["sha256"]


def test_a_graph_that_does_not_give_torchs_numbers_is_refused(tiny_model: Voice2Face, tmp_path: Path) -> None:
    with (
        mock.patch.object(tiny_model, "generator", Remembered()),
        pytest.raises(ModelError, match=r"the image of its ONNX graph differs from torch's by"),
    ):
        write_export(tiny_model, tmp_path / "new", "fp32", sha256=None)
    assert not (tmp_path / "new").exists()


def test_a_missing_package_is_named_with_its_extra() -> None:
    with (
        mock.patch("importlib.util.find_spec", return_value=None),
        pytest.raises(ModelError, match=r"onnx is not installed.*wav2face\[export\]"),
    ):
        check_exporter()
