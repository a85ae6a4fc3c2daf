from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.run import Run, RunConfig


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Makes a run in a folder of its own; the same one again if asked to resume."""

    def make(name: str = "toy", **settings: Any) -> Run:
        return Run(RunConfig(out=str(tmp_path / "runs" / name), **settings))

    return make
