from __future__ import annotations

import json
from pathlib import Path

from eval.report.folder import read_parts, write_report


def content(task: str, model: str = "a", number: float = 1.0) -> dict:
    return {"model": {"sha256": model}, "dataset": {"split": "test"}, "results": [{"task": task, "number": number}]}


def read(folder: Path) -> tuple[list[str], str]:
    report = json.loads((folder / "report.json").read_text())
    return [result["task"] for result in report["results"]], (folder / "report.md").read_text()


def test_two_evaluations_of_one_model_make_one_report_in_either_order(tmp_path: Path) -> None:
    write_report(tmp_path, "image_quality", content("image_quality"), "# Images")
    write_report(tmp_path, "retrieval", content("retrieval"), "# Voices")
    assert read(tmp_path) == (["retrieval", "image_quality"], "# Voices\n# Images")
    write_report(tmp_path, "retrieval", content("retrieval"), "# Voices again")
    assert read(tmp_path) == (["retrieval", "image_quality"], "# Voices again\n# Images")


def test_what_was_found_of_another_model_is_dropped(tmp_path: Path) -> None:
    write_report(tmp_path, "image_quality", content("image_quality", "old"), "# Images")
    write_report(tmp_path, "retrieval", content("retrieval", "new"), "# Voices")
    assert read(tmp_path) == (["retrieval"], "# Voices")
    assert not (tmp_path / "image_quality.md").exists()


def test_numbers_that_json_lacks_are_null_and_a_damaged_report_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{")
    write_report(tmp_path, "retrieval", content("retrieval", number=float("nan")), "# Voices")
    assert "NaN" not in (tmp_path / "report.json").read_text()
    assert read_parts(tmp_path)["retrieval"]["results"][0]["number"] is None
