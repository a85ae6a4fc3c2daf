"""The notebooks, run from the first cell to the last in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT

RUNNER = """
import json, sys
cells = [cell for cell in json.load(open(sys.argv[1]))["cells"] if cell["cell_type"] == "code"]
names = {}
for number, cell in enumerate(cells):
    exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
print(json.dumps({"cells": len(cells), "drawings": [d.size for d in names["drawings"]], "results": names["results"]}))
"""


def test_the_quick_start_draws_makes_a_data_set_and_a_report_in_about_ten_cells(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", RUNNER, str(ROOT / "notebooks" / "quickstart.ipynb")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    assert 8 <= made["cells"] <= 12 and made["drawings"] == [[64, 64]] * 8
    pairs = [row for row in made["results"] if row["task"] == "verification" and row["system"] == "model"]
    rates = [row["equal_error_rate"] for row in pairs if row["others"] == "all"]
    assert rates and rates[0] < 0.4  # chance is 0.5
    (work,) = tmp_path.glob("wav2face-*")
    assert (work / "me.png").is_file() and (work / "report" / "report.md").is_file()


def test_notebooks_are_stored_without_outputs() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert cell["cell_type"] == "markdown" or (not cell["outputs"] and cell["execution_count"] is None), path
