"""Real processes: launched by accelerate, killed, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

TOY = Path(__file__).with_name("toy_training.py")
ROOT = TOY.parents[2]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}


def launch(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    accelerate = ("-m", "accelerate.commands.accelerate_cli", "launch", *launcher) if launcher else ()
    command = [sys.executable, *accelerate, str(TOY), *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)


def test_two_processes_train_as_one_does_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    process = subprocess.Popen(
        [sys.executable, str(TOY), "--out", str(killed), "--seconds-a-step", "0.1"], env=environment()
    )
    while not (killed / "checkpoints" / "latest").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "model").exists()
    assert launch("--out", str(one)).returncode == 0
    two_on_cpu = ("--cpu", "--num_processes", "2", "--main_process_port", "0")
    result = launch("--out", str(two), launcher=two_on_cpu)
    assert "finished in 2 processes" in result.stdout, result.stderr
    assert launch("--out", str(killed), "--resume", "--seconds-a-step", "0.1").returncode == 0

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
    config = ROOT / "configs" / "accelerate" / "cpu.yaml"
    launcher = ("--config_file", str(config), "--num_processes", "2", "--main_process_port", "0")
    (tmp_path / "stats.jsonl").write_text("")
    result = launch("--out", str(tmp_path), launcher=launcher)
    assert result.returncode != 0
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == [
        f"error: {tmp_path} already holds a run: add --resume to go on, or choose another --out"
    ]


def test_a_mistake_in_one_process_ends_with_exit_code_2_and_no_traceback(tmp_path: Path) -> None:
    result = launch("--out", str(tmp_path / "run"), "--model.widht", "3")
    assert result.returncode == 2
    assert result.stderr == "error: unknown key 'model.widht' in the command line; did you mean 'model.width'?\n"


@pytest.mark.parametrize("package", ["data", "encoder", "gan", "eval", "training"])
def test_waiting_threads_sleep_whichever_package_is_imported_first(package: str) -> None:
    program = f"import sys, os, {package}; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    variables = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert result.stdout.split() == ["PASSIVE", "False"], result.stderr
