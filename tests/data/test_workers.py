import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from data.workers import map_in_processes


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


def fail(number: int) -> int:
    raise ValueError(str(number))


def test_a_task_that_kills_its_process_costs_only_itself_and_the_order_stays() -> None:
    results = list(map_in_processes(square_or_die, range(7), 2, on_crash=lambda number: -number))
    assert results == [0, 1, 4, -3, 16, 25, 36]


def test_exceptions_of_a_task_are_raised_here() -> None:
    with pytest.raises(ValueError, match="0"):
        list(map_in_processes(fail, range(2), 1, on_crash=lambda number: number))


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
