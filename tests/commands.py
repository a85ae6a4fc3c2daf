"""The project's commands, as subprocesses or, seconds sooner, in this process."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 600


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}


def script(name: str, *arguments: object) -> list[str]:
    """The command line of one of the scripts."""
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]


def call_script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script in this process; output and exit code are those that a shell would get.

    For what a command answers: a start of Python and torch costs two to four seconds. A script that is tested by
    this alone has one test by `run_script` too.
    """
    return call(ROOT / "scripts" / f"{name}.py", *arguments)


def call(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run any program in this process."""
    command = [str(program), *map(str, arguments)]
    output, errors, code, folder = io.StringIO(), io.StringIO(), None, Path.cwd()
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.dict(os.environ, _environment(), clear=True),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        os.chdir(ROOT)
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as ended:
            code = ended.code
        finally:
            os.chdir(folder)
    assert code is None or isinstance(code, int), code
    return subprocess.CompletedProcess(command, code or 0, output.getvalue(), errors.getvalue())


def run_script(name: str, *arguments: object, max_file_size: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script as a user does, on a disk that is full as soon as a file grows beyond `max_file_size` bytes."""

    def fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_size, max_file_size))

    return _run(script(name, *arguments), fill_disk if max_file_size else None)


def start_script(name: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a script and come back at once."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(script(name, *arguments), cwd=ROOT, env=_environment(), text=True, **pipes)


def launch_script(name: str, *arguments: object, num_processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Run a script by `accelerate launch`."""
    return launch(ROOT / "scripts" / f"{name}.py", *arguments, num_processes=num_processes)


def launch(
    program: Path, *arguments: object, num_processes: int = 1, options: tuple[object, ...] = ("--cpu",)
) -> subprocess.CompletedProcess[str]:
    """Run a program by `accelerate launch`."""
    launcher = ["-m", "accelerate.commands.accelerate_cli", "launch", *map(str, options), "--main_process_port", "0"]
    return _run([sys.executable, *launcher, "--num_processes", str(num_processes), str(program), *map(str, arguments)])


def kill_once(path: Path, command: list[str]) -> None:
    """Start a command and kill it as a power cut would as soon as a file or folder is there."""
    process = subprocess.Popen(command, cwd=ROOT, env=_environment())
    deadline = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None, f"{command[1]} ended before {path} was there"
        assert time.monotonic() < deadline, f"{command[1]} never wrote {path}"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """A mistake of the user: exit code 2, nothing on stdout, one line on stderr that has these words."""
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def _run(command: list[str], prepare: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "timeout": TIMEOUT, "preexec_fn": prepare}
    return subprocess.run(command, cwd=ROOT, env=_environment(), **options)  # type: ignore[call-overload]
