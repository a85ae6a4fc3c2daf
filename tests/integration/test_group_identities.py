from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data.personas.footage.videos import make_talking_video
from data.sources.rewrite import GROUPS_NAME
from data.store.dataset import ClipDataset
from data.store.split import assign_split
from tests.commands import assert_one_line, call_script, run_script
from tests.synthetic import TinyWorld


@pytest.fixture
def dataset(tiny_world: TinyWorld, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_world.dataset, tmp_path / "dataset")


def test_the_command_tells_what_it_joins_and_then_does_it(dataset: Path) -> None:
    dry = call_script("group_identities", "--dataset", dataset, "--threshold", 0.5, "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "27 people in 52 clips" in dry.stdout and "nothing was changed" in dry.stdout
    done = run_script("group_identities", "--dataset", dataset, "--threshold", 0.5)
    assert done.returncode == 0 and "is rewritten" in done.stdout
    assert done.stdout.splitlines()[:-1] == dry.stdout.splitlines()[:-1]
    left = len(ClipDataset(dataset, "all").identities)
    assert f": {left} people" in done.stdout and left < 27
    again = call_script("group_identities", "--dataset", dataset, "--threshold", 0.5)
    assert "nobody is in it under two names: nothing to do" in again.stdout


def test_a_chain_through_everybody_and_people_of_both_sexes_are_warned_of(dataset: Path) -> None:
    done = call_script("group_identities", "--dataset", dataset, "--threshold", 0.01, "--dry-run")
    assert "warning: one group joins" in done.stdout and "use a higher --threshold" in done.stdout
    assert "both sexes" in done.stdout


def test_an_unknown_network_and_a_missing_data_set_are_one_line_each(dataset: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (["--dataset", dataset], "insightface:tiny/tiny; give the least cosine with --threshold"),
        (["--dataset", tmp_path / "nowhere"], "no data set here"),
        ([], "--dataset"),
    ):
        assert_one_line(call_script("group_identities", *arguments), words)


def test_videos_of_one_persona_become_one_person_and_stay_so_when_the_preparation_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    root, out = tmp_path / "videos", tmp_path / "set"
    root.mkdir()
    for name, persona in (("a", 0), ("b", 1), ("c", 0)):
        make_talking_video(root / f"{name}.mp4", persona=persona, seconds=2.0)
    networks = ("--face-extraction-model", "hog", "--face-encoder", "personas")
    command = ["prepare_videos", "--root", root, "--out", out, *networks, "--face-size", 64, "--workers", 1]
    assert call_script(*command).returncode == 0
    assert ClipDataset(out, "all").identities == ["a", "b", "c"]
    grouped = call_script("group_identities", "--dataset", out)
    assert grouped.returncode == 0 and "2 of these names belong to 1 people: 2 people are left" in grouped.stdout, (
        grouped.stderr
    )
    again = call_script(*command)
    assert again.returncode == 0, again.stderr
    clips = ClipDataset(out, "all")
    assert clips.identities == ["a", "b"] and len(clips) == 3 and clips.info.extra["groups"]["threshold"] == 0.92
    assert json.loads((out / GROUPS_NAME).read_text()) == {"identity": "c", "group": "a"}
    states = [json.loads(line) for path in out.glob("rows-*.jsonl") for line in path.read_text().splitlines()]
    assert {state["video_id"]: state["identity"] for state in states} == {"a": "a", "b": "b", "c": "a"}
    assert all(state["split"] == assign_split(state["identity"]) for state in states)
