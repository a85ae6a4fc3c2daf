"""The adversarial training as a user starts it, on made-up people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from safetensors.torch import load_file

from data.errors import ModelError, Wav2FaceError
from encoder.voice_encoder import VoiceEncoder
from gan.condition import FaceBatch
from gan.config import GanConfig
from gan.train import GanTraining, train
from gan.voice2face import Voice2Face
from tests.commands import assert_one_line, call_script, kill_once, launch_script, run_script, script
from tests.synthetic import TinyWorld
from training.config import parse_config
from training.stats import Stats

NUM_IMAGES = 48


def tiny(world: TinyWorld, encoder: Path, out: Path, *more: object) -> list[object]:
    widths = "[8,8,8,4,4]"
    return [
        *("--dataset", world.dataset, "--encoder", encoder, "--out", out, "--batch-size", 8),
        *("--generator.widths", widths, "--discriminator.widths", widths, "--generator.noise-size", 4),
        *("--total-images", NUM_IMAGES, "--log-images", 16, "--sample-images", 16, "--checkpoint-images", 16),
        *(
            "--precision",
            "fp32",
            "--objective.penalised-share",
            0.25,
            "--objective.judged-share",
            0.5,
            "--learning-rate.warmup-images",
            8,
        ),
        *more,
    ]


@pytest.fixture(scope="module")
def finished(tiny_world: TinyWorld, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("gan") / "run"
    result = run_script("train_gan", *tiny(tiny_world, tiny_encoder, out))
    assert result.returncode == 0, result.stderr
    return out


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def val_lines(run: Path) -> list[dict[str, float]]:
    return [line for line in map(json.loads, (run / "stats.jsonl").open()) if "val/frechet_distance" in line]


def test_a_run_leaves_statistics_samples_checkpoints_and_a_model(finished: Path) -> None:
    lines = [json.loads(line) for line in (finished / "stats.jsonl").open()]
    means = [line for line in lines if "speed/ms_per_image" in line]
    assert [line["images_seen"] for line in means] == [16, 32, 48]
    for line in means:
        assert {"discriminator/penalty", "discriminator/real_score", "generator/identity"} <= line.keys()
    shares = [value for name, value in means[0].items() if name.startswith("share/")]
    assert len(shares) == 4 and sum(shares) == pytest.approx(1, abs=1e-4)
    measured = [line for line in lines if "val/frechet_distance" in line]
    assert [line["images_seen"] for line in measured] == [16, 32, 48]
    for line in measured:
        assert {"val/f2f_cosine", "val/noise_cosine", "val/overfitting", "augment/probability"} <= line.keys()
    best, last = load_file(finished / "best" / "model.safetensors"), weights(finished)
    is_last = min(measured, key=lambda line: line["val/frechet_distance"])["images_seen"] == NUM_IMAGES
    assert all(torch.equal(best[name], last[name]) for name in last) == is_last
    assert len(list((finished / "samples").glob("*.png"))) == 3
    assert (finished / "checkpoints" / "latest").read_text() == f"{NUM_IMAGES:012d}"
    assert (finished / "config.yaml").is_file() and (finished / "model" / "README.md").is_file()
    assert Voice2Face.from_pretrained(finished / "model").image_size == 64


def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(
    finished: Path, tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path
) -> None:
    arguments = tiny(tiny_world, tiny_encoder, tmp_path / "run")
    kill_once(tmp_path / "run" / "checkpoints" / "latest", script("train_gan", *arguments))
    assert (tmp_path / "run" / "checkpoints" / "latest").read_text() != f"{NUM_IMAGES:012d}"
    result = call_script("train_gan", *arguments, "--resume")
    assert result.returncode == 0, result.stderr
    expected, resumed = weights(finished), weights(tmp_path / "run")
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    assert val_lines(tmp_path / "run") == val_lines(finished)


def test_two_processes_train_as_one_does(
    finished: Path, tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path
) -> None:
    result = launch_script("train_gan", *tiny(tiny_world, tiny_encoder, tmp_path / "run"), num_processes=2)
    assert result.returncode == 0, result.stderr
    assert "on 2 x cpu" in result.stdout
    first, two = (json.loads((run / "stats.jsonl").open().readline()) for run in (finished, tmp_path / "run"))
    for name in first.keys() - {"speed/ms_per_image", "speed/images_per_second"}:
        assert two[name] == pytest.approx(first[name], rel=2e-3, abs=1e-5), name
    one = weights(finished)
    for name, tensor in weights(tmp_path / "run").items():
        # Adam turns rounding into steps of the learning rate's size where gradients are nearly zero.
        assert (tensor - one[name]).abs().float().mean() < 2e-4, name


def test_it_trains_in_bf16_with_micro_batches_and_offline_dashboards(
    tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path
) -> None:
    more = ("--precision", "bf16", "--micro-batch-size", 4, "--tracker.wandb", "offline", "--num-workers", 1)
    result = call_script("train_gan", *tiny(tiny_world, tiny_encoder, tmp_path / "run", *more))
    assert result.returncode == 0, result.stderr
    assert "in bf16" in result.stdout and "wandb sync" in result.stdout
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())


def test_the_plain_decoder_trains_as_a_configuration(tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path) -> None:
    config = ("--config", "configs/baselines/transposed_conv.yaml")
    result = call_script("train_gan", *config, *tiny(tiny_world, tiny_encoder, tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    last = json.loads((tmp_path / "run" / "stats.jsonl").read_text().splitlines()[-1])
    assert "generator/adversarial" not in last and "discriminator/adversarial" not in last
    assert Voice2Face.from_pretrained(tmp_path / "run" / "model").noise_size == 0


def test_a_dry_run_builds_everything_and_writes_nothing(
    tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path
) -> None:
    result = call_script("train_gan", *tiny(tiny_world, tiny_encoder, tmp_path / "run", "--dry-run"))
    assert result.returncode == 0, result.stderr
    assert "everything fits" in result.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "fp16"], "precision"),
        (["--batchsize", 8], "did you mean 'batch_size'"),
        (["--generator.widths", "[8,8]"], "5 positive widths are needed for 64-px"),
        (["--dataset", "nowhere"], "nowhere"),
        (["--encoder", "no/where"], "no/where"),
        (["--objective.perceptual-network", "lpips_alex"], "LPIPS trunk missing"),
        (["--face-encoder-path", "setup.cfg"], "not the file that made the data set's features"),
        (["--objective.judged-share", 0], "judged_share"),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(
    tiny_world: TinyWorld,
    tiny_encoder: Path,
    tmp_path: Path,
    arguments: list[object],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    argv = [str(argument) for argument in tiny(tiny_world, tiny_encoder, tmp_path / "run", *arguments)]
    with pytest.raises(Wav2FaceError, match=message) as error:
        train(parse_config(GanConfig, argv, ""))
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_fp16_ends_in_one_line_and_exit_code_2(tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path) -> None:
    result = call_script("train_gan", *tiny(tiny_world, tiny_encoder, tmp_path / "run", "--precision", "fp16"))
    assert_one_line(result, "fp32")


def test_a_data_set_of_another_face_network_is_refused(
    tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_world.dataset, tmp_path / "dataset")
    info = json.loads((tmp_path / "dataset" / "dataset.json").read_text())
    info["face_encoder"]["sha256"] = "0" * 64
    (tmp_path / "dataset" / "dataset.json").write_text(json.dumps(info))
    argv = tiny(tiny_world, tiny_encoder, tmp_path / "run", "--dataset", tmp_path / "dataset")
    with pytest.raises(ModelError, match="train an encoder on it first"):
        train(parse_config(GanConfig, list(map(str, argv)), ""))


def test_another_encoder_may_be_put_before_a_generator_that_was_trained_on_faces_alone(
    finished: Path, tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path
) -> None:
    run, other = shutil.copytree(finished, tmp_path / "run"), tmp_path / "other"
    encoder = VoiceEncoder.from_pretrained(tiny_encoder)
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    encoder.save_pretrained(other)
    result = call_script("train_gan", *tiny(tiny_world, other, run), "--resume")
    assert result.returncode == 0, result.stderr
    before, after = weights(finished), weights(run)
    for name in before:
        if not name.startswith("encoder."):
            assert torch.equal(before[name], after[name]), name
    expected = encoder.state_dict()
    assert all(torch.equal(after[f"encoder.{name}"], tensor) for name, tensor in expected.items())
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_another_encoder_is_refused_where_conditions_came_from_voices(
    finished: Path, tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "stats.jsonl").write_text("")
    written = yaml.safe_load((finished / "config.yaml").read_text())
    written["condition"]["source"] = "mix"
    (run / "config.yaml").write_text(yaml.safe_dump(written))
    other = shutil.copytree(tiny_encoder, tmp_path / "other")
    arguments = tiny(tiny_world, other, run, "--condition.source", "mix", "--resume")
    assert_one_line(call_script("train_gan", *arguments), "encoder:", "another configuration")


def test_weights_that_are_not_finite_stop_the_run_before_a_checkpoint_is_written(
    tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = GanTraining.step

    def spoil(training: GanTraining, batch: FaceBatch, images_seen: int, stats: Stats) -> None:
        step(training, batch, images_seen, stats)
        if images_seen == 24:
            stats.add("generator/pixel", float("nan"))

    monkeypatch.setattr(GanTraining, "step", spoil)
    argv = [str(argument) for argument in tiny(tiny_world, tiny_encoder, tmp_path / "run")]
    with pytest.raises(ModelError, match="generator/pixel not finite after 32 images"):
        train(parse_config(GanConfig, argv, ""))
    assert (tmp_path / "run" / "checkpoints" / "latest").read_text() == f"{16:012d}"
