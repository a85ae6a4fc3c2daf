from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from PIL import Image

from data.media.waveform import SAMPLE_RATE
from data.personas.footage.vowels import speak
from data.store.dataset import ClipDataset
from tests.commands import assert_one_line, call_script, run_script
from tests.synthetic import TINY_ANALYZER, TinyWorld, draw_face

NAMES = {"id10001": "Ann_Other", "id10002": "Bo.B._Any", "id10003": "Cy_None"}


@pytest.fixture(scope="module")
def voxceleb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VoxCeleb1 of three people, the last without a face, and a face of nobody."""
    folder = tmp_path_factory.mktemp("voxceleb")
    lines = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for person, (identity, name) in enumerate(NAMES.items()):
        for video in range(2):
            path = folder / "vox1" / "wav" / identity / f"video{video}" / "00001.wav"
            path.parent.mkdir(parents=True)
            soundfile.write(path, speak(person, video), SAMPLE_RATE)
        lines.append(f"{identity}\t{name}\t{'fm'[person % 2]}\tNorway\tdev")
        if person < 2:
            path = folder / "faces" / name / "1.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(draw_face(person)).save(path)
    (folder / "faces" / "Who_Ever").mkdir()
    Image.fromarray(draw_face(9)).save(folder / "faces" / "Who_Ever" / "1.png")
    (folder / "vox1_meta.csv").write_text("\n".join(lines) + "\n")
    return folder


def arguments(voxceleb: Path, tiny_world: TinyWorld, out: Path) -> list[object]:
    return [
        *("--root", voxceleb / "vox1", "--faces", voxceleb / "faces", "--meta", voxceleb / "vox1_meta.csv"),
        *("--out", out, "--face-analyzer", TINY_ANALYZER, "--insightface-root", tiny_world.pack_root),
        *("--face-size", 64, "--voice-activity", "none", "--workers", 1),
    ]


def test_recordings_faces_and_what_is_known_become_one_data_set(
    voxceleb: Path, tiny_world: TinyWorld, tmp_path: Path
) -> None:
    done = run_script("prepare_voxceleb", *arguments(voxceleb, tiny_world, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "left out: 1 people without a folder of faces: id10003" in done.stdout
    assert "left out: 1 folders of faces of nobody in the meta CSVs: Who_Ever" in done.stdout
    clips = ClipDataset(tmp_path / "out", "all")
    assert clips.identities == ["id10001", "id10002"] and len(clips) == 4
    assert sorted(map(str, clips.video_ids)) == ["video0", "video0", "video1", "video1"]
    assert clips.attributes(0).sex == "female" and clips.attributes(1).nationality == "Norway"
    assert clips.num_faces.sum() == 2 and clips.has_voice.all()
    lines = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert {line["identity"]: line["reason"] for line in lines} == {"id10003": "no-faces", "Who_Ever": "unknown-name"}
    again = call_script("prepare_voxceleb", *arguments(voxceleb, tiny_world, tmp_path / "out"))
    assert "nothing to do" in again.stdout


def test_everybody_is_kept_and_recordings_are_limited_on_request(
    voxceleb: Path, tiny_world: TinyWorld, tmp_path: Path
) -> None:
    more = ["--keep-all", "--max-voices", 1]
    done = call_script("prepare_voxceleb", *arguments(voxceleb, tiny_world, tmp_path / "out"), *more)
    assert done.returncode == 0, done.stderr
    clips = ClipDataset(tmp_path / "out", "all")
    assert clips.identities == list(NAMES) and clips.has_voice.sum() == 3


def test_mistakes_are_one_line_each(voxceleb: Path, tiny_world: TinyWorld, tmp_path: Path) -> None:
    given = arguments(voxceleb, tiny_world, tmp_path / "out")
    bad = tmp_path / "meta.csv"
    bad.write_text("name,age\n")
    for more, words in (
        (["--meta", bad], "no column 'VoxCeleb1 ID'"),
        (["--max-voices", 0], "--max-voices 0"),
        (["--root", tmp_path / "nowhere"], "nowhere"),
    ):
        assert_one_line(call_script("prepare_voxceleb", *given, *more), words)
    without = [item for item in given if item not in ("--faces", voxceleb / "faces")]
    assert_one_line(call_script("prepare_voxceleb", *without), "--faces is missing")
