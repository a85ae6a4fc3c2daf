"""What the code of commit d5f1e1f stored is read, and drawn from, as that code did (README.md says how it was made)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from data.errors import ModelError
from data.faces.analyzer import embed_crops
from data.faces.registry import load_recognizer
from data.media.audio import prepare_speech
from data.personas.population import TRAIT_COLUMNS
from data.personas.traits import read_traits
from data.store.dataset import ClipDataset
from encoder.voice_encoder import VoiceEncoder
from gan.voice2face import Voice2Face, to_pictures
from tests.commands import call_script
from tests.synthetic import draw_face

STORED = Path(__file__).with_name("stored")
CONTENTS = json.loads((STORED / "contents.json").read_text())


def sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture
def speech() -> NDArray[np.float32]:
    dataset = ClipDataset(STORED / "folder", "all")
    return dataset.waveform(int(np.flatnonzero(dataset.has_voice)[0]))


def assert_drawn(pictures: list[Image.Image], name: str) -> None:
    """Bit for bit where convolutions add as on the machine that stored them (measured: AVX2 and AVX-512)."""
    drawn = np.concatenate([np.asarray(picture) for picture in pictures], axis=1).astype(int)
    with Image.open(STORED / f"{name}.png") as stored:
        difference = np.abs(drawn - np.asarray(stored)).max()
    assert difference <= (0 if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") else 1)


@pytest.mark.parametrize("name", ["folder", "list", "persona"])
def test_the_clips_of_a_stored_data_set_are_those_that_were_stored(name: str) -> None:
    dataset = ClipDataset(STORED / name, "all")
    clips = [dataset.clip(i) for i in range(len(dataset))]
    assert {
        clip.clip_id: {
            "identity": clip.identity,
            "waveform": None if clip.waveform is None else sha256(clip.waveform),
            "faces": [sha256(face) for face in clip.faces],
            "face_features": sha256(clip.face_features),
            "attributes": asdict(clip.attributes),
            "source": asdict(clip.source),
        }
        for clip in clips
    } == CONTENTS[name]


def test_the_traits_of_a_stored_persona_are_those_that_were_stored() -> None:
    traits = read_traits(ClipDataset(STORED / "persona", "all"))
    assert {name: sha256(getattr(traits, name)) for name in ("is_male", *TRAIT_COLUMNS)} == CONTENTS["traits"]


def test_a_stored_model_draws_what_it_drew(speech: NDArray[np.float32]) -> None:
    model = Voice2Face.from_pretrained(STORED / "voice2face")
    feature = model.encoder.encode([speech]).feature.expand(2, -1)
    assert_drawn(to_pictures(model.draw(feature, generator=torch.Generator().manual_seed(5))), "voice2face")


def test_a_stored_model_without_a_sampler_draws_from_a_recording_as_before(speech: NDArray[np.float32]) -> None:
    model = Voice2Face.from_pretrained(STORED / "voice2face")
    feature = model.encoder.encode([prepare_speech(speech)]).feature.expand(2, -1)
    expected = to_pictures(model.draw(feature, generator=torch.Generator().manual_seed(5)))
    assert model(speech, num_images=2, seed=5) == expected
    with pytest.raises(ModelError, match="no sampler"):
        model(speech, variety=1.0)


def test_a_stored_voice_encoder_is_that_of_the_model_that_was_made_from_it(speech: NDArray[np.float32]) -> None:
    alone = VoiceEncoder.from_pretrained(STORED / "encoder").encode([speech])
    within = Voice2Face.from_pretrained(STORED / "voice2face").encoder.encode([speech])
    assert torch.equal(alone.feature, within.feature) and torch.equal(alone.embedding, within.embedding)


def test_a_stored_face_encoder_gives_the_features_that_it_gave() -> None:
    network = load_recognizer(str(STORED / "face_encoder"))
    features = embed_crops(network, np.stack([draw_face(person) for person in range(2)]))
    np.testing.assert_allclose(features, CONTENTS["face_encoder"], atol=1e-5)


@pytest.mark.slow
def test_a_stored_preparation_is_known_again_and_has_nothing_left_to_do(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("yt_dlp")
    out = shutil.copytree(STORED / "list", tmp_path / "list")
    command = ["prepare_avspeech", "--csv", STORED / "list.csv", "--out", out, "--face-size", 64, "--fps", 2]
    command += ["--face-extraction-model", "hog", "--face-encoder", "personas", "--workers", 1]
    told = call_script(*command, "--status", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {
        "rows": 3,
        "published": 1,
        "pending": 0,
        "failures": {"bad-row": 1, "gone": 1},
    }
    again = call_script(*command, "--sources", tmp_path / "sources")
    assert again.returncode == 0, again.stderr
    for path in (STORED / "list").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
