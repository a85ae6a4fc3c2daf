"""Real processes: launched by accelerate, killed, resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.commands import ROOT, assert_one_line, call, kill_once, launch

pytestmark = pytest.mark.slow

TOY = Path(__file__).with_name("toy_training.py")


def test_two_processes_train_as_one_does_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    slowly = ("--out", killed, "--seconds-a-step", 0.1)
    kill_once(killed / "checkpoints" / "latest", [sys.executable, str(TOY), *map(str, slowly)])
    assert not (killed / "model").exists()
    assert call(TOY, "--out", one).returncode == 0
    result = launch(TOY, "--out", two, num_processes=2)
    assert "finished in 2 processes" in result.stdout, result.stderr
    assert result.stdout.count("ends with 0 threads of gloo") == 2  # one that frees a tensor later aborts the process
    assert call(TOY, *slowly, "--resume").returncode == 0

    weights = load_file(one / "model" / "model.safetensors")
    for name, tensor in load_file(two / "model" / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-5, atol=1e-6)
    resumed = (killed / "model" / "model.safetensors").read_bytes()
    assert resumed == (one / "model" / "model.safetensors").read_bytes()

    losses = {path: [json.loads(line) for line in (path / "stats.jsonl").open()] for path in (one, two, killed)}
    assert [line["images_seen"] for line in losses[killed]] == list(range(32, 129, 32))
    for line, other in zip(losses[one], losses[two], strict=True):
        assert abs(line["loss"] - other["loss"]) < 1e-5
    assert [line["loss"] for line in losses[one]] == [line["loss"] for line in losses[killed]]


def test_a_mistake_under_two_processes_is_told_in_one_line(tmp_path: Path) -> None:
    options = ("--config_file", ROOT / "configs" / "accelerate" / "cpu.yaml")
    (tmp_path / "stats.jsonl").write_text("")
    result = launch(TOY, "--out", tmp_path, num_processes=2, options=options)
    assert result.returncode != 0
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == [
        f"error: {tmp_path} already holds a run: add --resume to go on, or choose another --out"
    ]


def test_a_mistake_in_one_process_ends_with_exit_code_2_and_no_traceback(tmp_path: Path) -> None:
    result = call(TOY, "--out", tmp_path / "run", "--model.widht", "3")
    assert_one_line(result, "error: unknown key 'model.widht' in the command line; did you mean 'model.width'?\n")


@pytest.mark.parametrize("package", ["data", "encoder", "gan", "eval", "training"])
def test_waiting_threads_sleep_whichever_package_is_imported_first(package: str) -> None:
    program = f"import sys, os, {package}; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    variables = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert result.stdout.split() == ["PASSIVE", "False"], result.stderr
