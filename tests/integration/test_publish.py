"""Models go to the hub and come back, with a card; private ones stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import yaml

from data.faces.shipped import shipped_weights
from data.personas.population import draw_population
from data.personas.voices import VoiceSynthesizer
from data.store.shards import read_info, write_info
from gan.voice2face import Voice2Face
from tests.commands import assert_one_line, call_script, run_script
from tests.hub import COMMIT, Hub
from tests.synthetic import TINY_ANALYZER, TinyWorld
from training.pretrained import read_training_data


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    for name, value in {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_secret",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped model, in a folder of its own, as a training that keeps no record of its data left it."""
    folder = tmp_path / "voices" / "model"
    shutil.copytree(shipped_weights("model"), folder)
    config = json.loads((folder / "config.json").read_text())
    del config["training_data"]
    (folder / "config.json").write_text(json.dumps(config))
    # As version 0.1 wrote it, without the sections of today.
    (folder / "README.md").write_text("---\nlibrary_name: wav2face\n---\n# Voice to face\n")
    return folder


@pytest.fixture
def dataset(tiny_world: TinyWorld, tmp_path: Path) -> Path:
    shutil.copytree(tiny_world.dataset, tmp_path / "people")
    return tmp_path / "people"


def mark_private(dataset: Path) -> None:
    info = read_info(dataset)
    write_info(dataset, replace(info, extra=info.extra | {"private": True}))


