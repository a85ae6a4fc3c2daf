"""Memory over many rows of a list, and the time for a row of short and of long lists."""

from __future__ import annotations

import math
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from tqdm import tqdm

from data.errors import ConfigError, StepError
from data.videos.plan.avspeech import AvspeechRows
from eval.benchmarks.footage import make_footage, serve, write_list

CLIP_SECONDS = 3.0
SIZE = (320, 240)
FACE_SIZE = 160
MARKS = (200, 1000, 2000)
"""Numbers of rows for which the peak memory is printed."""

NUM_MIDDLE_ROWS = 64

_SAMPLE_SECONDS = 0.25
_TIME_LIMIT = 3600.0
_CHUNK_ROWS = 32
_FEWEST_ROWS = 8
_MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """State of a running command.

    Attributes:
        moment: Time in seconds.
        num_rows: Number of rows done.
        resident: Resident memory of the command and all its child processes, in bytes.
    """

    moment: float
    num_rows: int
    resident: int


def measure_memory(
    folder: Path, num_rows: int, faces: Sequence[str], list_lengths: Sequence[int], num_rounds: int
) -> None:
    """Measure and print the memory of the command over many rows, and its time for a row of lists of several lengths.

    Args:
        folder: Folder for videos and results.
        num_rows: Number of rows over which memory is measured.
        faces: Arguments of the command that choose the face networks.
        list_lengths: Lengths of the lists; of each, some rows in the middle are prepared.
        num_rounds: Number of rounds over these lists.

    Raises:
        ConfigError: If there are too few rows.
        StepError: If the command fails.
    """
    if num_rows < _FEWEST_ROWS:
        raise ConfigError(f"--rows {num_rows}: at least {_FEWEST_ROWS} are needed")
    num_middle = min(NUM_MIDDLE_ROWS, num_rows)
    footage = make_footage(folder / "videos", CLIP_SECONDS, SIZE, FACE_SIZE)
    rows = write_list(folder / "rows.csv", footage, num_rows)
    with serve(footage, 0, num_rows) as server:
        samples = list(watch(_command(rows, folder / "memory", server.url_template, faces), folder / "memory"))
    print(describe_memory(samples, num_rows))
    part = max(1, num_rows // 10)
    early, late = seconds_per_row(samples, part, 2 * part), seconds_per_row(samples, num_rows - part, num_rows)
    print(
        f"{1000 * seconds_per_row(samples, 1, num_rows):.0f} ms a row; "
        f"{1000 * early:.0f} from row {part} to {2 * part}, "
        f"{1000 * late:.0f} in the last {part}",
        flush=True,
    )
    lists = {length: write_list(folder / f"list-{length}.csv", footage, length) for length in list_lengths}
    openings: dict[int, list[float]] = {length: [] for length in lists}
    costs: dict[int, list[float]] = {length: [] for length in lists}
    for round_ in tqdm(range(num_rounds), "lists", leave=False, disable=None):
        for length, path in lists.items():
            start = time.perf_counter()
            AvspeechRows(path)
            openings[length].append(time.perf_counter() - start)
            first = max(0, length // 2 - num_middle // 2)
            last = min(length, first + num_middle)
            with serve(footage, first, last - first) as server:
                out = folder / f"list-{length}-{round_}"
                command = _command(path, out, server.url_template, faces)
                samples = list(watch([*command, "--from-id", str(first), "--to-id", str(last)], out))
                costs[length].append(seconds_per_row(samples, 1, last - first))
    for length in lists:
        print(
            f"{num_middle} rows from the middle of {length:,}: {1000 * statistics.median(costs[length]):.0f} ms a row; "
            f"opening the list takes {statistics.median(openings[length]):.2f} s"
        )


def seconds_per_row(samples: Sequence[Sample], first: int, last: int) -> float:
    """Seconds a row from the moment when `first` rows were done to that of `last`; NaN without two samples."""
    begin = next(sample for sample in samples if sample.num_rows >= first)
    end = next((sample for sample in samples if sample.num_rows >= last), samples[-1])
    num_rows = end.num_rows - begin.num_rows
    return (end.moment - begin.moment) / num_rows if num_rows else math.nan


def describe_memory(samples: Sequence[Sample], num_rows: int) -> str:
    """The peak memory until each of `MARKS` that was reached, and its growth since the first."""
    marks = sorted({mark for mark in MARKS if mark < num_rows} | {num_rows})
    peaks = [max((s.resident for s in samples if s.num_rows <= mark), default=0) / _MIB for mark in marks]
    text = ", ".join(f"{peak:.0f} MiB until row {mark}" for mark, peak in zip(marks, peaks, strict=True))
    return f"peak memory of all processes: {text} ({peaks[-1] / max(peaks[0], 1e-9):.2f} times the first)"


def _command(rows: Path, out: Path, url_template: str, faces: Sequence[str]) -> list[str]:
    script = Path(__file__).resolve().parents[2] / "scripts" / "prepare_avspeech.py"
    fixed = ("--csv", rows, "--out", out, "--url-template", url_template, "--chunk-rows", _CHUNK_ROWS)
    return [sys.executable, str(script), *map(str, fixed), "--workers", "1", "--low-memory", "--verbose", *faces]


def watch(command: Sequence[str], out: Path) -> Iterator[Sample]:
    """Run a command and take four samples a second until it ends.

    Args:
        command: The command; its lines `row N ...` are counted.
        out: Its output folder; its log is written to the same path with the suffix `.log`.


    Raises:
        StepError: If the command fails or takes longer than an hour.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    log_path = out.with_name(f"{out.name}.log")
    with log_path.open("wb") as log, log_path.open("rb") as written:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # one line for each row, as soon as it is done
        process = psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        deadline = time.monotonic() + _TIME_LIMIT
        num_rows, unread = 0, b""
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise StepError(f"{command[1]} has not ended within {_TIME_LIMIT:.0f} s; its log: {log_path}")
                lines, _, unread = (unread + written.read()).rpartition(b"\n")
                num_rows += _count_rows(lines)
                yield Sample(time.perf_counter(), num_rows, _resident(process))
                time.sleep(_SAMPLE_SECONDS)
            yield Sample(time.perf_counter(), num_rows + _count_rows(unread + written.read()), 0)
        finally:
            if process.poll() is None:
                process.kill()  # its child processes end with it
            process.wait()
    if process.returncode:
        raise StepError(f"{command[1]} failed with exit code {process.returncode}; its log: {log_path}")


def _count_rows(lines: bytes) -> int:
    return len(re.findall(rb"^row \d+ ", lines, re.MULTILINE))


def _resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its descendants; shared memory is counted for each."""
    total = 0
    for member in [process, *_children(process)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
