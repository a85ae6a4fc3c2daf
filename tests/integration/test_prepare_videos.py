from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from data.media.waveform import SAMPLE_RATE
from data.personas.footage.server import VideoServer
from data.personas.footage.videos import make_talking_video
from data.store.dataset import ClipDataset
from data.store.shards import read_info
from data.videos.plan.outcomes import Outcome
from tests.commands import assert_one_line, call_script, run_script

pytest.importorskip("dlib")
pytest.importorskip("yt_dlp")

HOG = ("--face-extraction-model", "hog", "--workers", 1)


def states_of(dataset: Path) -> dict[str, Outcome]:
    files = sorted(dataset.glob("rows-*.jsonl"))
    states = [Outcome(**json.loads(line)) for file in files for line in file.read_text("utf-8").splitlines()]
    return {state.video_id or f"row {state.row}": state for state in states}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ada in two videos of her own folder, Bob alone, a silent film, and a text that calls itself a video."""
    root = tmp_path_factory.mktemp("videos")
    (root / "ada").mkdir()
    make_talking_video(root / "ada" / "short.mp4", persona=0, seconds=4.0)
    make_talking_video(root / "ada" / "long.mkv", persona=0, seconds=14.0)
    make_talking_video(root / "bob.mp4", persona=1, seconds=4.0)
    make_talking_video(root / "silent.mp4", persona=2, seconds=3.0, sound="none")
    (root / "text.avi").write_text("no video at all", encoding="utf-8")
    (root / "people.csv").write_text("identity,sex,age\nada,f,36\nbob,m,\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def prepared(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = tmp_path_factory.mktemp("prepared") / "dataset"
    result = run_script(
        "prepare_videos", "--root", videos, "--attributes", videos / "people.csv", "--out", dataset, *HOG,
        "--clip-seconds", 5,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return dataset


def test_a_folder_of_videos_becomes_clips_of_the_people_it_names(prepared: Path) -> None:
    states = states_of(prepared)
    assert {name: state.reason for name, state in states.items() if state.state == "failed"} == {
        "silent": "no-audio",
        "text": "unreadable",
    }
    assert len(states["ada~short"].clips) == 1
    assert len(states["ada~long"].clips) == 2
    assert {states[name].identity for name in ("ada~short", "ada~long")} == {"ada"}
    info = read_info(prepared)
    assert sum(info.num_clips.values()) == 4 and sum(info.num_identities.values()) == 2
    assert info.attribute_coverage == {"sex": 2, "age": 1, "nationality": 0}


def test_clips_of_a_long_video_are_disjoint_parts_of_it_each_with_voice_and_faces(prepared: Path) -> None:
    dataset = ClipDataset(prepared, "all")
    clips = [dataset.clip(i) for i in range(len(dataset)) if dataset.video_ids[i] == "ada~long"]
    spans = sorted((clip.source.start or 0.0, clip.source.end or 0.0) for clip in clips)
    assert [end - start for start, end in spans] == pytest.approx([5.0, 5.0])
    assert spans[0][1] <= spans[1][0] and spans[1][1] <= 14.1
    for clip in clips:
        assert clip.waveform is not None and 1.0 <= clip.waveform.size / SAMPLE_RATE <= 5.0
        assert len(clip.faces) == len(clip.face_features) > 0


def test_a_rerun_does_nothing_and_the_status_is_told_at_any_time(videos: Path, prepared: Path) -> None:
    common = ("--root", videos, "--attributes", videos / "people.csv", "--out", prepared, *HOG, "--clip-seconds", 5)
    before = {path.name: path.stat().st_mtime_ns for path in prepared.glob("*.parquet")}
    again = call_script("prepare_videos", *common)
    assert again.returncode == 0, again.stderr
    assert {path.name: path.stat().st_mtime_ns for path in prepared.glob("*.parquet")} == before
    status = call_script("prepare_videos", *common, "--status", "--json")
    assert json.loads(status.stdout) == {
        "rows": 5,
        "published": 3,
        "pending": 0,
        "failures": {"no-audio": 1, "unreadable": 1},
    }


def test_a_list_of_channels_is_downloaded_and_the_channel_is_the_person(tmp_path: Path) -> None:
    files = {
        "-1nRm4tQL0A": make_talking_video(tmp_path / "a.mp4", persona=3, seconds=8.0),
        "b": make_talking_video(tmp_path / "b.mp4", persona=3, seconds=4.0),
    }
    table = tmp_path / "channels.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ["channel", "id", "start", "end", "sex"],
                ["Ada", "-1nRm4tQL0A", "1.5", "5.5", "f"],
                ["Ada", "https://youtu.be/b", "", "", ""],
                ["Ada", "c", "5", "4", ""],
                ["Bob", "gone", "", "", ""],
            ]
        )
    dataset = tmp_path / "dataset"
    with VideoServer(files) as server:
        result = call_script(
            "prepare_videos", "--csv", table, "--out", dataset, "--url-template", server.url_template, *HOG
        )
    assert result.returncode == 0, result.stderr
    states = states_of(dataset)
    assert {name: state.reason for name, state in states.items()} == {
        "-1nRm4tQL0A": "",
        "b": "",
        "row 2": "bad-row",
        "gone": "gone",
    }
    assert states["b"].identity == states["-1nRm4tQL0A"].identity == "Ada"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--root --csv"),
        (("--root", "nowhere"), "nowhere"),
        (("--csv", "nowhere.csv"), "nowhere.csv"),
        (("--csv", "x.csv", "--attributes", "y.csv"), "--attributes goes with --root"),
        (("--csv", "x.csv", "--root", "y"), "not allowed with"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert_one_line(call_script("prepare_videos", *arguments, "--out", tmp_path / "out"), message)
    assert not (tmp_path / "out").exists()
