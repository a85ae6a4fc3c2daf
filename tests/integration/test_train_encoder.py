"""The training of the voice encoder as a user starts it, on made-up people."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data.errors import ConfigError
from data.store.dataset import ClipDataset
from data.store.shards import read_info, write_info
from encoder.train import EncoderTrainingConfig
from encoder.voice_encoder import VoiceEncoder
from tests.commands import ROOT, assert_one_line, call_script, kill_once, launch_script, run_script, script
from tests.synthetic import TinyWorld
from training.config import parse_config

NUM_IMAGES = 96


def tiny(world: TinyWorld, out: Path, *more: object) -> list[object]:
    """The stack trained from scratch, which has everything that can go wrong: batches of sound, dropout, norms."""
    options = '{"width": 2, "hidden_size": 16}'
    return [
        *("--dataset", world.dataset, "--out", out, "--freeze-backbone", "false"),
        *("--model.backbone", "speech2face", "--model.backbone-options", options, "--model.window-seconds", 0.5),
        *("--model.embedding-size", 8, "--model.voice-dropout", 0.2, "--losses.am-softmax", 0.5),
        *("--losses.distillation", 0.1, "--batch-size", 8, "--total-images", NUM_IMAGES),
        *("--log-images", 16, "--checkpoint-images", 32, "--validate-images", 48, "--learning-rate.start", 0.001),
        *more,
    ]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(tiny_world: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("encoder") / "run"
    result = run_script("train_encoder", *tiny(tiny_world, out))
    assert result.returncode == 0, result.stderr
    return out


def test_a_run_leaves_statistics_checkpoints_and_a_model_that_hears(finished: Path, tiny_world: TinyWorld) -> None:
    lines = [json.loads(line) for line in (finished / "stats.jsonl").open()]
    assert {"loss/info_nce", "loss/am_softmax", "loss/cosine", "loss/distillation"} <= lines[0].keys()
    assert any("val/joint_recall_at_10pct" in line for line in lines)
    assert (finished / "checkpoints" / "latest").read_text() == f"{NUM_IMAGES:012d}"
    clips = ClipDataset(tiny_world.dataset, "test")
    voiced = int(np.flatnonzero(clips.has_voice)[0])
    encoder = VoiceEncoder.from_pretrained(finished / "model")
    assert encoder.encode([clips.waveform(voiced)]).feature.shape == (1, clips.info.face_encoder.feature_size)
    assert encoder.config.face_encoder.sha256 == clips.info.face_encoder.sha256


def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(
    finished: Path, tiny_world: TinyWorld, tmp_path: Path
) -> None:
    arguments = tiny(tiny_world, tmp_path / "run")
    kill_once(tmp_path / "run" / "checkpoints" / "latest", script("train_encoder", *arguments))
    assert not (tmp_path / "run" / "model").exists()
    result = call_script("train_encoder", *arguments, "--resume")
    assert result.returncode == 0, result.stderr
    resumed, expected = weights(tmp_path / "run"), weights(finished)
    assert resumed.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name


def test_two_launched_processes_train_heads_on_a_frozen_backbone_as_one_does(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    def arguments(out: Path) -> list[object]:
        return [
            *("--config", ROOT / "configs" / "real" / "encoder.yaml", "--dataset", tiny_world.dataset, "--out", out),
            *("--total-images", 32, "--batch-size", 8, "--model.voice-dropout", 0, "--num-crops", 2),
            *("--crop-seconds", 0.6, "--losses.cosine", 1, "--losses.am-softmax", 1, "--canonical.enabled", "false"),
            *("--model.sampler", "null"),
        ]

    for result in (
        call_script("train_encoder", *arguments(tmp_path / "1")),
        launch_script("train_encoder", *arguments(tmp_path / "2"), num_processes=2),
    ):
        assert result.returncode == 0, result.stderr
    one = weights(tmp_path / "1")
    for name, value in weights(tmp_path / "2").items():
        torch.testing.assert_close(value, one[name], rtol=1e-3, atol=1e-5, msg=name)


def test_a_dry_run_builds_everything_and_writes_nothing(tiny_world: TinyWorld, tmp_path: Path) -> None:
    result = call_script("train_encoder", *tiny(tiny_world, tmp_path / "run", "--dry-run"))
    assert result.returncode == 0, result.stderr
    assert "would train on" in result.stdout
    assert not (tmp_path / "run").exists()


def test_a_mistake_is_told_in_one_line(tiny_world: TinyWorld, tmp_path: Path) -> None:
    result = call_script("train_encoder", *tiny(tiny_world, tmp_path / "run", "--dataset", "nowhere"))
    assert_one_line(result, "nowhere: no data set here (dataset.json is missing); prepare one first")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model.bakbone", "ge2e"], "did you mean"),
        (["--freeze-backbone", "true"], "no published weights to freeze"),
        (["--batch-size", "1"], "people are compared"),
        (["--losses.temperature", "0"], "temperature"),
        (["--canonical.face-ridge", "0"], "greater than 0"),
        (["--model.sampler", "{}"], "needs a regressed feature in closed form"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tiny_world: TinyWorld, tmp_path: Path, more: list[str], message: str
) -> None:
    arguments = [str(argument) for argument in tiny(tiny_world, tmp_path / "run", *more)]
    with pytest.raises(ConfigError, match=message):
        parse_config(EncoderTrainingConfig, arguments, "")


def test_a_run_hears_as_its_data_set_recorded_it_and_says_so(tiny_world: TinyWorld, tmp_path: Path) -> None:
    dataset = shutil.copytree(tiny_world.dataset, tmp_path / "dataset")
    write_info(dataset, replace(read_info(dataset), extra={"spectrogram": {"stride": 0.02, "duration": 3.0}}))
    arguments = tiny(tiny_world, tmp_path / "run", "--dataset", dataset, "--total-images", 16)
    result = call_script("train_encoder", *arguments)
    assert result.returncode == 0, result.stderr
    assert f"as {dataset} recorded: stride 0.02" in result.stdout + result.stderr
    config = VoiceEncoder.from_pretrained(tmp_path / "run" / "model").config
    assert config.backbone_options == {"width": 2, "hidden_size": 16, "stride": 0.02}
    assert config.window_seconds == 0.5  # that was set
    assert "stride: 0.02" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_backbone_taught_by_speakers_alone_gets_its_heads_in_closed_form(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    result = call_script(
        "train_encoder",
        *("--dataset", tiny_world.dataset, "--out", tmp_path / "run", "--freeze-backbone", "false"),
        *("--refit-heads", "true", "--model.backbone", "tdnn", "--model.window-seconds", 0.5),
        *("--model.backbone-options", '{"width": 8, "hidden_size": 8}', "--model.embedding-size", 4),
        *("--losses.speaker", 1, "--losses.info-nce", 0, "--losses.cosine", 0, "--batch-size", 8),
        *("--total-images", 32, "--learning-rate.start", 0.001),
    )
    assert result.returncode == 0, result.stderr
    assert "heads refitted" in result.stdout + result.stderr
    fitted = weights(tmp_path / "run")
    assert all(fitted[name].abs().max() > 0 for name in ("feature_head.weight", "hidden_mean"))
    # The regression is fitted to the statistics that were measured with it: the mean voice suggests the mean face.
    clips = ClipDataset(tiny_world.dataset, "train")
    encoder = VoiceEncoder.from_pretrained(tmp_path / "run" / "model")
    voices = encoder.encode([clips.waveform(int(i)) for i in np.flatnonzero(clips.has_voice)])
    assert torch.cosine_similarity(voices.feature.mean(dim=0), encoder.face_mean, dim=0) > 0.99


def test_a_sampler_is_fitted_last_the_same_by_one_process_by_two_and_by_a_finished_run_that_is_resumed(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    def arguments(out: Path) -> list[object]:
        return [
            *("--config", ROOT / "configs" / "real" / "encoder.yaml", "--dataset", tiny_world.dataset, "--out", out),
            *("--total-images", 16, "--batch-size", 8, "--model.sampler", "{condition_size: 1}"),
        ]

    for result in (
        call_script("train_encoder", *arguments(tmp_path / "1")),
        launch_script("train_encoder", *arguments(tmp_path / "2"), num_processes=2),
    ):
        assert result.returncode == 0, result.stderr
        assert "sampler fitted to" in result.stdout + result.stderr
    assert "sampler/energy_score" in (tmp_path / "1" / "stats.jsonl").read_text()
    one = weights(tmp_path / "1")
    result = call_script("train_encoder", *arguments(tmp_path / "1"), "--resume")
    assert result.returncode == 0, result.stderr
    assert one["sampler.residual_root"].any()
    for other in (weights(tmp_path / "2"), weights(tmp_path / "1")):
        for name in (name for name in one if name.startswith("sampler.")):
            torch.testing.assert_close(other[name], one[name], rtol=1e-3, atol=1e-4, msg=name)
    clips = ClipDataset(tiny_world.dataset, "test")
    voiced = int(np.flatnonzero(clips.has_voice)[0])
    samples = VoiceEncoder.from_pretrained(tmp_path / "1" / "model").sample([clips.waveform(voiced)], 3)
    assert samples.shape == (1, 3, clips.info.face_encoder.feature_size)
