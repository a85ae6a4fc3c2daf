"""Commands that run one after the other: each with a log, skipped where it has finished before."""

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

from data.errors import ConfigError, OutputError, StageError
from data.files import write_file
from training.stage_progress import StageProgress

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 10.0  # to end by itself when asked


@dataclass(frozen=True)
class Stage:
    """A step of the way.

    Attributes:
        name: Of its log; unique.
        title: For people.
        commands: Started together; the stage is over when all have ended.
        seconds: How long it usually takes.
        launcher: Put before every command: how it is started on this machine, no part of what it does.
        shown_launcher: The same as one would type it.
        environment: Variables of the processes, besides those of this one.
        share_done: In [0, 1] as far as it can be told while the stage runs, else None.
        rates: What it got through a second, told once it is over; takes the seconds it took.
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
class StageRecord:
    """A stage that is over.

    Attributes:
        name: Of the stage.
        title: For people.
        seconds: How long it took.
        commands: As one would type them.
        rates: Such as "98 images/s".
    """

    name: str
    title: str
    seconds: float
    commands: tuple[str, ...]
    rates: tuple[str, ...] = ()


def run_stages(
    stages: Sequence[Stage], folder: Path, settings: str, progress: StageProgress, working_folder: Path | None = None
) -> list[StageRecord]:
    """Run what has not finished yet, in order; what has finished is kept in `folder/stages.json`.

    Args:
        stages: In order; each may need what those before it leave.
        folder: Gets `stages.json` and `logs/`.
        settings: Whatever decides the outcome besides the commands, such as the recipes' texts.
        progress: Is told what goes on.
        working_folder: Of the commands; by default this process's.

    Returns:
        The records of all stages, earlier runs' too.

    Raises:
        OutputError: If the folder holds stages with other settings.
        StageError: If a command fails; the stages before it stay finished.
    """
    path = folder / "stages.json"
    fingerprint = _fingerprint(stages, settings)
    records = _read_finished(path, fingerprint) if path.exists() else []
    progress.start([(stage.title, stage.seconds) for stage in stages], {r.title: r.seconds for r in records})
    finished = {record.name for record in records}
    for stage in stages:
        if stage.name in finished:
            continue
        progress.begin(stage.title)
        log = folder / "logs" / f"{stage.name}.log"
        again = ("after an interruption",) if log.exists() else ()  # so the seconds are those of the last part
        seconds = _run_stage(stage, log, progress, working_folder)
        shown = tuple(f"{stage.shown_launcher} {shlex.join(command)}".strip() for command in stage.commands)
        records.append(StageRecord(stage.name, stage.title, seconds, shown, (*stage.rates(seconds), *again)))
        _write_records(path, fingerprint, records)
        progress.finish(stage.title, seconds)
    return records


def read_records(path: Path) -> list[StageRecord]:
    """What `run_stages` has recorded.

    Raises:
        ConfigError: If the file is missing or no such record.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["stages"]
        return [
            StageRecord(
                name=str(entry["name"]),
                title=str(entry["title"]),
                seconds=float(entry["seconds"]),
                commands=tuple(str(command) for command in entry["commands"]),
                rates=tuple(str(rate) for rate in entry["rates"]),
            )
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no record of stages ({type(error).__name__}: {error})") from None


def _read_finished(path: Path, fingerprint: str) -> list[StageRecord]:
    records = read_records(path)
    if json.loads(path.read_text(encoding="utf-8")).get("settings_sha256") != fingerprint:
        raise OutputError(f"{path.parent} was made with other settings: remove it, or choose another --out")
    return records


def _write_records(path: Path, fingerprint: str, records: Sequence[StageRecord]) -> None:
    content = {"settings_sha256": fingerprint, "stages": [asdict(record) for record in records]}
    write_file(path, json.dumps(content, indent=1) + "\n")


def _fingerprint(stages: Sequence[Stage], settings: str) -> str:
    # How a command is started (how many processes, which device) is no setting: a run may go on elsewhere.
    content = [settings, [[stage.name, [list(command) for command in stage.commands]] for stage in stages]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _run_stage(stage: Stage, log: Path, progress: StageProgress, working_folder: Path | None) -> float:
    """Run the stage's commands at once, and end all of them if one fails or this process is stopped."""
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    environment = {**os.environ, **stage.environment}
    with ExitStack() as stack, log.open("ab") as output:
        processes = []
        for command in stage.commands:
            process = subprocess.Popen(
                [*stage.launcher, *command],
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
                progress.tick(stage.share_done())
            time.sleep(_POLL_SECONDS)
    if any(process.returncode for process in processes):
        raise StageError(f"{stage.title} failed: {_last_words(log)} (log: {log})")
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


def _last_words(log: Path) -> str:
    """The line in which our commands tell a mistake, or the last one."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines[-200:] if line.startswith("error: ")]
    return (told or lines or ["it said nothing"])[-1]
