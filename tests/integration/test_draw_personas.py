"""scripts/draw_personas.py as users start it."""

from pathlib import Path

import pytest
from PIL import Image

from tests.commands import assert_one_line, call_script, run_script


def test_sheets_have_a_place_for_every_face(tmp_path: Path) -> None:
    grid, same = tmp_path / "grid.png", tmp_path / "same.jpg"
    done = run_script("draw_personas", "grid", "--out", grid, "--personas", 5, "--columns", 3, "--face-size", 64)
    assert done.returncode == 0, done.stderr
    assert Image.open(grid).size == (3 * 66, 2 * 66)
    done = call_script(
        "draw_personas", "grid", "--out", same, "--personas", 4, "--images", 2, "--face-size", 64, "--first", 3
    )
    assert done.returncode == 0, done.stderr
    assert Image.open(same).size == (4 * 66, 2 * 66)


def test_a_traverse_has_a_row_for_each_trait_and_sex(tmp_path: Path) -> None:
    out = tmp_path / "traverse.png"
    done = call_script("draw_personas", "traverse", "--out", out, "--face-size", 64)
    assert done.returncode == 0, done.stderr
    assert Image.open(out).size == (8 * 66, 5 * 66)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--face-size", 100], "--face-size 100: one of 64, 128, 256"),
        (["--personas", 0], "--personas 0: between 1"),
        (["--out", "sheet.webp"], "ends in .jpg or .png"),
        (["--out", "nowhere/sheet.png"], "create it first"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: list[object], complaint: str) -> None:
    assert_one_line(call_script("draw_personas", "grid", "--out", tmp_path / "sheet.png", *arguments), complaint)
    assert not list(tmp_path.iterdir())
