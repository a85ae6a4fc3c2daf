"""The project's commands as a user starts them: subprocesses of this Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 600


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}


def script(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]


def run_script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return _run(script(name, *arguments))


def launch_script(name: str, *arguments: object, num_processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Through `accelerate launch`, as the README says."""
    return launch(ROOT / "scripts" / f"{name}.py", *arguments, num_processes=num_processes)


def launch(program: Path, *arguments: object, num_processes: int = 1) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "accelerate.commands.accelerate_cli", "launch", "--cpu", "--main_process_port", "0"]
    return _run([sys.executable, *launcher, "--num_processes", str(num_processes), str(program), *map(str, arguments)])


def kill_once(path: Path, name: str, *arguments: object) -> None:
    """Start a command and kill it as a power cut would as soon as a file or folder is there."""
    process = subprocess.Popen(script(name, *arguments), cwd=ROOT, env=_environment())
    deadline = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None, f"{name} ended before {path} was there"
        assert time.monotonic() < deadline, f"{name} never wrote {path}"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=TIMEOUT)
