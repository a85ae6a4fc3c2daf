"""Rows of a list of videos become rows of a shard, or a named reason."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import ModelError
from data.media.audio import decode_flac
from data.media.images import decode_crop
from data.personas.footage.videos import draw_frames, loudness, make_sound, make_talking_video, write_video
from data.sources.recipe import load_face_networks
from data.store.clip import Attributes
from data.store.shards import clip_schema
from data.videos.plan.requests import SourceFile, VideoRequest
from data.videos.watch import clips
from data.videos.watch.clips import ExtractedClips, VideoRecipe, extract_clips

# dlib finds faces; T is the small network that ships.
RECIPE = VideoRecipe("dlib", face_encoder="personas", num_faces=2)
ROW = VideoRequest(
    0, "-1nRm4tQL0A", "-1nRm4tQL0A/0", "somebody", 0.0, 3.0, 0.5, 0.5, Attributes("female", 30.0, "nowhere")
)


@pytest.fixture(scope="module", autouse=True)
def need_dlib_and_espeak() -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_talking_video(tmp_path_factory.mktemp("videos") / "talking.mp4", seconds=4.0)


def of(
    path: Path, row: VideoRequest = ROW, origin: float | None = None, recipe: VideoRecipe = RECIPE
) -> ExtractedClips:
    extracted = extract_clips(row, SourceFile(str(path), origin), recipe)
    assert bool(extracted.rows) == (not extracted.reason) == (not extracted.message)
    assert "\n" not in extracted.message
    return extracted


def refusal(path: Path, row: VideoRequest = ROW, recipe: VideoRecipe = RECIPE) -> str:
    extracted = of(path, row, recipe=recipe)
    assert extracted.message.startswith(row.clip_id + ": "), extracted
    return extracted.reason


def test_a_row_becomes_speech_crops_and_features(talking: Path) -> None:
    extracted = of(talking)
    (row,) = extracted.rows
    assert {name: row[name] for name in ("clip_id", "identity", "video_id", "sex", "age", "nationality")} == {
        "clip_id": ROW.clip_id, "identity": "somebody", "video_id": ROW.video_id,
        "sex": "female", "age": 30.0, "nationality": "nowhere",
    }  # fmt: skip
    assert (row["start"], row["end"], row["x"], row["y"], row["flags"]) == (0.0, 3.0, 0.5, 0.5, "")
    speech = decode_flac(row["audio"]["bytes"])
    assert 2.0 < row["duration"] == speech.size / 16_000 < 3.1
    crops = [decode_crop(image["bytes"]) for image in row["images"]]
    assert [crop.shape for crop in crops] == [(128, 128, 3)] * 2
    features = np.stack(row["face_features"])
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert features[0] @ features[1] > 0.9
    assert set(row) <= set(clip_schema(features.shape[1], texts=("flags",)).names)
    assert set(extracted.seconds) == {"decode", "speech", "faces", "features"}
    assert all(0 < seconds < 60 for seconds in extracted.seconds.values())


def test_rows_depend_on_nothing_but_the_file(talking: Path) -> None:
    first, second = of(talking).rows[0], of(talking).rows[0]
    assert first["audio"] == second["audio"] and first["images"] == second["images"]
    np.testing.assert_array_equal(first["face_features"], second["face_features"])


def test_a_clip_is_where_the_files_clock_has_it(talking: Path) -> None:
    # The file is a section: its second 0 is the video's second 100.
    whole = of(talking, replace(ROW, start=1.0, end=3.0))
    section = of(talking, replace(ROW, start=101.0, end=103.0), origin=-100.0)
    assert whole.rows[0]["audio"]["bytes"] == section.rows[0]["audio"]["bytes"]
    assert whole.rows[0]["images"] == section.rows[0]["images"]
    assert (section.rows[0]["start"], section.rows[0]["end"]) == (101.0, 103.0)


def test_of_two_people_the_one_at_the_place_is_described(tmp_path: Path) -> None:
    left, right = (0.27, 0.5), (0.73, 0.5)
    path = make_talking_video(tmp_path / "two.mp4", 0, 3.0, position=left, others=[(1, right)])
    alone = make_talking_video(tmp_path / "one.mp4", 0, 3.0, position=left)
    (row,) = of(path, replace(ROW, x=left[0], y=left[1])).rows
    (expected,) = of(alone, replace(ROW, x=left[0], y=left[1])).rows
    assert row["flags"] == "other-faces"
    assert row["face_features"][0] @ expected["face_features"][0] > 0.95
    assert refusal(path, replace(ROW, x=0.5, y=0.95)) == "no-speaker-face"
    assert refusal(path, replace(ROW, x=None, y=None)) == "ambiguous-face"


def test_a_whole_video_becomes_clips_where_somebody_speaks(tmp_path: Path) -> None:
    path = make_talking_video(tmp_path / "long.mp4", 2, 9.0)
    recipe = replace(RECIPE, clip_seconds=3.0, max_clips=2)
    rows = of(path, replace(ROW, start=None, end=None, x=None, y=None), recipe=recipe).rows
    assert [row["clip_id"] for row in rows] == [f"{ROW.clip_id}/0", f"{ROW.clip_id}/1"]
    assert all(row["end"] - row["start"] == pytest.approx(3.0) for row in rows)
    assert rows[0]["end"] <= rows[1]["start"] and rows[1]["end"] <= 9.05
    assert all(abs(row["x"] - 0.5) < 0.1 and abs(row["y"] - 0.5) < 0.1 for row in rows)


def test_what_a_whole_video_gives_survives_parts_that_fail(tmp_path: Path) -> None:
    sound = make_sound("speech", 0, 8.0)
    openings = loudness(sound, 200, 25)
    frames = [*draw_frames([(0, (0.5, 0.5))], openings[:100], (320, 240)), *draw_frames([], openings[100:], (320, 240))]
    path = write_video(tmp_path / "half.mp4", frames, sound, size=(320, 240))
    recipe = replace(RECIPE, clip_seconds=3.0)
    rows = of(path, replace(ROW, start=None, end=None, x=None, y=None), recipe=recipe).rows
    assert [row["clip_id"] for row in rows] == [f"{ROW.clip_id}/0"]


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"sound": "silence"}, "silent"),
        ({"sound": "noise"}, "no-speech"),
        ({"sound": "music"}, "no-speech"),
        ({"sound": "none"}, "no-audio"),
        ({"still": True}, "still-face"),
        ({"brightness": 0.08}, "no-face"),
        ({"blur": 3.0}, "blurred-face"),
        ({"face_size": 64}, "small-face"),
        ({"seconds": 1.0}, "truncated"),
    ],
)
def test_each_thing_that_is_wrong_has_its_reason(tmp_path: Path, options: dict, reason: str) -> None:
    path = make_talking_video(tmp_path / "a.mp4", **{"seconds": 3.0, **options})
    assert refusal(path) == reason


def test_too_little_speech_is_refused(talking: Path) -> None:
    assert refusal(talking, recipe=replace(RECIPE, min_speech=5.0)) == "too-short"


def test_two_people_one_after_the_other_are_never_mixed(tmp_path: Path) -> None:
    sound = make_sound("speech", 0, 3.0)
    openings = loudness(sound, 75, 25)
    first = list(draw_frames([(0, (0.5, 0.5))], openings, (320, 240)))
    second = list(draw_frames([(5, (0.5, 0.5))], openings, (320, 240)))
    cut = write_video(tmp_path / "cut.mp4", first[:50] + second[50:], sound, size=(320, 240))
    alone = write_video(tmp_path / "alone.mp4", first, sound, size=(320, 240))
    (row,), (expected,) = of(cut).rows, of(alone).rows
    assert row["flags"] == "cut"
    # What is said after the cut is left out as well.
    assert row["end"] == pytest.approx(2.0) and row["duration"] < 2.1 < expected["duration"]
    similarities = np.stack(row["face_features"]) @ np.stack(expected["face_features"]).T
    assert similarities.min() > 0.9
    early = write_video(tmp_path / "early.mp4", first[:15] + second[15:], sound, size=(320, 240))
    assert refusal(early) == "lost-face"


def test_a_face_at_the_edge_of_the_picture_is_flagged(tmp_path: Path) -> None:
    path = make_talking_video(tmp_path / "a.mp4", 0, 3.0, size=(160, 120), position=(0.5, 0.4), face_size=150)
    (row,) = of(path, replace(ROW, y=0.4)).rows
    assert "cut-off" in row["flags"].split()


def test_music_behind_the_speech_is_flagged(talking: Path, tmp_path: Path) -> None:
    loud = make_talking_video(tmp_path / "a.mp4", 0, 3.0, background_sound=0.35)
    assert of(loud).rows[0]["flags"] == "loud-background"
    assert of(talking).rows[0]["flags"] == ""


def test_a_broken_file_and_a_librarys_own_error_cost_one_row(
    tmp_path: Path, talking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"rubbish" * 999)
    assert refusal(tmp_path / "a.mp4") == "unreadable"
    monkeypatch.setattr(clips, "follow_speaker", lambda *_: 1 / 0)
    extracted = of(talking)
    assert extracted.reason == "unexpected" and "ZeroDivisionError" in extracted.message


def test_a_missing_network_is_not_the_videos_fault(talking: Path, tmp_path: Path) -> None:
    recipe = VideoRecipe("insightface:absent", insightface_root=str(tmp_path))
    with pytest.raises(ModelError):
        load_face_networks(recipe)
    with pytest.raises(ModelError):
        of(talking, recipe=recipe)


def test_what_is_described_can_be_sent_between_processes(talking: Path) -> None:
    import pickle

    extracted = of(talking)
    assert pickle.loads(pickle.dumps(extracted)).rows[0]["images"] == extracted.rows[0]["images"]  # noqa: S301
    plain = {name: extracted.rows[0][name] for name in ("start", "end", "x", "y", "duration", "flags")}
    assert json.loads(json.dumps(plain)) == plain


def test_with_the_pack_the_same_reasons_are_given(tmp_path: Path, real_insightface_root: Path) -> None:
    recipe = VideoRecipe("insightface:small", insightface_root=str(real_insightface_root))
    for fps in (1.0, 4.0):
        path = make_talking_video(tmp_path / "a.mp4", 0, 3.0)
        assert not of(path, recipe=replace(recipe, fps=fps)).reason
        path = make_talking_video(tmp_path / "b.mp4", 0, 3.0, keyframe_interval=12, still=True)
        assert refusal(path, recipe=replace(recipe, fps=fps)) == "still-face"


def test_real_videos_give_the_face_and_the_speech(real_recordings: Path, real_insightface_root: Path) -> None:
    recipe = VideoRecipe("insightface:small", insightface_root=str(real_insightface_root))
    paths = sorted((real_recordings / "videos").iterdir())[::6]
    for path in paths:
        (row,) = of(path, VideoRequest(0, "v", "v", "v"), recipe=recipe).rows
        features = np.stack(row["face_features"])
        assert len(features) >= 2 and (features @ features.T).min() > 0.2, path
        assert row["duration"] >= 1.0
