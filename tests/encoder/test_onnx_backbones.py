"""ONNX files as backbones, with made-up graphs, and several backbones side by side."""

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from data.errors import ConfigError, ModelError, Wav2FaceError
from data.faces.protocol import FaceEncoderInfo
from encoder.backbones import build_backbone, check_training, complete_backbone, list_parts
from encoder.backbones.onnx import FOLDER_VARIABLE
from encoder.backbones.published import PUBLISHED
from encoder.front_ends import build_front_end
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig
from tests.commands import ROOT
from tests.golden import normal
from tests.voice_graphs import SIZE, write_voice_graph

GRAPHS = {
    "wespeaker": "wespeaker",
    "3dspeaker": "wespeaker",
    "speechbrain": "speechbrain",
    "nemo": "nemo",
    "waveform": "waveform",
}


def voices(num: int = 2, seconds: float = 0.7) -> torch.Tensor:
    return 0.1 * normal(num, int(16_000 * seconds)).cumsum(dim=1).sin()


def encoder(backbone: str, **options: object) -> VoiceEncoder:
    face_encoder = FaceEncoderInfo("t", "0" * 64, 4, "")
    config = VoiceEncoderConfig(
        backbone=backbone, backbone_options=options, embedding_size=3, window_seconds=0.5, face_encoder=face_encoder
    )
    return VoiceEncoder.create(config).eval()


@pytest.mark.parametrize("front_end", GRAPHS)
def test_a_network_gets_its_front_end_and_gives_its_vector(front_end: str, tmp_path: Path) -> None:
    path = write_voice_graph(tmp_path / "net.onnx", GRAPHS[front_end])
    backbone = build_backbone(*complete_backbone(f"onnx:{path}", {"frontend": front_end}))
    assert backbone.hidden_size == SIZE and not list(backbone.state_dict())
    vectors = backbone(voices())
    session = onnxruntime.InferenceSession(str(path))
    for vector, waveform in zip(vectors, voices(), strict=True):
        feed = {session.get_inputs()[0].name: build_front_end(front_end)(waveform[None]).numpy()}
        if front_end == "nemo":
            feed["length"] = np.array([11_200 // 160])
        if front_end == "speechbrain":
            feed["lengths"] = np.ones(1, "f4")
        expected = session.run([session.get_outputs()[-1].name], feed)[0].reshape(-1)
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(vectors[0], vectors[1])


def test_a_model_is_saved_without_the_network_and_loads_with_the_same_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_voice_graph(tmp_path / "net.onnx", "wespeaker")
    trained = encoder(f"onnx:{path}", frontend="wespeaker")
    trained.save_pretrained(tmp_path / "model")
    assert not any(name.startswith("backbone") for name in trained.state_dict())
    waveform = voices()[0].numpy()
    expected = trained.encode([waveform]).feature

    def load() -> torch.Tensor:
        return VoiceEncoder.from_pretrained(tmp_path / "model").encode([waveform]).feature

    assert torch.equal(load(), expected)
    (tmp_path / "moved").mkdir()
    path.rename(tmp_path / "moved" / "net.onnx")
    with pytest.raises(ModelError, match=f"no such file.*{FOLDER_VARIABLE}"):
        load()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "moved"))
    assert torch.equal(load(), expected)
    write_voice_graph(path, "wespeaker", seed=1)
    assert torch.equal(load(), expected)
    monkeypatch.delenv(FOLDER_VARIABLE)
    with pytest.raises(ModelError, match="another file than the model was made with"):
        load()


def test_a_copy_of_a_model_gives_the_same(tmp_path: Path) -> None:
    path = write_voice_graph(tmp_path / "net.onnx", "waveform")
    trained = encoder(f"onnx:{path}", frontend="waveform")
    assert torch.equal(copy.deepcopy(trained)(voices()).feature, trained(voices()).feature)


def test_the_output_is_chosen_by_name_where_it_is_not_clear(tmp_path: Path) -> None:
    path = write_voice_graph(tmp_path / "net.onnx", "nemo")
    name, options = complete_backbone(f"onnx:{path}", {"frontend": "nemo", "output": "logits"})
    assert build_backbone(name, options).hidden_size == 3
    with pytest.raises(ConfigError, match=r"outputs logits, embs: name the vector by backbone_options\.output"):
        build_backbone(name, {**options, "output": "embeddings"})


