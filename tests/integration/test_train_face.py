"""The training of a face encoder as a user starts it, on made-up people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data.errors import ConfigError
from data.faces.analyzer import embed_crops
from data.faces.registry import load_recognizer
from data.store.dataset import ClipDataset
from encoder.faces.network import FaceEncoder
from encoder.faces.train import FaceTrainingConfig
from tests.commands import assert_one_line, call_script, kill_once, launch_script, run_script, script
from tests.synthetic import TinyWorld
from training.config import parse_config
from training.pretrained import read_training_data

NUM_IMAGES = 96


def tiny(world: TinyWorld, out: Path, *more: object) -> list[object]:
    return [
        *("--dataset", world.dataset, "--out", out, "--total-images", NUM_IMAGES, "--batch-size", 8),
        *("--micro-batch-size", 4, "--model.widths", "[4, 6, 8]", "--model.depths", "[1, 1, 1]"),
        *("--model.feature-size", 16, "--log-images", 16, "--checkpoint-images", 32, "--validate-images", 48),
        *("--ema-halflife-images", 16, "--margin.warmup-images", 32, "--learning-rate.warmup-images", 16),
        *more,
    ]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(tiny_world: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("face_encoder") / "run"
    result = run_script("train_face_encoder", *tiny(tiny_world, out))
    assert result.returncode == 0, result.stderr
    assert "test split: equal error rate" in result.stdout
    return out


def test_a_run_leaves_statistics_and_a_network_that_makes_features(finished: Path, tiny_world: TinyWorld) -> None:
    lines = [json.loads(line) for line in (finished / "stats.jsonl").open()]
    assert {"loss/margin_softmax", "loss/appearance", "train/accuracy"} <= lines[0].keys()
    assert any("val/equal_error_rate" in line for line in lines)
    card = (finished / "model" / "README.md").read_text()
    assert "people of dataset" in card and "equal error rate" in card and str(finished.parent) not in card
    clips = ClipDataset(tiny_world.dataset, "test")
    features = embed_crops(load_recognizer(str(finished / "model")), np.stack(clips.faces(0)))
    assert features.shape == (clips.num_faces[0], 16)


def test_only_training_people_are_learnt(finished: Path, tiny_world: TinyWorld) -> None:
    state = load_file(finished / "checkpoints" / f"{NUM_IMAGES:012d}" / "parts.safetensors")
    clips = ClipDataset(tiny_world.dataset, "train")
    assert state["margin.directions"].shape[0] == sum(bool(clips.faces_of(i)) for i in range(len(clips.identities)))


def test_the_model_keeps_what_it_was_trained_on(finished: Path, tiny_world: TinyWorld) -> None:
    model = FaceEncoder.from_pretrained(finished / "model")
    assert model.training_data == (read_training_data(tiny_world.dataset),)


def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(
    finished: Path, tiny_world: TinyWorld, tmp_path: Path
) -> None:
    arguments = tiny(tiny_world, tmp_path / "run")
    kill_once(tmp_path / "run" / "checkpoints" / "latest", script("train_face_encoder", *arguments))
    result = call_script("train_face_encoder", *arguments, "--resume", "--memory-gb", 2)
    assert result.returncode == 0, result.stderr
    resumed, expected = weights(tmp_path / "run"), weights(finished)
    assert resumed.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name


def test_two_processes_train_as_one_does_and_crops_may_stay_on_disk(
    finished: Path, tiny_world: TinyWorld, tmp_path: Path
) -> None:
    arguments = tiny(tiny_world, tmp_path / "run", "--memory-gb", 0)
    result = launch_script("train_face_encoder", *arguments, num_processes=2)
    assert result.returncode == 0, result.stderr
    one = weights(finished)
    for name, value in weights(tmp_path / "run").items():
        torch.testing.assert_close(value, one[name], rtol=1e-2, atol=1e-3, msg=name)


def test_its_features_replace_those_of_a_data_set_and_are_measured(
    finished: Path, tiny_world: TinyWorld, tmp_path: Path
) -> None:
    shutil.copytree(tiny_world.dataset, tmp_path / "dataset")
    options = ["--dataset", tmp_path / "dataset", "--face-encoder", finished / "model"]
    result = run_script("embed_faces", *options, "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert "features rewritten" in result.stdout and "16 numbers" in result.stdout
    assert ClipDataset(tmp_path / "dataset", "val").all_face_features()[0].shape[1] == 16
    result = call_script("evaluate_face_encoder", *options)
    assert result.returncode == 0, result.stderr
    assert "equal error rate" in result.stdout
    (measured,) = json.loads(call_script("evaluate_face_encoder", *options, "--json").stdout)
    assert f"equal error rate {100 * measured['equal_error_rate']:.2f} %" in result.stdout


def test_a_face_encoder_that_is_not_there_is_told_in_one_line(tiny_world: TinyWorld, tmp_path: Path) -> None:
    missing = f"onnx:{tmp_path / 'none.onnx'}"
    result = call_script("embed_faces", "--dataset", tiny_world.dataset, "--face-encoder", missing)
    assert_one_line(result, "error: face network onnx:")


def test_a_dry_run_writes_nothing(tiny_world: TinyWorld, tmp_path: Path) -> None:
    result = call_script("train_face_encoder", *tiny(tiny_world, tmp_path / "run", "--dry-run"))
    assert result.returncode == 0, result.stderr
    assert "would train on" in result.stdout and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model.architecture", "transformer"], "architecture"),
        (["--batch-size", "10"], "multiple of micro_batch_size"),
        (["--margin.start", "2"], "margin must be"),
        (["--memory-gb", "-1"], "negative"),
        (["--augment.flip", "2"], "at most 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tiny_world: TinyWorld, tmp_path: Path, more: list[str], message: str
) -> None:
    arguments = [str(argument) for argument in tiny(tiny_world, tmp_path / "run", *more)]
    with pytest.raises(ConfigError, match=message):
        parse_config(FaceTrainingConfig, arguments, "")
