from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from data.errors import StepError
from eval.benchmarks.memory import Sample, describe_memory, seconds_per_row, watch

MIB = 2**20


def test_the_peak_is_given_until_each_mark_that_was_reached() -> None:
    peaks = {0: 100, 150: 400, 600: 300, 1200: 500}
    samples = [Sample(float(i), rows, peak * MIB) for i, (rows, peak) in enumerate(peaks.items())]
    text = describe_memory(samples, 1500)
    assert "400 MiB until row 200, 400 MiB until row 1000, 500 MiB until row 1500 (1.25 times the first)" in text
    assert "row 200" not in describe_memory(samples, 100)


def test_seconds_per_row_are_taken_between_two_moments_of_a_run() -> None:
    # Five seconds to start, then two rows a second, then one.
    samples = [Sample(5.0 + i, 2 * i, 0) for i in range(51)] + [Sample(56.0 + i, 101 + i, 0) for i in range(50)]
    assert seconds_per_row(samples, 0, 100) == pytest.approx(0.5)
    assert seconds_per_row(samples, 101, 150) == pytest.approx(1.0)
    assert seconds_per_row(samples, 110, 1000) == pytest.approx(1.0)  # the last sample came before the last rows
    assert math.isnan(seconds_per_row(samples, 150, 1000))


@pytest.mark.slow
def test_a_command_is_watched_with_its_children_and_its_rows_are_counted(tmp_path: Path) -> None:
    child = "x = bytearray(64 * 2**20); import time; print('row 9 is not ours', flush=False); time.sleep(1.2)"
    program = (
        "import subprocess, sys\n"
        "print('row 0 a: published, 4 faces')\nprint('something else')\nprint('row 1 b: failed, gone: x')\n"
        f"subprocess.run([sys.executable, '-c', {child!r}], stdout=subprocess.DEVNULL)"
    )
    samples = list(watch([sys.executable, "-c", program], tmp_path / "out"))
    assert samples[-1].num_rows == 2
    assert max(sample.resident for sample in samples) > 64 * MIB
    assert (tmp_path / "out.log").read_text().startswith("row 0 a")


@pytest.mark.slow
def test_an_error_names_the_log_of_a_command_that_fails(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"exit code 3.*out\.log"):
        list(watch([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "out"))