def test_a_known_file_has_its_front_end_and_its_absence_says_where_it_is(tmp_path: Path) -> None:
    for name, network in PUBLISHED.items():
        with pytest.raises(ModelError) as raised:
            complete_backbone(f"onnx:{tmp_path / name}", {})
        message = str(raised.value)
        assert network.source in message and network.licence in message and f"{network.error_rate:.2f} %" in message
        assert "\n" not in message
    path = write_voice_graph(tmp_path / "nemo_en_titanet_large.onnx", "nemo")
    assert complete_backbone(f"onnx:{path}", {})[1]["frontend"] == "nemo"


def test_the_docs_list_the_same_published_networks() -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    for name, network in PUBLISHED.items():
        row = next(line for line in text.splitlines() if f"`{name}`" in line)
        assert f"{network.error_rate:.2f}" in row and network.licence in row and network.source in row
        assert f"`{network.front_end}`" in row


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs its frontend"),
        ({"frontend": "nemo"}, "is the frontend right"),
        ({"frontend": "kaldi"}, "wespeaker, 3dspeaker"),
        ({"frontend": "wespeaker", "layers": "mix"}, "layers"),
    ],
)
def test_wrong_options_are_errors_of_one_line(options: dict[str, str], message: str, tmp_path: Path) -> None:
    path = write_voice_graph(tmp_path / "net.onnx", "wespeaker")
    with pytest.raises(Wav2FaceError, match=message) as raised:
        build_backbone(*complete_backbone(f"onnx:{path}", options))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_network_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelError, match="onnxruntime can't load it") as raised:
        build_backbone(*complete_backbone(f"onnx:{tmp_path / 'net.onnx'}", {"frontend": "nemo"}))
    assert "\n" not in str(raised.value)


def test_an_onnx_backbone_is_refused_where_gradients_are_needed(tmp_path: Path) -> None:
    check_training("onnx:net.onnx", {}, freeze=True)
    for name in ("onnx:net.onnx", "concat:[ge2e,onnx:net.onnx]"):
        with pytest.raises(ConfigError, match=r"onnx:net\.onnx can't be trained"):
            check_training(name, {}, freeze=False)
    with pytest.raises(ConfigError, match="tdnn has no published weights"):
        check_training("concat", {"parts": [{"name": "ge2e"}, {"name": "tdnn"}]}, freeze=True)
    check_training("concat:[tdnn,conv1d]", {}, freeze=False)


def test_a_concat_holds_the_vectors_of_its_parts_each_of_length_one(tmp_path: Path) -> None:
    path = write_voice_graph(tmp_path / "net.onnx", "wespeaker")
    parts = [{"name": "ge2e"}, {"name": f"onnx:{path}", "options": {"frontend": "wespeaker"}}]
    trained = encoder("concat", parts=parts)
    assert trained.backbone.hidden_size == 256 + SIZE
    hidden = trained.hidden(voices())
    both = [build_backbone(*complete_backbone(part["name"], part.get("options", {}))) for part in parts]  # type: ignore[arg-type, call-overload]
    both[0].load_pretrained()
    torch.testing.assert_close(hidden, torch.cat([F.normalize(part(voices())) for part in both], dim=1))
    trained.save_pretrained(tmp_path / "model")
    loaded = VoiceEncoder.from_pretrained(tmp_path / "model")
    assert loaded.config.backbone_options["parts"][1]["options"]["sha256"]
    torch.testing.assert_close(loaded.hidden(voices()), hidden)


def test_a_concat_is_written_in_brackets_as_well(tmp_path: Path) -> None:
    path = write_voice_graph(tmp_path / "nemo_en_titanet_large.onnx", "nemo")
    name, options = complete_backbone(f"concat:[ge2e, onnx:{path}]", {})
    assert name == "concat" and [part["name"] for part in options["parts"]] == ["ge2e", f"onnx:{path}"]
    assert complete_backbone(name, options) == (name, options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("concat", {}, "two or more"),
        ("concat:ge2e,tdnn", {}, r"concat:\[ge2e,onnx:<file>\]"),
        ("concat", {"parts": ["ge2e", "tdnn"]}, "a part is a name and options"),
        ("concat", {"parts": [{"name": "ge2e"}, {"name": "concat"}]}, "a concat itself"),
        ("concat", {"parts": [{"name": "ge2e"}, {"name": "tdnn"}], "width": 8}, "no other"),
    ],
)
def test_a_wrong_concat_is_an_error(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list_parts(name, options)
