"""Preparing folders, good and bad, by the command that people type."""

import json
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from data.errors import DatasetError, OutputError
from data.media.waveform import SAMPLE_RATE
from data.personas.footage.vowels import speak
from data.sources import prepare
from data.sources.clips import Recipe
from data.sources.prepare import PrepareConfig, prepare_folder
from data.store.dataset import ClipDataset
from tests.commands import assert_one_line, call_script, run_script
from tests.synthetic import TINY_ANALYZER, TinyWorld, draw_face, make_recordings, photograph_persona


def tiny_options(tiny_world: TinyWorld) -> list[object]:
    root = ["--insightface-root", tiny_world.pack_root]
    return ["--face-analyzer", TINY_ANALYZER, *root, "--face-size", 64, "--voice-activity", "none"]


def write_truncated_mp4(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(speak(0, seconds=3.0)[None], "fltp", "mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_bad_files(root: Path) -> dict[str, str]:
    """Every bad file of which a preparation must think, one of each; returns the expected reason by file name."""
    voices, faces = root / "bad" / "voices", root / "bad" / "faces"
    voices.mkdir(parents=True)
    faces.mkdir()
    (voices / "text.wav").write_text("not a recording")
    (voices / "zero.flac").touch()
    write_truncated_mp4(voices / "cut.mp4")
    soundfile.write(voices / "silence.wav", np.zeros(3 * SAMPLE_RATE), SAMPLE_RATE)
    soundfile.write(voices / "nan.wav", np.full(SAMPLE_RATE, np.nan, np.float32), SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(voices / "short.wav", speak(0, seconds=0.3), SAMPLE_RATE)
    with soundfile.SoundFile(voices / "long.flac", "w", 8000, 1) as file:  # ten hours in a few kilobytes
        for _ in range(600):
            file.write(np.zeros(60 * 8000, np.int16))
    (voices / "gone.wav").symlink_to("nowhere.wav")
    os.mkfifo(voices / "pipe.wav")  # neither read nor waited for
    Image.new("CMYK", (64, 64)).save(faces / "cmyk.jpg")
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(faces / "deep.png")
    frames = [Image.fromarray(draw_face(0, i)) for i in range(2)]
    frames[0].save(faces / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(draw_face(0)[:40]).save(faces / "flat.png")
    (faces / "text.jpg").write_text("not a picture")
    unsafe = root / "..\\x" / "voices"
    unsafe.mkdir(parents=True)
    soundfile.write(unsafe / "fine.wav", speak(0), SAMPLE_RATE)
    return {
        "text.wav": "unreadable",
        "zero.flac": "empty",
        "cut.mp4": "unreadable",
        "silence.wav": "silent",
        "nan.wav": "not-finite",
        "short.wav": "too-short",
        "long.flac": "too-long",
        "gone.wav": "unreadable",
        "cmyk.jpg": "cmyk",
        "deep.png": "16-bit",
        "moving.gif": "animated",
        "flat.png": "not-square",
        "text.jpg": "unreadable",
        "..\\x": "unsafe-identity",
    }


def test_bad_files_cost_themselves_alone_whatever_the_number_of_workers(tiny_world: TinyWorld, tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    make_recordings(root, num_identities=4)
    expected = write_bad_files(root)
    outs = [tmp_path / "one", tmp_path / "two"]
    for workers, (run, out) in enumerate(zip((call_script, run_script), outs, strict=True), start=1):
        done = run("prepare_folder", "--root", root, "--out", out, *tiny_options(tiny_world), "--workers", workers)
        assert done.returncode == 0, done.stderr
        assert "14 failures" in done.stdout and str(out) in done.stdout
        assert done.stderr == ""
    rows = [json.loads(line) for line in (outs[0] / "failures.jsonl").read_text().splitlines()]
    assert {Path(row["path"]).name: row["reason"] for row in rows} == expected
    assert all(set(row) == {"path", "identity", "reason", "message"} and row["message"] for row in rows)
    dataset = ClipDataset(outs[0], "all")
    assert dataset.identities == ["person_000", "person_001", "person_002", "person_003"]
    names = sorted(path.name for path in outs[0].iterdir())
    assert names == sorted(path.name for path in outs[1].iterdir())
    assert [(outs[0] / name).read_bytes() for name in names] == [(outs[1] / name).read_bytes() for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "recordings", "recordings.csv", "two"]


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(tiny_world: TinyWorld, tmp_path: Path) -> None:
    arguments = [
        "prepare_folder",
        "--root",
        tiny_world.recordings,
        "--out",
        tmp_path / "out",
        *tiny_options(tiny_world),
    ]
    arguments += ["--workers", 1, "--split-fractions", 0.8, 0.1, 0.1]
    full = run_script(*arguments, max_file_size=200_000)
    assert_one_line(full, "out", "space")
    assert not (tmp_path / "out").exists()
    assert call_script(*arguments).returncode == 0
    assert len(ClipDataset(tmp_path / "out", "all").identities) == 27


def test_an_empty_folder_an_unwritable_output_and_a_wrong_option_are_one_line_each(
    tiny_world: TinyWorld, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    options = tiny_options(tiny_world)
    for root, out, more, words in (
        (tmp_path / "empty", tmp_path / "out", (), ("empty", "expected")),
        (tiny_world.recordings, tmp_path / "file" / "out", (), ("file/out", "can't be written")),
        (tmp_path, tmp_path, ("--faces", 3), ("--faces",)),
    ):
        assert_one_line(call_script("prepare_folder", "--root", root, "--out", out, *options, *more), *words)


def config(tiny_world: TinyWorld, out: Path, **changes: object) -> PrepareConfig:
    settings: dict = {
        "root": tiny_world.recordings,
        "out": out,
        "recipe": Recipe(
            TINY_ANALYZER, insightface_root=str(tiny_world.pack_root), face_size=64, voice_activity="none"
        ),
        "attributes": tiny_world.attributes,
        "split_fractions": (0.5, 0.2, 0.3),
        "num_workers": 1,
    }
    return PrepareConfig(**{**settings, **changes})


def test_an_interrupted_preparation_goes_on_behind_its_last_shard(
    tiny_world: TinyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = []
    make_clips, write_shard = prepare.make_clips, prepare.write_shard

    def count(task):
        described.append(task.person.identity)
        return make_clips(task)

    def interrupt(path, rows, feature_size):
        if path.name.startswith("val"):
            list(rows)  # all is described, nothing written
            raise KeyboardInterrupt
        return write_shard(path, rows, feature_size)

    monkeypatch.setattr(prepare, "make_clips", count)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare, "write_shard", interrupt)
        prepare_folder(config(tiny_world, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    first = len(described)
    described.clear()
    prepared = prepare_folder(config(tiny_world, tmp_path / "out"))
    assert 0 < len(described) < 27 < first + len(described)
    assert not set(described) & set(ClipDataset(tmp_path / "out", "train").identities)
    for path in tiny_world.dataset.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert prepared.info.num_identities == {"train": 12, "val": 6, "test": 9}


def test_the_same_request_again_does_nothing_and_another_needs_overwrite(tiny_world: TinyWorld, tmp_path: Path) -> None:
    out = shutil.copytree(tiny_world.dataset, tmp_path / "out")
    assert prepare_folder(config(tiny_world, out)).was_there
    with pytest.raises(OutputError, match=r"made otherwise \(seed\).*--overwrite"):
        prepare_folder(config(tiny_world, out, seed=1))
    prepared = prepare_folder(config(tiny_world, out, seed=1, overwrite=True))
    assert not prepared.was_there and ClipDataset(out, "all").info.split.seed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_is_no_data_set_is_never_replaced(tiny_world: TinyWorld, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(OutputError, match="no data set"):
        prepare_folder(config(tiny_world, tmp_path, overwrite=True))
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_a_folder_with_nothing_usable_says_why(tiny_world: TinyWorld, tmp_path: Path) -> None:
    (tmp_path / "root" / "a" / "voices").mkdir(parents=True)
    (tmp_path / "root" / "a" / "voices" / "x.wav").write_text("no")
    with pytest.raises(DatasetError, match=r"nothing usable.*1 x unreadable.*x\.wav"):
        prepare_folder(config(tiny_world, tmp_path / "out", root=tmp_path / "root"))
    assert not (tmp_path / "out").exists()


def test_a_photograph_without_a_face_is_a_failure_with_dlib(tiny_world: TinyWorld, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    root = tmp_path / "root"
    make_recordings(root, num_identities=1, faces=0, voices=1)
    (root / "person_000" / "faces").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "person_000" / "faces" / "noise.png")
    recipe = Recipe("dlib", voice_activity="none")
    prepared = prepare_folder(config(tiny_world, tmp_path / "out", root=root, recipe=recipe))
    assert [failure.reason for failure in prepared.failures] == ["no-face"]
    assert prepared.info.face_encoder.name == "dlib"


def test_photographs_and_recordings_of_personas_are_prepared(tiny_world: TinyWorld, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    root = tmp_path / "root"
    make_recordings(root, num_identities=3, voices=1, faces=0, seconds=3.0)
    pictures = {f"person_{person:03d}": photograph_persona(person) for person in range(3)}
    pictures["crowd"] = np.concatenate([pictures["person_000"]] * 5, axis=1)
    for name, picture in pictures.items():
        (root / name / "faces").mkdir(parents=True)
        Image.fromarray(picture).save(root / name / "faces" / "photograph.png")
    changes = {"root": root, "recipe": Recipe("dlib", face_size=64), "attributes": root.with_suffix(".csv")}
    prepared = prepare_folder(config(tiny_world, tmp_path / "out", **changes))
    assert [(failure.identity, failure.reason) for failure in prepared.failures] == [("crowd", "many-faces")]
    dataset = ClipDataset(tmp_path / "out", "all")
    assert dataset.identities == ["person_000", "person_001", "person_002"]
    assert np.nanmin(dataset.durations) >= 0.5 and dataset.num_faces.tolist() == [1, 1, 1]


def test_real_photographs_and_recordings_are_prepared(
    tiny_world: TinyWorld, real_recordings: Path, real_insightface_root: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    for person in sorted((real_recordings / "pairs").glob("vox1_*"))[:3]:
        shutil.copytree(person, root / person.name)
    five = Image.open(next(root.glob("*/faces/*.jpg"))).convert("RGB")
    wide = Image.new("RGB", (5 * five.width, five.height))
    for i in range(5):
        wide.paste(five, (i * five.width, 0))
    (root / "crowd" / "faces").mkdir(parents=True)
    wide.save(root / "crowd" / "faces" / "five.png")
    recipe = Recipe("insightface:small", insightface_root=str(real_insightface_root), face_size=64)
    table = real_recordings / "pairs.csv"
    changes = {"root": root, "recipe": recipe, "attributes": table}
    prepared = prepare_folder(config(tiny_world, tmp_path / "out", **changes))
    assert [failure.reason for failure in prepared.failures] == ["many-faces"]
    dataset = ClipDataset(tmp_path / "out", "all")
    assert len(dataset.identities) == 3 and prepared.info.attribute_coverage["sex"] == 3
    assert np.nanmin(dataset.durations) >= 0.5 and dataset.num_faces.sum() >= 3
