"""The lanes of the tests, and fixtures that many tests share; a test that changes files copies them first."""

from __future__ import annotations

import multiprocessing.process
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from data.store.dataset import ClipDataset
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig
from gan.generator import GeneratorConfig
from gan.voice2face import Voice2Face, Voice2FaceConfig
from tests.synthetic import TinyWorld, make_tiny_dataset

SHARED = Path(__file__).resolve().parents[2] / "shared"
INTEGRATION = Path(__file__).with_name("integration")

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of commands are slow, and come first, so that the quick ones fill the workers' last seconds."""
    for item in items:
        if INTEGRATION in item.path.parents:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: INTEGRATION not in item.path.parents)


@pytest.fixture(autouse=True)
def no_processes_in_the_fast_lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that starts processes has to be marked as slow."""
    if request.node.get_closest_marker("slow") is not None:
        return

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("this test starts a process: mark it with @pytest.mark.slow")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    """27 made-up people, prepared at 64 px once a session."""
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_encoder(tiny_world: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small voice encoder of random weights for the tiny data set."""
    torch.manual_seed(0)
    face_encoder = ClipDataset(tiny_world.dataset, "train").info.face_encoder
    options = {"width": 4, "hidden_size": 16}
    config = VoiceEncoderConfig(
        backbone="speech2face",
        backbone_options=options,
        embedding_size=8,
        window_seconds=1.0,
        face_encoder=face_encoder,
    )
    encoder = VoiceEncoder(config).eval()
    dataset = ClipDataset(tiny_world.dataset, "train")
    voices = [dataset.waveform(clip) for clip in np.flatnonzero(dataset.has_voice)]
    # Without the statistics a random network hears next to no difference between voices.
    encoder.set_input_statistics(encoder.hidden_of(voices), torch.from_numpy(dataset.all_face_features()[0]))
    folder = tmp_path_factory.mktemp("encoder") / "model"
    encoder.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_encoder: Path) -> Voice2Face:
    """Encoder and generator of random weights whose drawings depend on voice and noise."""
    torch.manual_seed(1)
    encoder = VoiceEncoder.from_pretrained(tiny_encoder)
    generator = GeneratorConfig(noise_size=4, condition_size=8, widths=(8, 8, 8, 4, 4))
    model = Voice2Face(Voice2FaceConfig(encoder.config, generator, image_size=64))
    model.encoder.load_state_dict(encoder.state_dict())
    return model


@pytest.fixture(scope="session")
def real_recordings() -> Path:
    """The private recordings of real people, where they are."""
    folder = SHARED / "real"
    if not folder.is_dir():
        pytest.skip("../shared/real (private recordings) is not here")
    return folder


@pytest.fixture(scope="session")
def real_insightface_root() -> Path:
    """An insightface root with the pack `small`, where it is."""
    folder = SHARED / "insightface"
    if not (folder / "models" / "small").is_dir():
        pytest.skip("../shared/insightface (pack 'small') is not here")
    return folder
