from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from data.errors import ModelError
from training.run import Run
from training.stats import Stats, check_finite

MakeRun = Callable[..., Run]


def lines(run: Run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.folder / "stats.jsonl").read_text().splitlines()]


def test_a_tick_writes_the_mean_of_everything_added_since_the_last(make_run: MakeRun) -> None:
    run = make_run()
    stats = Stats(run)
    stats.add("loss", torch.tensor([1.0, 2.0, 3.0]))
    stats.add("loss", 6.0)
    assert stats.flush(32)["loss"] == 3.0
    stats.add("rate", torch.tensor(0.5))
    stats.flush(64)
    assert [line["images_seen"] for line in lines(run)] == [32, 64]
    assert lines(run)[0]["loss"] == 3.0
    assert "loss" not in lines(run)[1]
    assert lines(run)[1]["speed/images_per_second"] > 0


def test_what_is_not_finite_is_written_as_null(make_run: MakeRun) -> None:
    run = make_run()
    Stats(run).write({"loss": float("nan")}, 32)
    assert lines(run) == [{"images_seen": 32, "loss": None}]


def test_a_resume_forgets_what_came_after_the_checkpoint_and_half_a_line(make_run: MakeRun) -> None:
    run = make_run()
    for images_seen in (32, 64, 96):
        Stats(run, images_seen).write({"loss": 1.0}, images_seen)
    with (run.folder / "stats.jsonl").open("a") as file:
        file.write('{"images_se')
    Stats(make_run(resume=True), 64).write({"loss": 2.0}, 96)
    assert [(line["images_seen"], line["loss"]) for line in lines(run)] == [(32, 1), (64, 1), (96, 2)]


def test_a_dry_run_counts_but_writes_nothing(make_run: MakeRun) -> None:
    run = make_run(dry_run=True)
    stats = Stats(run)
    stats.add("loss", 2.0)
    assert stats.flush(8)["loss"] == 2.0
    assert not run.folder.exists()


def test_a_loss_that_is_not_finite_stops_the_run_by_name() -> None:
    check_finite({"adversarial": torch.tensor(1.0)}, 64)
    with pytest.raises(ModelError, match="r1, r2 not finite after 64 images"):
        check_finite(
            {"adversarial": torch.tensor(1.0), "r1": torch.tensor(torch.inf), "r2": torch.tensor(torch.nan)},
            64,
        )
