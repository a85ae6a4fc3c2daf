"""A model on a machine without torch: the command, and the example that needs numpy and onnxruntime alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from data.faces.shipped import shipped_weights
from data.files import sha256_of_file
from data.media.audio import prepare_speech
from data.personas.footage.vowels import speak
from gan.voice2face import Voice2Face, to_pictures
from tests.commands import ROOT, assert_one_line, call_script, run_script

EXAMPLE = ROOT / "examples" / "draw_with_onnx.py"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "new"
    done = run_script("export", "--out", folder)
    assert done.returncode == 0, done.stderr
    for name in ("voice.onnx", "face.onnx"):
        assert f"{folder / name}: {(folder / name).stat().st_size / 1e6:.2f} MB" in done.stdout
    assert "largest differences from torch: feature" in done.stdout
    return folder


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "me.wav", speak(0, seconds=4), 16_000)
    return tmp_path / "me.wav"


def draw(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the example outside of the checkout, as a program that was copied elsewhere."""
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env={"OMP_NUM_THREADS": "1"}, check=False)


def test_the_export_knows_the_weights_that_it_came_from(export: Path) -> None:
    about = json.loads((export / "export.json").read_text())
    assert about["model_sha256"] == sha256_of_file(shipped_weights("model") / "model.safetensors")
    assert all(difference < 1e-4 for difference in about["largest_difference_from_torch"].values())


def test_the_example_needs_numpy_and_onnxruntime_alone() -> None:
    tree = ast.parse(EXAMPLE.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def test_the_example_draws_what_torch_draws_and_marks_it(export: Path, voice: Path, tmp_path: Path) -> None:
    done = draw(export, voice, tmp_path / "me.png")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    model = Voice2Face.from_pretrained(shipped_weights("model"))
    speech = prepare_speech(soundfile.read(voice, dtype="float32")[0], voice_activity="none")
    normal = np.random.default_rng(seed=0).standard_normal
    sampler = model.encoder.require_sampler()
    noise = torch.from_numpy(normal((8, sampler.noise_size), np.float32))
    features = sampler(model.encoder.encode([speech]).feature.expand(8, -1), noise, 1.0)
    pictures = to_pictures(model.draw(features, torch.from_numpy(normal((8, model.noise_size), np.float32))))
    with Image.open(tmp_path / "me.png") as row:
        assert row.text["Description"].startswith("Synthetic image")
        drawn = np.asarray(row).astype(int)
    assert np.abs(drawn - np.concatenate([np.asarray(picture) for picture in pictures], axis=1)).max() <= 1


def test_the_example_draws_with_a_model_that_has_no_sampler(
    tiny_model: Voice2Face, voice: Path, tmp_path: Path
) -> None:
    tiny_model.save_pretrained(tmp_path / "model")
    done = call_script(
        "export", "--model", tmp_path / "model", "--out", tmp_path / "tiny", "--precision", "int8", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "tiny" / "export.json").read_text())
    assert draw(tmp_path / "tiny", voice, tmp_path / "me.png").returncode == 0
    with Image.open(tmp_path / "me.png") as row:
        assert row.size == (512, 64)


def test_the_example_refuses_what_it_can_not_read(export: Path, tmp_path: Path) -> None:
    for rate, seconds, words in ((44_100, 4, "16000 Hz"), (16_000, 0.2, "0.5 s or more")):
        soundfile.write(tmp_path / "bad.wav", np.zeros(int(rate * seconds), np.float32), rate)
        done = draw(export, tmp_path / "bad.wav", tmp_path / "bad.png")
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1
        assert not (tmp_path / "bad.png").exists()


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert_one_line(call_script("export", "--out", "model.onnx"), "model.onnx", "name a folder")
    assert_one_line(call_script("export", "--out", tmp_path / "file"), "name a folder")
    assert_one_line(call_script("export", "--out", tmp_path / "file" / "new"), "can't write the export")
    assert_one_line(call_script("export", "--out", tmp_path / "new", "--precision", "int4"), "int4")
    judge = shipped_weights("judge")
    assert_one_line(call_script("export", "--out", tmp_path / "new", "--model", judge), "a voice2face is needed")
    assert not (tmp_path / "new").exists()
