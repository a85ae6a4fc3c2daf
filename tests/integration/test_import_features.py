"""Imported features: a data set without media, an encoder of it, and its reports."""

import csv
from pathlib import Path

import numpy as np
import pytest

from encoder.voice_encoder import VoiceEncoder
from eval.report.folder import read_parts
from tests.commands import assert_one_line, call_script, run_script


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Voices and faces of 90 people that have something in common, imported."""
    folder = tmp_path_factory.mktemp("imported")
    random = np.random.default_rng(0)
    to_voice, to_face = random.normal(size=(6, 10)), random.normal(size=(6, 8))
    voices: dict[str, list] = {"features": [], "id": [], "person": [], "language": []}
    with (folder / "faces.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "person", "sex", *range(8)])
        for person in range(90):
            latent = random.normal(size=6)
            for number, language in enumerate(["English", "Urdu"]):
                voices["features"].append(latent @ to_voice + 0.3 * random.normal(size=10))
                voices["id"].append(f"voices/{person}/{number}.wav")
                voices["person"].append(f"p{person}")
                voices["language"].append(language)
                face = latent @ to_face + 0.3 * random.normal(size=8)
                table.writerow([f"faces/{person}/{number}.jpg", f"p{person}", "fm"[person % 2], *face])
    np.savez(folder / "voices.npz", **voices)
    given = ["--voices", folder / "voices.npz", "--faces", folder / "faces.csv", "--out", folder / "data"]
    names = ["--voice-network", "ecapa", "--face-network", "vggface"]
    done = run_script("import_features", *given, *names, "--split-fractions", 0.6, 0.1, 0.3)
    assert done.returncode == 0, done.stderr
    assert "imported:vggface, 8 numbers" in done.stdout
    return folder / "data"


@pytest.fixture(scope="module")
def encoder(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("encoder") / "run"
    settings = ["--model.backbone", "imported", "--model.embedding_size", 8, "--total_images", 2048]
    done = call_script("train_encoder", "--dataset", dataset, "--out", out, *settings)
    assert done.returncode == 0, done.stderr
    assert VoiceEncoder.from_pretrained(out / "model").backbone.hidden_size == 10
    return out / "model"


def test_voices_and_faces_are_matched_and_found_without_media(dataset, encoder, tmp_path):
    given = ["--model", encoder, "--dataset", dataset, "--out", tmp_path]
    done = call_script("evaluate_verification", *given, "--heard-languages", "English")
    assert done.returncode == 0, done.stderr
    results = read_parts(tmp_path)["verification"]["results"]
    pairs = [row for row in results if row["task"] == "verification"]
    assert pairs[0]["equal_error_rate"] < 0.3 and pairs[0]["area_under_curve"] > 0.8
    assert {(row["language"], row["heard"]) for row in pairs if "language" in row} == {
        ("English", True),
        ("Urdu", False),
    }
    done = call_script("evaluate_retrieval", *given, "--judge", "none", "--gallery-sizes", 10, "--num-draws", 5)
    assert done.returncode == 0, done.stderr
    retrieval = read_parts(tmp_path)["retrieval"]
    joint = next(row for row in retrieval["results"] if (row["space"], row["metric"]) == ("joint", "cosine"))
    assert joint["recall"]["1"] > 3 * joint["chance"]["1"]
    assert retrieval["lengths"] == [] and set(retrieval["pictures"]) == {"recall"}
    assert "Features were imported" in (tmp_path / "report.md").read_text()


def test_a_list_of_the_challenge_is_answered(dataset, encoder, tmp_path):
    pairs, scores = tmp_path / "English_test.txt", tmp_path / "sub_score_English_heard.txt"
    pairs.write_text("k0 voices/1/0.wav faces/1/0.jpg\nk1 voices/1/0.wav faces/2/1.jpg\n")
    given = ["--model", encoder, "--dataset", dataset, "--out", tmp_path / "report"]
    done = call_script("evaluate_verification", *given, "--pairs", pairs, "--submission", scores)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in scores.read_text().splitlines()]
    assert [key for key, _ in lines] == ["k0", "k1"]
    assert float(lines[0][1]) < float(lines[1][1])  # one person is nearer


def test_imported_vectors_and_recordings_are_not_confused(dataset, encoder, tiny_world, tiny_encoder, tmp_path):
    out = ["--out", tmp_path / "run"]
    assert_one_line(
        call_script("train_encoder", "--dataset", tiny_world.dataset, "--model.backbone", "imported", *out),
        "this one holds recordings",
    )
    assert_one_line(
        call_script("evaluate_verification", "--model", tiny_encoder, "--dataset", dataset, *out), "trained on features"
    )
    done = call_script("train_encoder", "--dataset", dataset, "--model.backbone", "ge2e", *out)
    assert done.returncode == 2 and "holds imported voice vectors of 10 numbers" in done.stderr
    unfrozen = ["--model.backbone", "imported", "--freeze_backbone", "false"]
    assert_one_line(call_script("train_encoder", "--dataset", dataset, *unfrozen, *out), "no network to train")
