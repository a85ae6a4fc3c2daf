from __future__ import annotations

import io
import json
import uuid
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.errors import ConfigError
from data.personas.footage.videos import make_talking_video
from data.store.clip import Attributes
from data.store.shards import decode_info
from data.store.storage import Storage
from data.videos.plan.requests import BadRequest, MemoryRequests, VideoRequest
from data.videos.prepare import VideosConfig, prepare_videos
from data.videos.watch.clips import VideoRecipe


def make_list(folder: Path) -> MemoryRequests:
    files = [make_talking_video(folder / f"{i}.mp4", persona=i, seconds=2.0) for i in range(2)]
    rows: list[VideoRequest | BadRequest] = [
        VideoRequest(i, f"v{i}", f"v{i}", f"v{i}", start=0.0, end=2.0, path=str(file)) for i, file in enumerate(files)
    ]
    missing = VideoRequest(2, "v2", "v2", "v2", start=0.0, end=2.0, path=str(folder / "missing.mp4"))
    return MemoryRequests([*rows, missing, BadRequest(3, "bad-row", "it is bad")], "0" * 64)


def config_of(out: str, **changes: object) -> VideosConfig:
    recipe = VideoRecipe("dlib", "personas", face_size=64, fps=1.0)
    return VideosConfig(out, recipe, None, num_workers=1, chunk_rows=2, **changes)  # type: ignore[arg-type]


@pytest.mark.slow
def test_shards_go_to_any_place_that_fsspec_reaches(tmp_path: Path) -> None:
    rows, out = make_list(tmp_path), f"memory://{uuid.uuid4()}/set"
    result = prepare_videos(config_of(out), rows)
    assert result.status.as_dict() == {
        "rows": 4,
        "published": 2,
        "pending": 0,
        "failures": {"bad-row": 1, "unreadable": 1},
    }
    storage = Storage(out)
    assert str(tmp_path) not in (storage.read("rows-00001-of-00002.jsonl") or b"").decode()
    info = decode_info((storage.read("dataset.json") or b"").decode(), out)
    assert info == result.info and sum(info.num_clips.values()) == sum(info.shards.values()) == 2
    ids = [
        clip
        for name in info.shards
        for clip in pq.read_table(io.BytesIO(storage.read(name) or b""))["clip_id"].to_pylist()
    ]
    assert sorted(ids) == ["v0", "v1"]
    assert prepare_videos(config_of(out), rows).num_done == 0


@pytest.mark.slow
def test_what_a_row_says_of_the_person_is_counted(tmp_path: Path) -> None:
    file = make_talking_video(tmp_path / "0.mp4", seconds=2.0)
    row = VideoRequest(0, "v", "v", "Ada", 0.0, 2.0, attributes=Attributes("female", 36.0), path=str(file))
    info = prepare_videos(config_of(str(tmp_path / "set")), MemoryRequests([row], "1" * 64)).info
    assert info.attribute_coverage == {"sex": 1, "age": 1, "nationality": 0}
    line = json.loads(next((tmp_path / "set").glob("rows-*")).read_text())
    assert line["identity"] == "Ada" and line["known"] == ["sex", "age"] and line["num_faces"] >= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_workers": 0}, "--workers 0"),
        ({"chunk_rows": 0}, "--chunk-rows 0"),
        ({"time_limit": 0.0}, "--time-limit 0"),
        ({"first_row": 4}, "rows 4 to the end: there are none"),
        ({"first_row": 2, "last_row": 1}, "rows 2 to 1"),
        ({"retry": ("gone",)}, "--retry gone: no row failed for this reason; reasons there: none"),
        ({"split_fractions": (0.5, 0.2, 0.2)}, "must be >= 0 and sum to 1"),
    ],
)
def test_settings_that_can_not_be_are_refused_before_any_work(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    rows = MemoryRequests([BadRequest(i, "bad-row", "it is bad") for i in range(4)], "0" * 64)
    config = config_of(str(tmp_path / "set"))
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        prepare_videos(VideosConfig(**{**vars(config), **changes}), rows)  # type: ignore[arg-type]
