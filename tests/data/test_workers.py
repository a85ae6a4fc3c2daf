import os

import pytest

from data.workers import map_in_processes


def square_or_die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number * number


def fail(number: int) -> int:
    raise ValueError(str(number))


def test_a_task_that_kills_its_process_costs_only_itself_and_the_order_stays() -> None:
    results = list(map_in_processes(square_or_die, range(7), 2, on_crash=lambda number: -number))
    assert results == [0, 1, 4, -3, 16, 25, 36]


def test_exceptions_of_a_task_are_raised_here() -> None:
    with pytest.raises(ValueError, match="0"):
        list(map_in_processes(fail, range(2), 1, on_crash=lambda number: number))
