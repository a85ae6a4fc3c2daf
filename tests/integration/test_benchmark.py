from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.commands import call_script, run_script

WIDTHS = "[8,8,8,4,4]"


def test_it_prints_the_time_of_a_step_in_both_precisions_even_without_a_data_set() -> None:
    keys = ("--batch-size", 4, "--generator.widths", WIDTHS, "--discriminator.widths", WIDTHS, "--dataset", "nowhere")
    result = run_script("benchmark", "train", "--steps", 8, *keys)
    assert result.returncode == 0, result.stderr
    costs = dict(
        re.findall(
            r"^(fp32|bf16): mean +([\d.]+) ms an image, median [\d.]+, least [\d.]+$", result.stdout, re.MULTILINE
        )
    )
    assert costs.keys() == {"fp32", "bf16"} and all(float(cost) > 0 for cost in costs.values())
    assert "adversarial and pixel terms alone" in result.stdout


def test_too_few_steps_for_all_kinds_of_steps_are_refused() -> None:
    result = call_script("benchmark", "train", "--steps", 1)
    assert result.returncode == 2 and "--steps 1" in result.stderr


def test_preparing_videos_is_compared_with_the_classic_pipeline(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("yt_dlp")
    result = run_script(
        "benchmark", "prepare", "--clips", 10, "--seconds", 2, "--classic-clips", 1, "--rounds", 1, "--work", tmp_path
    )
    assert result.returncode == 0, result.stderr
    paces = re.findall(r"^(classic|ours).* +([\d.]+)  [\d.]+$", result.stdout, re.MULTILINE)
    assert len(paces) == 5 and all(float(pace) > 0 for _, pace in paces)
    (num_published,) = re.findall(r"outcomes: (\d+) published", result.stdout)
    assert int(num_published) >= 15, result.stdout
    assert "2 workers do" in result.stdout and "fetch" in result.stdout and "publish" in result.stdout


def test_memory_over_rows_and_the_time_for_rows_of_long_lists_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("yt_dlp")
    result = run_script("benchmark", "prepare", "--rows", 8, "--lists", 200, "--rounds", 1, "--work", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "MiB until row 8" in result.stdout and result.stdout.count("ms a row") == 2


@pytest.mark.parametrize("arguments", [("--clips", 3), ("--rounds", 0), ("--rows", 1), ("--nonsense",)])
def test_numbers_too_small_for_a_measurement_are_refused(arguments: tuple[object, ...]) -> None:
    result = call_script("benchmark", "prepare", *arguments)
    assert result.returncode == 2 and str(arguments[0]) in result.stderr
