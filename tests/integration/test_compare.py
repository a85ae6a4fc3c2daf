"""The comparison of methods as a user starts it, on made-up people."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.commands import assert_one_line, call_script, run_script
from tests.synthetic import TinyWorld


def test_methods_are_trained_judged_and_shown_and_a_second_run_takes_what_is_there(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    methods = ("--methods", "wav2face", "wav2pix")
    arguments = ("--quick", "--dataset", tiny_world.dataset, "--out", tmp_path / "out", *methods)
    result = run_script("compare", *arguments)
    assert result.returncode == 0, result.stderr
    out = tmp_path / "out"
    assert result.stdout.splitlines()[-2:] == [str(out / "compare.md"), str(out / "index.html")]
    rows = json.loads((out / "compare.json").read_text())["rows"]
    assert [(row["method"], row["variety"]) for row in rows] == [("wav2face", 0), ("wav2face", 1), ("wav2pix", None)]
    for row in rows:
        assert 0 <= row["recall"]["mean"] <= 1 and row["frechet_distance"]["mean"] > 0 and row["parameters"] > 10_000
        assert row["training_ms"] > 0 and row["minutes"] > 0 and row["drawing_ms"] > 0 and row["images"] >= 48
    text = (out / "compare.md").read_text()
    assert "| Wav2Pix (2019) |" in text and f"where chance is an R@{rows[0]['k']} (recall) of" in text
    page = (out / "index.html").read_text()
    assert page.count("<img") == 4 and "Wav2Pix" in page
    with Image.open(out / "assets" / "wav2pix-0.png") as strip:
        assert strip.height == 64 and strip.width % 64 == 0
    before = {path: path.stat().st_mtime for path in (out / "seed-0").rglob("model.safetensors")}
    again = run_script("compare", *arguments)
    assert again.returncode == 0, again.stderr
    assert before == {path: path.stat().st_mtime for path in (out / "seed-0").rglob("model.safetensors")}


def test_mistakes_are_one_line(tiny_world: TinyWorld, tmp_path: Path) -> None:
    data = ("--dataset", tiny_world.dataset, "--out", tmp_path)
    assert_one_line(call_script("compare", *data, "--methods", "gan"), "--methods gan: there are wav2face, speech2face")
    assert_one_line(call_script("compare", *data, "--seeds", 0), "--seeds 1 or more")
    assert_one_line(call_script("compare", "--dataset", tmp_path / "none", "--out", tmp_path), "none")
