import atexit
import errno
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import workers
from data.errors import MediaError
from data.workers import (
    WorkerDiedError,
    WorkerProcess,
    WorkerStoppedError,
    count_cores,
    count_threads,
    map_in_processes,
)


def square_or_die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number * number


def tell_and_sleep(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


def start_and_be_killed(folder: str) -> None:
    list(map_in_processes(tell_and_sleep, [folder, folder], 2, on_crash=lambda folder: None))


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def start_a_sleeper(file: str) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(file).write_text(str(sleeper.pid))
    sleeper.wait()


def refuse(reason: str) -> None:
    if reason == "unpicklable":
        raise ValueError(lambda: None)
    raise MediaError(reason, f"it is {reason}")


def fail(number: int) -> int:
    if number == 1:
        raise OSError(errno.ENOSPC, "No space left on device")
    raise ValueError(str(number))


def die_once(file: str) -> str:
    if file and not Path(file).exists():
        Path(file).touch()
        os._exit(9)
    return file


@pytest.mark.slow
def test_a_task_that_kills_its_process_costs_only_itself_and_the_order_stays() -> None:
    results = list(map_in_processes(square_or_die, range(7), 2, on_crash=lambda number: -number))
    assert results == [0, 1, 4, -3, 16, 25, 36]


def test_exceptions_of_a_task_are_raised_here() -> None:
    with pytest.raises(ValueError, match="0"):
        list(map_in_processes(fail, range(2), 1, on_crash=lambda number: number))


@pytest.mark.slow
def test_a_process_may_die_while_items_are_still_handed_out(tmp_path: Path) -> None:
    died = tmp_path / "died"

    def items() -> Iterator[str]:
        yield str(died)
        while not died.exists():
            time.sleep(0.05)
        time.sleep(0.5)
        yield from [""] * 9

    assert list(map_in_processes(die_once, items(), 2, on_crash=lambda file: "crashed")) == [str(died)] + [""] * 9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "kind", "words"), [(0, RuntimeError, r"in fail\n(.|\n)*ValueError: 0"), (1, OSError, "left")]
)
def test_exceptions_cross_from_a_process(number: int, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        list(map_in_processes(fail, [number], 2, on_crash=lambda number: number))


def leave_a_note_at_the_end(folder: str) -> None:
    atexit.register((Path(folder) / str(os.getpid())).touch)


@pytest.mark.slow
def test_processes_clean_up_when_all_is_done(tmp_path: Path) -> None:
    list(map_in_processes(leave_a_note_at_the_end, 2 * [str(tmp_path)], 2, on_crash=lambda folder: None))
    assert list(tmp_path.iterdir())


@pytest.mark.slow
def test_who_takes_no_more_results_waits_for_none() -> None:
    start = time.monotonic()
    results = map_in_processes(time.sleep, [0] + 8 * [60], 2, on_crash=lambda number: None)
    next(results)
    results.close()
    assert time.monotonic() - start < 30


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    starter = multiprocessing.get_context("spawn").Process(target=start_and_be_killed, args=(str(tmp_path),))
    starter.start()
    deadline = time.monotonic() + 60
    while len(workers := [int(path.name) for path in tmp_path.iterdir()]) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2 and all(map(is_running, workers))
    starter.kill()
    starter.join()
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


@pytest.mark.slow
def test_one_process_serves_call_after_call() -> None:
    worker = WorkerProcess()
    processes = {worker.call(os.getpid, time_limit=60) for _ in range(3)}
    assert len(processes) == 1 and os.getpid() not in processes
    worker.close()


@pytest.mark.slow
def test_failures_cross_from_process_to_process() -> None:
    worker = WorkerProcess()
    with pytest.raises(MediaError, match="it is gone") as caught:
        worker.call(refuse, "gone", time_limit=60)
    assert caught.value.reason == "gone"
    with pytest.raises(RuntimeError, match="ValueError"):
        worker.call(refuse, "unpicklable", time_limit=60)
    worker.close()


@pytest.mark.slow
def test_a_call_that_kills_its_process_leaves_a_fresh_one_for_the_next() -> None:
    worker = WorkerProcess()
    with pytest.raises(WorkerDiedError, match="exit code 9"):
        worker.call(square_or_die, 3, time_limit=60)
    assert worker.call(square_or_die, 4, time_limit=60) == 16
    worker.close()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_what_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    worker = WorkerProcess()
    worker.call(os.getpid, time_limit=60)
    with pytest.raises(TimeoutError, match="3 s"):
        worker.call(start_a_sleeper, str(tmp_path / "pid"), time_limit=3)
    sleeper = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while is_running(sleeper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(sleeper)
    assert worker.call(square_or_die, 5, time_limit=60) == 25
    worker.close()


@pytest.mark.slow
def test_a_call_ends_early_when_everything_is_to_stop() -> None:
    worker, stop = WorkerProcess(), threading.Event()
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()
    with pytest.raises(WorkerStoppedError):
        worker.call(time.sleep, 60, time_limit=60, stop=stop)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cores_are_those_that_the_container_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    monkeypatch.setattr(workers, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert count_cores() == expected


@pytest.mark.parametrize(
    ("processes", "environment", "expected"), [(1, "", 8), (3, "", 2), (20, "", 1), (1, "5", 5), (3, "x", 2)]
)
def test_processes_share_the_cores_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, processes: int, environment: str, expected: int
) -> None:
    monkeypatch.setattr(workers, "count_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", environment)
    assert count_threads(processes) == expected
