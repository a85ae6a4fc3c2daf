"""A pipeline of commands: steps that run one after the other, each with a log; finished steps are not run again."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from data.errors import ConfigError, OutputError, StepError
from data.files import write_file
from training.pipeline_progress import PipelineProgress

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Step:
    """One step of a pipeline.

    Attributes:
        name: Unique name, also that of the log file.
        title: Name for readers, such as "face encoder".
        commands: Commands that start together; the step is over when all have ended.
        seconds: Usual duration.
        launcher: Arguments before every command: how it is started on this machine, not what it does.
        shown_launcher: The launcher as one would type it.
        environment: Environment variables of the processes, added to those of this process.
        share_done: Returns the finished share of the running step in [0, 1], None if unknown.
        rates: Returns throughputs such as "98 images/s", given the seconds that the step took.
    """

    name: str
    title: str
    commands: Sequence[Sequence[str]]
    seconds: float
    launcher: Sequence[str] = ()
    shown_launcher: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    share_done: Callable[[], float | None] = lambda: None
    rates: Callable[[float], Sequence[str]] = lambda _: ()


@dataclass(frozen=True)
class StepRecord:
    """A finished step.

    Attributes:
        name: The step's name.
        title: The step's title.
        seconds: Duration; of a step that was interrupted, of its last run.
        commands: Commands as one would type them.
        rates: Throughputs such as "98 images/s".
    """

    name: str
    title: str
    seconds: float
    commands: tuple[str, ...]
    rates: tuple[str, ...] = ()


def run_steps(
    steps: Sequence[Step], folder: Path, settings: str, progress: PipelineProgress, working_folder: Path | None = None
) -> list[StepRecord]:
    """Run the steps that have not finished yet, in order; finished ones are recorded in `folder/steps.json`.

    Args:
        steps: In order; each may need the output of those before it.
        folder: Gets `steps.json` and `logs/`.
        settings: Whatever determines the results besides the commands, such as the texts of the recipes.
        progress: Shows the progress.
        working_folder: Working directory of the commands; by default that of this process.

    Returns:
        The records of all steps, those of earlier runs included.

    Raises:
        OutputError: If the folder holds steps with other settings.
        StepError: If a command fails; the steps before it stay finished.
    """
    path = folder / "steps.json"
    fingerprint = _fingerprint(steps, settings)
    records = _read_finished(path, fingerprint) if path.exists() else []
    progress.start([(step.title, step.seconds) for step in steps], {r.title: r.seconds for r in records})
    finished = {record.name for record in records}
    for step in steps:
        if step.name in finished:
            continue
        progress.begin(step.title)
        log = folder / "logs" / f"{step.name}.log"
        again = ("after an interruption",) if log.exists() else ()
        seconds = _run_step(step, log, progress, working_folder)
        shown = tuple(f"{step.shown_launcher} {shlex.join(command)}".strip() for command in step.commands)
        records.append(StepRecord(step.name, step.title, seconds, shown, (*step.rates(seconds), *again)))
        _write_records(path, fingerprint, records)
        progress.finish(step.title, seconds)
    return records


def read_records(path: Path) -> list[StepRecord]:
    """Read the records that `run_steps` has written.

    Raises:
        ConfigError: If the file is missing or holds no records of steps.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["steps"]
        return [
            StepRecord(
                name=str(entry["name"]),
                title=str(entry["title"]),
                seconds=float(entry["seconds"]),
                commands=tuple(str(command) for command in entry["commands"]),
                rates=tuple(str(rate) for rate in entry["rates"]),
            )
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no record of steps ({type(error).__name__}: {error})") from None


def _read_finished(path: Path, fingerprint: str) -> list[StepRecord]:
    records = read_records(path)
    if json.loads(path.read_text(encoding="utf-8")).get("settings_sha256") != fingerprint:
        raise OutputError(f"{path.parent} was made with other settings: remove it, or choose another --out")
    return records


def _write_records(path: Path, fingerprint: str, records: Sequence[StepRecord]) -> None:
    content = {"settings_sha256": fingerprint, "steps": [asdict(record) for record in records]}
    write_file(path, json.dumps(content, indent=1) + "\n")


def _fingerprint(steps: Sequence[Step], settings: str) -> str:
    # The launcher (how many processes, which device) is left out: a run may continue on another machine.
    content = [settings, [[step.name, [list(command) for command in step.commands]] for step in steps]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _run_step(step: Step, log: Path, progress: PipelineProgress, working_folder: Path | None) -> float:
    """Run a step's commands side by side; if one fails or this process is stopped, end them all."""
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    environment = {**os.environ, **step.environment}
    with ExitStack() as stack, log.open("ab") as output:
        processes = []
        for command in step.commands:
            process = subprocess.Popen(
                [*step.launcher, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=working_folder,
                start_new_session=True,  # a launcher has children of its own; they end together
            )
            stack.callback(_end, process)
            processes.append(process)
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes):
                break
            if progress.is_due:
                progress.tick(step.share_done())
            time.sleep(_POLL_SECONDS)
    if any(process.returncode for process in processes):
        raise StepError(f"{step.title} failed: {_last_message(log)} (log: {log})")
    return time.monotonic() - start


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_message(log: Path) -> str:
    """The last error line of a log, or else its last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines[-200:] if line.startswith("error: ")]
    return (errors or lines or ["the log is empty"])[-1]