def test_a_model_that_was_published_draws_the_same_from_the_hub(hub: Hub, model: Path, dataset: Path) -> None:
    pytest.importorskip("espeakng_loader")
    done = run_script("publish", "--model", model, "--dataset", dataset, "--repo", "me/voices", "--license", "cc0-1.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"published: {hub.url}/me/voices/commit/{COMMIT}"
    files = hub.repositories["me/voices"]
    assert set(files) == {"README.md", "config.json", "model.safetensors"}
    assert files["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert hub.tokens == {"hf_secret"} and hub.private == set()
    header = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert header["license"] == "cc0-1.0" and header["library_name"] == "wav2face"
    assert 'from_pretrained("me/voices")' in files["README.md"].decode()

    with VoiceSynthesizer() as synthesizer:
        speech = synthesizer.speak(draw_population(1, seed=0), persona=0, clip=0)
    voice = model.parent / "me.wav"
    soundfile.write(voice, speech, 16_000)
    pictures = [model.parent / "hub.png", model.parent / "folder.png"]
    for source, picture in zip(("me/voices", model), pictures, strict=True):
        drawn = run_script("generate", "--model", source, "--voice", voice, "--out", picture)
        assert drawn.returncode == 0, drawn.stderr
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_a_repository_can_be_private(hub: Hub, model: Path, dataset: Path) -> None:
    done = run_script("publish", "--model", model, "--dataset", dataset, "--repo", "me/voices", "--private")
    assert done.returncode == 0, done.stderr
    assert hub.private == {"me/voices"}


def test_a_hub_that_refuses_is_one_line(hub: Hub, model: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "refused")
    done = run_script("publish", "--model", model, "--dataset", dataset, "--repo", "me/voices")
    assert done.returncode == 2 and done.stderr.startswith("error: me/voices: the hub did not take it: ")
    assert done.stderr.count("\n") == 1 and hub.repositories == {}


def test_a_dry_run_shows_all_and_sends_nothing(hub: Hub, model: Path, dataset: Path) -> None:
    done = run_script("publish", "--model", model, "--dataset", dataset, "--repo", "me/voices", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"{(model / 'model.safetensors').stat().st_size:,} bytes" in done.stdout
    for words in (
        "## Training data",
        "`people`: ",
        "# Voice to face, 64 px",
        "warning: no --report",
        "nothing was sent",
    ):
        assert words in done.stdout
    assert hub.repositories == {} and hub.tokens == set()


def test_a_model_of_private_data_is_refused(model: Path, dataset: Path) -> None:
    mark_private(dataset)
    refused = "people, which is marked as private"
    assert_one_line(call_script("publish", "--model", model, "--dataset", dataset, "--dry-run"), refused)
    loaded = Voice2Face.from_pretrained(model)
    loaded.record_training_data([read_training_data(dataset)])
    loaded.save_pretrained(model)  # the record goes with the weights, wherever the data set is
    shutil.rmtree(dataset)
    assert_one_line(call_script("publish", "--model", model, "--dry-run"), refused)


def test_the_config_of_the_run_counts_too(model: Path, dataset: Path, tiny_world: TinyWorld) -> None:
    mark_private(dataset)
    (model.parent / "config.yaml").write_text(yaml.safe_dump({"dataset": str(dataset)}))
    done = call_script("publish", "--model", model, "--dataset", tiny_world.dataset, "--dry-run")
    assert_one_line(done, "people, which is marked as private")


def test_a_model_without_a_record_needs_its_data_sets_named(model: Path) -> None:
    about = json.loads((model / "config.json").read_text())
    about.pop("training_data", None)
    (model / "config.json").write_text(json.dumps(about))
    assert_one_line(call_script("publish", "--model", model, "--dry-run"), "no record", "--dataset")


def test_numbers_of_a_report_are_in_the_card(tiny_encoder: Path, tiny_world: TinyWorld, tmp_path: Path) -> None:
    of_model = ("--model", tiny_encoder, "--dataset", tiny_world.dataset)
    measured = ("--split", "all", "--judge", "none", "--gallery-sizes", 20, "--num-draws", 3)
    done = call_script("evaluate_retrieval", *of_model, *measured, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    publish = ("publish", *of_model, "--dry-run", "--report", tmp_path / "report")
    done = call_script("publish", *publish[1:])
    assert done.returncode == 0, done.stderr
    card = done.stdout[done.stdout.index("---\n") :]
    results = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]
    (metric, *_) = results[0]["metrics"]
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    expected = {entry["recall"]["10"] for entry in report["results"] if entry["space"] == "joint"}
    assert metric["type"] == "r_at_10" and metric["value"] in expected
    assert results[0]["dataset"] == {"name": "dataset", "type": "dataset", "split": "all"}
    assert "voices to faces, in the joint space, galleries of 20" in card and "Not measured yet" not in card
    for part in report["parts"].values():
        part["model"]["sha256"] = "0" * 64
    (tmp_path / "report" / "report.json").write_text(json.dumps(report))
    assert_one_line(call_script(*publish), "is about other weights")


def test_no_path_of_this_machine_goes_out(hub: Hub, model: Path, dataset: Path) -> None:
    about = json.loads((model / "config.json").read_text())
    about["config"]["encoder"]["face_encoder"]["path"] = "/home/me/secret/t.onnx"
    (model / "config.json").write_text(json.dumps(about))
    done = run_script("publish", "--model", model, "--dataset", dataset, "--repo", "me/voices")
    assert done.returncode == 0, done.stderr
    sent = hub.repositories["me/voices"]["config.json"].decode()
    assert "/home/me" not in sent and str(dataset.parent) not in sent
    assert json.loads(sent)["training_data"][0]["num_identities"] > 0


def test_mistakes_are_one_line(model: Path, tmp_path: Path) -> None:
    assert_one_line(call_script("publish", "--model", model), "--repo OWNER/NAME is needed")
    assert_one_line(call_script("publish", "--model", model, "--repo", "me"), "OWNER/NAME is expected")
    assert_one_line(call_script("publish", "--model", tmp_path / "none", "--dry-run"), "no model folder")
    face_encoder = shipped_weights("face_encoder")
    assert_one_line(call_script("publish", "--model", face_encoder, "--dry-run"), "holds a face_encoder")
    (tmp_path / "empty.json").write_text("{}")
    call = ("publish", "--model", model, "--dry-run", "--dataset", tmp_path, "--report", tmp_path / "empty.json")
    assert_one_line(call_script(*call), "no data set here")


def test_preparing_commands_can_mark_a_data_set_as_private(tiny_world: TinyWorld, tmp_path: Path) -> None:
    arguments = [
        *("--root", tiny_world.recordings, "--out", tmp_path / "marked", "--workers", 1, "--voice-activity", "none"),
        *("--face-analyzer", TINY_ANALYZER, "--insightface-root", tiny_world.pack_root, "--face-size", 64),
    ]
    done = call_script("prepare_folder", *arguments)
    assert done.returncode == 0, done.stderr
    assert not read_info(tmp_path / "marked").is_private
    assert call_script("prepare_folder", *arguments, "--private").returncode == 0
    assert read_info(tmp_path / "marked").is_private
    assert call_script("prepare_folder", *arguments).returncode == 0
    assert read_info(tmp_path / "marked").is_private
    assert read_training_data(tmp_path / "marked").is_private
