"""The verification command on made-up people and an untrained encoder."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.store.dataset import ClipDataset
from eval.report.folder import read_parts
from tests.commands import assert_one_line, call_script, run_script
from tests.synthetic import TINY_ANALYZER, TinyWorld


def command(tiny_world: TinyWorld, model: Path, out: Path) -> list[object]:
    return ["--model", model, "--dataset", tiny_world.dataset, "--out", out, "--split", "all"]


def test_a_report_has_pairs_and_matching_with_chance_floors_and_a_picture(tiny_world, tiny_encoder, tmp_path):
    result = run_script("evaluate_verification", *command(tiny_world, tiny_encoder, tmp_path), "--candidates", 2, 5, 40)
    assert result.returncode == 0, result.stderr
    assert "pairs of one person" in result.stdout and "chance 50.0 %" in result.stdout
    report = read_parts(tmp_path)["verification"]
    pairs = [row for row in report["results"] if row["task"] == "verification"]
    assert {row["others"] for row in pairs} == {"all", "same_sex", "same_nationality"}
    for row in (*pairs, *(floor for floor in report["floors"] if floor["task"] == "verification")):
        assert row["pairs_same"] == row["pairs_different"] > 20 and row["chance"] == 0.5
        low, high = row["equal_error_rate_ci95"]
        assert 0 <= low <= row["equal_error_rate"] <= high <= 1
    matching = [row for row in report["results"] if row["task"] == "matching"]
    assert {(row["direction"], row["candidates"]) for row in matching if row["others"] == "all"} == {
        (direction, num) for direction in ("voice_to_face", "face_to_voice") for num in (2, 5)
    }
    assert all(row["chance"] == pytest.approx(1 / row["candidates"]) for row in matching)
    text = (tmp_path / "report.md").read_text()
    assert "No matching 1 of 40, all: no group has 40 people." in text
    assert (tmp_path / report["pictures"]["verification"]).is_file()
    assert json.loads((tmp_path / "report.json").read_text())["results"] == report["results"]


def test_its_numbers_are_json_alone_if_asked(tiny_world, tiny_encoder, tmp_path):
    result = call_script("evaluate_verification", *command(tiny_world, tiny_encoder, tmp_path), "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == read_parts(tmp_path)["verification"]


def test_a_published_list_is_measured_and_answered(tiny_world, tiny_encoder, tmp_path):
    dataset = ClipDataset(tiny_world.dataset, "all")
    people = [p for p in range(len(dataset.identities)) if dataset.voices_of(p) and dataset.faces_of(p)]
    rows = []
    for place, person in enumerate(people):
        voice = dataset.clip_ids[dataset.voices_of(person)[0]]
        for label, other in ((1, person), (0, people[place - 1])):
            clip, number = dataset.faces_of(other)[0]
            rows.append(f"k{len(rows)},{voice}.wav,{dataset.clip_ids[clip]}-{number}.jpg,{label}")
    pairs, scores = tmp_path / "list.csv", tmp_path / "scores.txt"
    pairs.write_text("\n".join(rows))
    given = [*command(tiny_world, tiny_encoder, tmp_path / "report"), "--pairs", pairs, "--submission", scores]
    result = call_script("evaluate_verification", *given)
    assert result.returncode == 0, result.stderr
    row = next(row for row in read_parts(tmp_path / "report")["verification"]["results"] if row.get("list"))
    assert (row["list"], row["pairs_same"], row["pairs_different"]) == ("list.csv", len(people), len(people))
    written = [line.split() for line in scores.read_text().splitlines()]
    assert [key for key, _ in written] == [f"k{number}" for number in range(len(rows))]
    assert all(0 <= float(distance) <= 2 for _, distance in written)
    assert len(np.unique([distance for _, distance in written])) > len(people)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--candidates", 1], "--candidates 2 or more"),
        (["--submission", "scores.txt"], "give one list with --pairs"),
        (["--pairs", "gone.txt"], "gone.txt: can't be read"),
    ],
)
def test_mistakes_are_told_in_one_line(tiny_world, tiny_encoder, tmp_path, arguments, told):
    result = call_script("evaluate_verification", *command(tiny_world, tiny_encoder, tmp_path), *arguments)
    assert_one_line(result, told)


def test_a_list_may_name_recordings_and_photographs(tiny_world, tiny_encoder, tmp_path):
    pairs, scores = tmp_path / "files.txt", tmp_path / "scores.txt"
    rows = [f"person_{p:03d}/voices/0.wav person_{q:03d}/faces/0.png {int(p == q)}" for p in (0, 1) for q in (0, 1)]
    pairs.write_text("\n".join([*rows, "person_000/voices/0.wav person_000/faces/gone.png 1"]))
    given = [*command(tiny_world, tiny_encoder, tmp_path / "report"), "--pairs", pairs, "--submission", scores]
    files = ["--files", tiny_world.recordings, "--face-analyzer", TINY_ANALYZER, "--voice-activity", "none"]
    result = call_script("evaluate_verification", *given, *files, "--insightface-root", tiny_world.pack_root)
    assert result.returncode == 0, result.stderr
    assert "list files.txt" in result.stdout and "5 files" in result.stdout
    distances = [float(line.split()[1]) for line in scores.read_text().splitlines()]
    assert len(set(distances)) == 5 and distances[-1] == pytest.approx(2**0.5, abs=1e-6)  # the cosine 0
    assert "gone.png count as a cosine of 0" in (tmp_path / "report" / "report.md").read_text()
    # By its clip the pair has the same score, but for the rounding of stored speech.
    pairs.write_text("k person_000/0 person_000/0\n")
    assert call_script("evaluate_verification", *given).returncode == 0
    assert float(scores.read_text().split()[1]) == pytest.approx(distances[0], abs=1e-2)
