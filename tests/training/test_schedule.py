from __future__ import annotations

import pytest
import torch

from training.schedule import Schedule, crossed, set_learning_rate


def test_a_tick_comes_once_an_interval_whatever_the_batch_size() -> None:
    for batch_size in (1, 7, 32, 100):
        steps = range(0, 1000, batch_size)
        ticks = [now for now in steps if crossed(100, now, now + batch_size)]
        assert len(ticks) == len(steps) * batch_size // 100


def test_an_interval_of_zero_never_comes() -> None:
    assert not crossed(0, 0, 1000)


@pytest.mark.parametrize(
    ("shape", "values"),
    [("constant", [2.0, 2.0, 2.0]), ("linear", [2.0, 1.5, 0.0]), ("cosine", [2.0, 1.7071, 0.0])],
)
def test_schedules_go_from_start_to_end_after_the_warmup(shape: str, values: list[float]) -> None:
    schedule = Schedule(2.0, 0.0, shape, warmup_images=100)  # type: ignore[arg-type]
    assert [schedule.at(seen, 500) for seen in (100, 200, 500)] == pytest.approx(values, abs=1e-4)
    assert schedule.at(700, 500) == pytest.approx(values[-1], abs=1e-9)


def test_the_warmup_rises_linearly_and_never_is_zero() -> None:
    schedule = Schedule(1.0, warmup_images=9)
    assert [schedule.at(seen, 100) for seen in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


def test_the_learning_rate_reaches_all_groups() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [weight]} for weight in weights], lr=1.0)
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
