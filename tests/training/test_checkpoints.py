from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from data.errors import ModelError
from training import checkpoints as checkpoints_module
from training.checkpoints import Checkpoints
from training.run import Run

MakeRun = Callable[..., Run]


class Box:
    """Any state."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


def registry(run: Run, **parts: Any) -> Checkpoints:
    checkpoints = Checkpoints(run)
    for name, part in parts.items():
        checkpoints.register(name, part)
    return checkpoints


def test_tensors_scalars_and_structure_come_back_exactly(make_run: MakeRun) -> None:
    run = make_run()
    shared = torch.arange(3)
    layout = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    state = {
        "a": [1, 2.5, None, True, "x"],
        "b": {0: {"step": torch.tensor(3.0), "betas": (0.9, 0.1 + 0.2)}},
        "same": (shared, shared[1:], torch.tensor([0.1], dtype=torch.bfloat16)),
        "layout": layout,
        "empty": torch.zeros(0, 2),
    }
    registry(run, box=Box(state)).save(32)
    box = Box({})
    assert registry(run, box=box).load_latest() == 32
    assert box.state["a"] == state["a"]
    assert box.state["b"][0]["betas"] == (0.9, 0.1 + 0.2)
    for old, new in zip(state["same"], box.state["same"], strict=True):
        assert old.dtype == new.dtype
        assert torch.equal(old, new)
    assert torch.equal(box.state["layout"], layout)
    assert box.state["layout"].stride() == layout.stride()
    assert box.state["empty"].shape == (0, 2)


def test_no_checkpoint_is_none_and_the_newest_are_kept(make_run: MakeRun) -> None:
    run = make_run()
    box = Box({"seen": 0})
    checkpoints = registry(run, box=box)
    assert checkpoints.load_latest() is None
    for seen in (32, 64, 96):
        box.state = {"seen": seen}
        checkpoints.save(seen)
    assert checkpoints.load_latest() == 96
    assert box.state == {"seen": 96}
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "000000000064",
        "000000000096",
        "latest",
    ]


def test_a_write_cut_short_anywhere_leaves_the_last_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    box = Box({"weight": torch.ones(2), "seen": 32})
    checkpoints = registry(run, box=box)
    checkpoints.save(32)
    write_file = checkpoints_module.write_file
    box.state = {"weight": torch.zeros(2), "seen": 64}
    for written in range(4):  # weights, structure, about, pointer
        left = iter(range(written))

        def full_disk(path: Path, content: bytes | str, left: Any = left) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            write_file(path, content)

        monkeypatch.setattr(checkpoints_module, "write_file", full_disk)
        with pytest.raises(OSError, match="No space"):
            checkpoints.save(64)
        monkeypatch.undo()
        found = Box({})
        assert registry(run, box=found).load_latest() == 32
        assert found.state["weight"].tolist() == [1, 1]
    (checkpoints.folder / ".000000000064.partial").mkdir()  # as after a kill
    checkpoints.save(64)
    assert checkpoints.load_latest() == 64
    assert not list(checkpoints.folder.glob(".*"))


def test_a_prepared_module_is_stored_bare(make_run: MakeRun) -> None:
    run = make_run()
    module = nn.Linear(2, 1)
    registry(run, module=run.accelerator.prepare(module)).save(8)
    other = nn.Linear(2, 1)
    registry(run, module=other).load_latest()
    assert torch.equal(other.weight, module.weight.cpu())


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"module": nn.Linear(3, 1)}, "size mismatch"),
        ({"module": nn.Linear(2, 1, bias=False)}, "Unexpected key"),
        ({"module": nn.Sequential(nn.Linear(2, 1))}, "Missing key"),
        (
            {"module": nn.Linear(2, 1), "ema": Box({})},
            r"holds \['module'\], but this run needs \['ema', 'module'\]",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(make_run: MakeRun, parts: dict[str, Any], says: str) -> None:
    run = make_run()
    registry(run, module=nn.Linear(2, 1)).save(8)
    with pytest.raises(ModelError, match=says):
        registry(run, **parts).load_latest()


@pytest.mark.parametrize("file", ["module.safetensors", "module.json", "checkpoint.json"])
def test_a_damaged_checkpoint_is_refused(make_run: MakeRun, file: str) -> None:
    run = make_run()
    checkpoints = registry(run, module=nn.Linear(2, 1))
    checkpoints.save(8)
    path = checkpoints.folder / "000000000008" / file
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ModelError, match="can't resume from"):
        checkpoints.load_latest()


def test_names_are_taken_once_and_odd_states_refused(make_run: MakeRun) -> None:
    run = make_run()
    checkpoints = registry(run, box=Box({"x": object()}))
    with pytest.raises(ValueError, match="taken"):
        checkpoints.register("box", Box({}))
    with pytest.raises(TypeError, match="x: a checkpoint can't hold a object"):
        checkpoints.save(8)
