from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from data import workers
from data.errors import ConfigError, OutputError
from training import launch
from training.run import Run, RunConfig
from training.stats import Stats
from training.trackers import TrackerConfig

MakeRun = Callable[..., Run]


def begin(run: Run) -> None:
    Stats(run).write({"loss": 1.0}, 0)


def test_the_resolved_configuration_lies_in_the_run_folder(make_run: MakeRun) -> None:
    run = make_run(seed=3, precision="fp32")
    written = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert (written["seed"], written["precision"]) == (3, "fp32")


def test_a_folder_that_holds_a_run_is_not_taken_by_another(make_run: MakeRun) -> None:
    begin(make_run())
    with pytest.raises(OutputError, match="already holds a run: add --resume"):
        make_run()


def test_a_run_stopped_before_it_began_does_not_stand_in_the_way(make_run: MakeRun) -> None:
    make_run(seed=1)
    assert make_run(seed=2).folder.exists()


def test_a_resume_may_change_trackers_but_not_the_seed(make_run: MakeRun) -> None:
    begin(make_run())
    make_run(resume=True, tracker=TrackerConfig(tensorboard=True)).finish()
    with pytest.raises(ConfigError, match=r"can't resume .*toy with another configuration \(seed: 0 became 1\)"):
        make_run(resume=True, seed=1)


def test_a_damaged_configuration_stops_the_resume(make_run: MakeRun) -> None:
    run = make_run()
    begin(run)
    for damage in (b"", b"{", b"\xff"):
        (run.folder / "config.yaml").write_bytes(damage)
        with pytest.raises(ConfigError, match="damaged"):
            make_run(resume=True)


def test_an_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write the run folder"):
        Run(RunConfig(out=str(tmp_path / "file" / "run")))


def test_a_dry_run_writes_nothing(make_run: MakeRun) -> None:
    assert not make_run(dry_run=True).folder.exists()


@pytest.mark.parametrize("asked", ["fp16", "fp8"])
def test_fp16_is_refused_however_it_is_asked_for(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)
    with pytest.raises(ConfigError, match=f"precision {asked} is not offered.*use fp32 or bf16"):
        make_run()
    assert make_run(precision="bf16").precision == "bf16"


def test_bf16_reaches_the_forward_pass_alone(make_run: MakeRun) -> None:
    run = make_run(precision="bf16")
    layer = run.accelerator.prepare(torch.nn.Linear(2, 2))
    inputs = torch.ones(1, 2, device=run.device)
    with run.autocast():
        assert layer(inputs).dtype == torch.bfloat16
    assert layer(inputs).dtype == torch.float32


def test_randomness_follows_from_seed_moment_and_stream(make_run: MakeRun) -> None:
    run = make_run()

    def draws(images_seen: int, stream: int = 0) -> tuple[float, float, float]:
        run.seed_step(images_seen, stream)
        return torch.rand(()).item(), np.random.rand(), random.random()

    assert draws(64) == draws(64)
    assert len({draws(64), draws(96), draws(64, 1)}) == 3
    shared = [torch.rand((), generator=run.generator(64, stream)).item() for stream in (0, 0, 1)]
    assert shared[0] == shared[1] != shared[2]
    assert shared[0] != draws(64)[0]


def test_micro_batches_cover_the_batch_once(make_run: MakeRun) -> None:
    rows = [list(range(7))[rows] for rows in make_run().micro_batches(7, 3)]
    assert rows == [[0, 1, 2], [3, 4, 5], [6]]


def test_one_process_instead_of_several_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(ConfigError, match=r"configs/accelerate/cpu\.yaml"):
        launch.start_missing_processes()


@pytest.mark.parametrize(
    ("processes", "environment", "expected"), [(1, None, 8), (4, None, 2), (32, None, 1), (4, "6", 6), (4, "64", 16)]
)
def test_processes_share_the_cores_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, processes: int, environment: str | None, expected: int
) -> None:
    threads: list[int] = []
    monkeypatch.setattr(workers, "count_cores", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if environment:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    launch.share_cores(processes)
    assert threads == [expected]
