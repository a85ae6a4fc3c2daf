import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import ConfigError, MediaError, ModelError
from data.faces.protocol import FaceEncoderInfo
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig, cut_windows

FACE_ENCODER = FaceEncoderInfo("made up", "0" * 64, 16, "nowhere")
CONFIG = VoiceEncoderConfig(
    face_encoder=FACE_ENCODER,
    backbone="speech2face",
    backbone_options={"width": 2, "hidden_size": 8},
    embedding_size=4,
    window_seconds=1.0,
)


@pytest.fixture
def encoder() -> VoiceEncoder:
    torch.manual_seed(0)
    return VoiceEncoder(CONFIG).eval()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(16_000 * seconds)).astype(np.float32)


def test_an_encoding_has_a_feature_and_a_unit_embedding_for_each_voice(encoder: VoiceEncoder) -> None:
    encoding = encoder.encode([noise(0.5), noise(1.0), noise(3.7)])
    assert encoding.feature.shape == (3, 16) and encoding.embedding.shape == (3, 4)
    torch.testing.assert_close(encoding.embedding.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(encoder.face(torch.randn(2, 16)).norm(dim=1), torch.ones(2))


def test_a_voice_has_the_same_encoding_in_any_batch(encoder: VoiceEncoder) -> None:
    voices = [noise(seconds, seed) for seed, seconds in enumerate((0.6, 2.5, 1.0, 20.0))]
    together = encoder.encode(voices)
    for i, voice in enumerate(voices):
        torch.testing.assert_close(together.feature[i], encoder.encode([voice]).feature[0], rtol=1e-4, atol=1e-5)


def test_encode_drops_nothing_while_training(encoder: VoiceEncoder) -> None:
    expected = encoder.encode([noise(1)])
    encoder.train()
    torch.testing.assert_close(encoder.encode([noise(1)]).feature, expected.feature)
    assert encoder.training


def test_windows_cover_a_recording_evenly_and_repeat_a_short_one() -> None:
    recording = np.arange(10, dtype=np.float32)
    assert [list(window) for window in cut_windows(recording, 4)] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert [list(window) for window in cut_windows(recording[:3], 4)] == [[0, 1, 2, 0]]


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [(noise(0.4), "too-short"), (np.zeros((2, 16_000), np.float32), "too-short"), (noise(1) * np.nan, "not-finite")],
)
def test_a_waveform_that_cannot_be_encoded_is_refused(encoder: VoiceEncoder, waveform: np.ndarray, reason: str) -> None:
    with pytest.raises(MediaError) as error:
        encoder.encode([noise(1), waveform])
    assert error.value.reason == reason


def test_a_saved_encoder_gives_the_same_again(encoder: VoiceEncoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path)
    loaded = VoiceEncoder.from_pretrained(tmp_path)
    assert loaded.config == CONFIG
    torch.testing.assert_close(loaded.encode([noise(1)]).feature, encoder.encode([noise(1)]).feature, rtol=0, atol=0)


def test_a_saved_ge2e_encoder_needs_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = VoiceEncoder.create(VoiceEncoderConfig(face_encoder=FACE_ENCODER))
    encoder.save_pretrained(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    loaded = VoiceEncoder.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.backbone.state_dict()["linear.weight"], encoder.backbone.linear.weight)


def test_a_damaged_config_is_an_error(encoder: VoiceEncoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text())
    about["config"]["embeding_size"] = 3
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match="embeding_size"):
        VoiceEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("wrong", [{"embedding_size": 0}, {"voice_dropout": 1.0}, {"window_seconds": 0.1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        VoiceEncoderConfig(face_encoder=FACE_ENCODER, **wrong)  # type: ignore[arg-type]


def test_statistics_centre_the_inputs_of_the_heads(encoder: VoiceEncoder) -> None:
    hidden, faces = 3 + 2 * torch.randn(5000, 8), torch.randn(100, 16)
    encoder.set_input_statistics(hidden, faces)
    standard = encoder.standard_voice(hidden)
    torch.testing.assert_close(standard.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    assert standard.square().mean().item() == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(encoder.standard_face(faces).mean(0), torch.zeros(16), atol=1e-5, rtol=0)


def test_the_card_says_what_the_model_is_not_for_and_whether_it_holds_faces_of_people(encoder: VoiceEncoder) -> None:
    assert "does not tell who someone is" in encoder.model_card() and "biometric" not in encoder.model_card()
    assert "biometric data" in VoiceEncoder(replace(CONFIG, num_landmarks=3)).model_card()
