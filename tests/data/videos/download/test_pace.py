import itertools
import multiprocessing
import time
from pathlib import Path

import pytest

from data.errors import FetchStopped, OutputError
from data.videos.download import pace


def test_turns_lie_an_interval_apart(tmp_path: Path) -> None:
    waits = [pace.take_turn(tmp_path, 12.0) for _ in range(4)]
    assert waits[0] == 0.0
    assert waits[1:] == pytest.approx([12.0, 24.0, 36.0], abs=0.5)


def test_at_one_an_hour_many_can_wait(tmp_path: Path) -> None:
    waits = [pace.take_turn(tmp_path, 3600.0) for _ in range(4)]
    assert waits == pytest.approx([0.0, 3600.0, 7200.0, 10800.0], abs=5)


def _take(arguments: tuple[Path, int]) -> list[float]:
    folder, count = arguments
    waits = ((pace.take_turn(folder, 5.0), time.time()) for _ in range(count))
    return [wait + now for wait, now in waits]


@pytest.mark.slow
def test_all_processes_share_one_pace_and_a_later_run_goes_on_from_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        turns = sorted(turn for some in pool.map(_take, [(tmp_path, 5)] * 3) for turn in some)
    assert min(after - before for before, after in itertools.pairwise(turns)) > 4.9
    assert pace.take_turn(tmp_path, 5.0) > 60


def test_without_a_limit_nothing_waits_and_nothing_is_written(tmp_path: Path) -> None:
    assert pace.take_turn(tmp_path / "new", 0.0) == 0.0
    assert not (tmp_path / "new").exists()


def test_a_server_that_asks_for_patience_gets_it_from_all(tmp_path: Path) -> None:
    pace.push_back(tmp_path, 30.0)
    assert 29 < pace.take_turn(tmp_path, 1.0) <= 30


def test_a_stop_holds_for_all_until_the_next_run(tmp_path: Path) -> None:
    pace.take_turn(tmp_path, 100.0)
    pace.stop(tmp_path, "wait some hours")
    for interval in (0.0, 100.0):
        with pytest.raises(FetchStopped, match="wait some hours"):
            pace.take_turn(tmp_path, interval)
    pace.clear_stop(tmp_path)
    pace.check_stop(tmp_path)
    assert pace.take_turn(tmp_path, 100.0) > 90, "the pace itself must outlive the stop"


@pytest.mark.parametrize("content", [b"", b'{"next_tu', b"[]", b'{"next_turn": 4102444800.0, "stopped": ""}'])
def test_a_file_half_written_or_from_a_wrong_clock_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / pace.PACE_NAME).write_bytes(content)
    assert pace.take_turn(tmp_path, 10.0) == 0.0
    assert 9 < pace.take_turn(tmp_path, 10.0) <= 10


def test_a_folder_that_is_none_is_an_error_of_the_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another place"):
        pace.take_turn(tmp_path / "file", 10.0)
