"""Whether memory stays flat over many rows, and a row's cost the same however long the list is."""

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
"""Rows at which the peak so far is told."""

NUM_MIDDLE_ROWS = 64

_SAMPLE_SECONDS = 0.25
_TIME_LIMIT = 3600.0
_CHUNK_ROWS = 32
_FEWEST_ROWS = 8
_MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """A moment of a run in seconds: rows done, and bytes that the command and all its children hold in memory."""

    moment: float
    num_rows: int
    resident: int


def measure_memory(
    folder: Path, num_rows: int, faces: Sequence[str], list_lengths: Sequence[int], num_rounds: int
) -> None:
    """Run the command a user runs, watch it, and print both.

    Args:
        folder: For videos and results.
        num_rows: Rows of which the memory is watched.
        faces: The command's arguments about face networks.
        list_lengths: Of the lists of which some rows in the middle are done.
        num_rounds: Times that these take turns.

    Raises:
        ConfigError: If there is nothing to measure.
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
    early, late = row_cost(samples, part, 2 * part), row_cost(samples, num_rows - part, num_rows)
    print(
        f"{1000 * row_cost(samples, 1, num_rows):.0f} ms a row; {1000 * early:.0f} from row {part} to {2 * part}, "
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
                costs[length].append(row_cost(samples, 1, last - first))
    for length in lists:
        print(
            f"{num_middle} rows from the middle of {length:,}: {1000 * statistics.median(costs[length]):.0f} ms a row; "
            f"opening the list takes {statistics.median(openings[length]):.2f} s"
        )


def row_cost(samples: Sequence[Sample], first: int, last: int) -> float:
    """Seconds a row between the moments at which so many were done; NaN if it went too fast for two samples."""
    begin = next(sample for sample in samples if sample.num_rows >= first)
    end = next((sample for sample in samples if sample.num_rows >= last), samples[-1])
    num_rows = end.num_rows - begin.num_rows
    return (end.moment - begin.moment) / num_rows if num_rows else math.nan


def describe_memory(samples: Sequence[Sample], num_rows: int) -> str:
    """The peak until each mark that was reached, and how it grew after the first."""
    marks = sorted({mark for mark in MARKS if mark < num_rows} | {num_rows})
    peaks = [max((s.resident for s in samples if s.num_rows <= mark), default=0) / _MIB for mark in marks]
    told = ", ".join(f"{peak:.0f} MiB until row {mark}" for mark, peak in zip(marks, peaks, strict=True))
    return f"peak memory of all processes: {told} ({peaks[-1] / max(peaks[0], 1e-9):.2f} times the first)"


def _command(rows: Path, out: Path, url_template: str, faces: Sequence[str]) -> list[str]:
    script = Path(__file__).resolve().parents[2] / "scripts" / "prepare_avspeech.py"
    fixed = ("--csv", rows, "--out", out, "--url-template", url_template, "--chunk-rows", _CHUNK_ROWS)
    return [sys.executable, str(script), *map(str, fixed), "--workers", "1", "--low-memory", "--verbose", *faces]


def watch(command: Sequence[str], out: Path) -> Iterator[Sample]:
    """Run a command and sample it twice a second until it ends.

    Raises:
        StepError: If it fails or takes longer than an hour.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    log_path = out.with_name(f"{out.name}.log")
    with log_path.open("wb") as log, log_path.open("rb") as written:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # a line a row, as soon as it is done
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
                process.kill()  # its children end with it
            process.wait()
    if process.returncode:
        raise StepError(f"{command[1]} failed with exit code {process.returncode}; its log: {log_path}")


def _count_rows(lines: bytes) -> int:
    return len(re.findall(rb"^row \d+ ", lines, re.MULTILINE))


def _resident(process: psutil.Process) -> int:
    """Bytes of a process and all that it started; what they share counts for each."""
    total = 0
    for one in [process, *_children(process)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
