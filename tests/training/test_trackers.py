from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wandb

from data.errors import ConfigError
from training.run import Run
from training.stats import Stats
from training.trackers import TrackerConfig

MakeRun = Callable[..., Run]


@pytest.mark.slow
def test_wandb_offline_writes_a_run_and_a_resume_a_new_run_of_the_same_group(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for images_seen, resume in ((32, False), (64, True)):
        run = make_run("voices", resume=resume, tracker=TrackerConfig(wandb="offline"))
        Stats(run, images_seen).write({"loss": 1.0}, images_seen)
        run.trackers.log_image("samples", np.zeros((4, 4, 3), np.uint8), images_seen)
        run.trackers.log_table("recall", ["k", "recall"], [[1, 0.1], [10, 0.3]], images_seen)
        run.finish()
        assert "wandb sync" in capsys.readouterr().out
    runs = list((run.folder / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    logs = [next(folder.glob("*.wandb")).read_bytes() for folder in runs]
    # Names of folders tell only the second in which a run began.
    assert [sum(f"voices-{number}".encode() in content for content in logs) for number in (1, 2)] == [1, 1]
    for folder, content in zip(runs, logs, strict=True):
        assert b"\x06voices" in content  # its group, length first as in any protocol buffer
        assert b"images_seen" in content
        assert len(list(folder.glob("files/media/images/*.png"))) == 1
        assert len(list(folder.glob("files/media/table/*.json"))) == 1


def test_a_wandb_that_can_not_be_logged_into_is_a_config_error(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise wandb.errors.UsageError("No API key\nconfigured.")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(ConfigError, match=r"\(No API key configured\.\): run `wandb login`, or set"):
        make_run(tracker=TrackerConfig(wandb="online"))


def test_tensorboard_gets_scalars_images_and_tables(make_run: MakeRun) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run(tracker=TrackerConfig(tensorboard=True))
    Stats(run).write({"loss": 2.0}, 64)
    run.trackers.log_image("samples", np.zeros((4, 4, 3), np.uint8), 64)
    run.trackers.log_table("recall", ["k", "recall"], [[1, 0.1]], 64)
    run.finish()
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    (point,) = events.Scalars("loss")
    assert (point.step, point.value) == (64, 2.0)
    assert events.Tags()["images"] == ["samples"]
    assert events.Tags()["tensors"] == ["recall/text_summary"]


@pytest.mark.slow
def test_wandb_is_not_imported_when_disabled(tmp_path: Path) -> None:
    code = (
        "import sys; from training.run import Run, RunConfig; "
        f"Run(RunConfig(out={str(tmp_path / 'run')!r})).finish(); "
        "sys.exit(any(name in sys.modules for name in ('wandb', 'tensorboard')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
