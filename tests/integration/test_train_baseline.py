"""Published methods trained as a user starts them, on made-up people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gan.voice2face import Voice2Face
from tests.commands import assert_one_line, call_script, launch_script, run_script
from tests.synthetic import TinyWorld


def tiny(world: TinyWorld, method: str, out: Path, *more: object) -> list[object]:
    return [
        *(
            "--config",
            f"configs/baselines/{method}.yaml",
            "--dataset",
            world.dataset,
            "--out",
            out,
            "--encoder",
            "null",
        ),
        *("--voice.backbone", "tdnn", "--voice.backbone-options", '{"width": 8, "hidden_size": 16}'),
        *("--generator.architecture", "residual", "--generator.widths", "[8,8,8,4,4]", "--generator.noise-size", 4),
        *("--batch-size", 4, "--total-images", 12, "--log-images", 4, "--sample-images", 8, "--checkpoint-images", 4),
        *("--precision", "fp32", "--fuser-images", 0, "--losses.face-maps", 0),
        *more,
    ]


@pytest.fixture(scope="module")
def wav2pix(tiny_world: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wav2pix") / "run"
    result = run_script("train_baseline", *tiny(tiny_world, "wav2pix", out))
    assert result.returncode == 0, result.stderr
    return out


def test_a_run_leaves_statistics_samples_and_a_model_whose_condition_is_the_voice_itself(wav2pix: Path) -> None:
    lines = [json.loads(line) for line in (wav2pix / "stats.jsonl").open()]
    assert [line["images_seen"] for line in lines] == [4, 8, 12]
    assert {"discriminator/adversarial", "generator/feature_matching", "generator/speaker"} <= lines[0].keys()
    assert sorted(path.name for path in (wav2pix / "samples").iterdir()) == ["000000008.png", "000000012.png"]
    model = Voice2Face.from_pretrained(wav2pix / "model")
    assert not model.encoder.regresses_face_features and model.encoder.condition_size == 16
    assert model.draw(torch.randn(2, 16)).shape == (2, 3, 64, 64)


def test_two_processes_compute_what_one_computes_and_a_stopped_run_goes_on(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    # Batch normalisation has the statistics of each process's share, so methods with it differ a little.
    keys = ("--losses.speaker", 0, "--discriminator", "wen", "--losses.feature-matching", 0, "--losses.wrong-face", 0)
    one, two = tmp_path / "one", tmp_path / "two"
    assert run_script("train_baseline", *tiny(tiny_world, "wav2pix", one, *keys)).returncode == 0
    first = launch_script(
        "train_baseline", *tiny(tiny_world, "wav2pix", two, *keys, "--total-images", 8), num_processes=2
    )
    assert first.returncode == 0, first.stderr
    rest = launch_script("train_baseline", *tiny(tiny_world, "wav2pix", two, *keys, "--resume"), num_processes=2)
    assert rest.returncode == 0, rest.stderr
    ours, theirs = (load_file(run / "model" / "model.safetensors") for run in (one, two))
    generator = [name for name in ours if name.startswith("generator.")]
    for name in generator:
        torch.testing.assert_close(theirs[name], ours[name], rtol=0.05, atol=2e-3)


def test_a_finished_run_that_is_resumed_keeps_the_fusers_window(tiny_world: TinyWorld, tmp_path: Path) -> None:
    keys = (
        *("--voice.backbone", "inception1d", "--voice.backbone-options", '{"fuser": true, "segment_seconds": 0.5}'),
        *("--voice.window-seconds", 0.5, "--fuser-images", 4, "--fuser-seconds", 1.0, "--total-images", 8),
    )
    arguments = tiny(tiny_world, "sf2f", tmp_path / "run", *keys)
    for more in ((), ("--resume",)):
        result = run_script("train_baseline", *arguments, *more)
        assert result.returncode == 0, result.stderr
        config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
        assert config["config"]["encoder"]["window_seconds"] == 1.0


def test_reports_on_such_a_model_leave_out_what_it_lacks(wav2pix: Path, tiny_world: TinyWorld, tmp_path: Path) -> None:
    arguments = ("--model", wav2pix / "model", "--dataset", tiny_world.dataset, "--out", tmp_path)
    small = ("--judge", "personas-judge", "--gallery-sizes", 4, "--num-draws", 3)
    result = call_script("evaluate_retrieval", *arguments, *small)
    assert result.returncode == 0, result.stderr
    part = json.loads((tmp_path / "report.json").read_text())["parts"]["retrieval"]
    assert {row["space"] for row in part["results"]} == {"image"}
    assert part["lengths"] == [] and part["reconstruction"] is None and part["f2f_by_training_network"] == []
    assert "from the true feature" not in json.dumps(part["bounds"])
    assert [point["variety"] for point in part["varieties"]] == [0.0]


def test_an_encoder_with_another_backbone_is_refused(tiny_world: TinyWorld, tiny_encoder: Path, tmp_path: Path) -> None:
    result = call_script("train_baseline", *tiny(tiny_world, "wav2pix", tmp_path / "run", "--encoder", tiny_encoder))
    assert_one_line(result, "its backbone is speech2face", "but voice says tdnn")
