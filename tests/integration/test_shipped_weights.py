"""The models that ship: what a user has right after the installation."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from data.faces.analyzer import embed_crops
from data.faces.registry import load_recognizer
from data.faces.shipped import shipped_weights
from data.personas.faces import render_faces
from data.personas.footage.vowels import speak
from data.personas.population import draw_population
from gan.voice2face import Voice2Face
from tests.commands import ROOT, run_script

MAX_BYTES = 12_000_000


def test_they_are_small_and_each_has_a_card() -> None:
    root = ROOT / "weights" / "personas"
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < MAX_BYTES
    for card in (root, *(root / name for name in ("face_encoder", "judge", "model"))):
        assert (card / "README.md").is_file()
    assert "toy population" in (root / "README.md").read_text()


def test_a_voice_is_drawn_without_naming_a_model(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "any.wav", speak(0, seconds=3), 16_000)
    result = run_script("generate", "--voice", tmp_path / "any.wav", "--out", tmp_path / "me.png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "me.png") as picture:
        assert picture.size == (8 * 64, 64)  # eight drawings, at variety 1


def test_the_model_was_trained_for_the_face_encoder_that_ships() -> None:
    model = Voice2Face.from_pretrained(shipped_weights("model"))
    onnx = shipped_weights("face_encoder") / "face_encoder.onnx"
    assert model.encoder.config.face_encoder.sha256 == hashlib.sha256(onnx.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["personas", "personas-judge"])
def test_the_shipped_face_networks_know_personas_again(name: str) -> None:
    population = draw_population(24, seed=3)
    personas = np.arange(24).repeat(2)
    images = render_faces(population, personas, np.tile([0, 1], 24), 64)
    features = embed_crops(load_recognizer(name), images)
    similarity = features[::2] @ features[1::2].T
    assert (similarity.argmax(axis=1) == np.arange(24)).mean() > 0.9
