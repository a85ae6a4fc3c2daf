from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.errors import DatasetError, OutputError
from data.media.audio import encode_flac
from data.media.images import encode_crop
from data.store.clip import Row
from data.store.storage import Storage
from data.videos.chunks import publish_chunk
from data.videos.plan.outcomes import ChunkNames, Outcome, count_outcomes, read_outcomes

NAMES = ChunkNames(3, 12)


@pytest.fixture(params=["file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "set") if request.param == "file" else f"memory://{uuid.uuid4()}/set")


def published(row: int, split: str = "train", num_clips: int = 1) -> tuple[Outcome, list[Row]]:
    clips = [f"v{row}/{i}" for i in range(num_clips)]
    rows: list[Row] = [
        {
            "clip_id": clip,
            "identity": f"v{row}",
            "audio": {"bytes": encode_flac(np.zeros(800, np.float32)), "path": f"{clip}.flac"},
            "duration": 0.05,
            "images": [{"bytes": encode_crop(np.zeros((64, 64, 3), np.uint8)), "path": f"{clip}-0.jpg"}],
            "face_features": [np.ones(4, np.float32)],
            "flags": "other-faces",
        }
        for clip in clips
    ]
    state = Outcome(row, "published", f"v{row}", identity=f"v{row}", split=split, clips=clips, num_faces=num_clips)  # type: ignore[arg-type]
    return state, rows


def failed(row: int, reason: str = "network") -> Outcome:
    return Outcome(row, "failed", f"v{row}", reason=reason, message="it did not answer")


def publish(storage: Storage, *done: Outcome | tuple[Outcome, list[Row]]) -> None:
    states = [item if isinstance(item, Outcome) else item[0] for item in done]
    rows = {item[0].row: item[1] for item in done if not isinstance(item, Outcome)}
    publish_chunk(storage, NAMES, states, rows, 4)


def clips_in(storage: Storage, split: str) -> list[str]:
    content = storage.read(f"{split}-00003-of-00012.parquet")
    if content is None:
        return []
    import io

    return pq.read_table(io.BytesIO(content))["clip_id"].to_pylist()


def test_a_chunk_is_a_shard_a_split_and_a_state_a_row(storage: Storage) -> None:
    publish(storage, published(5), failed(4, "gone"), published(3, "test", 2))
    assert storage.names() == [
        "rows-00003-of-00012.jsonl",
        "test-00003-of-00012.parquet",
        "train-00003-of-00012.parquet",
    ]
    assert clips_in(storage, "train") == ["v5/0"] and clips_in(storage, "test") == ["v3/0", "v3/1"]
    states = read_outcomes(storage, NAMES)
    assert list(states) == [3, 4, 5]
    assert states[4] == failed(4, "gone")
    assert count_outcomes(states.values(), 8).as_dict() == {
        "rows": 8,
        "published": 2,
        "pending": 5,
        "failures": {"gone": 1},
    }


def test_rows_that_are_tried_again_join_those_that_are_there(storage: Storage) -> None:
    publish(storage, published(5), failed(4), published(9))
    publish(storage, published(4), failed(6, "no-face"))
    assert clips_in(storage, "train") == ["v4/0", "v5/0", "v9/0"]
    assert [state.state for state in read_outcomes(storage, NAMES).values()] == [
        "published",
        "published",
        "failed",
        "published",
    ]


def test_what_a_killed_run_left_without_a_state_is_dropped(storage: Storage) -> None:
    publish(storage, published(5), published(6, "val"))
    storage.remove(NAMES.outcomes)  # as if it had been killed before this was written
    publish(storage, published(5), failed(6))
    assert clips_in(storage, "train") == ["v5/0"] and clips_in(storage, "val") == []


def test_a_shard_that_lost_clips_is_named(storage: Storage) -> None:
    publish(storage, published(5), published(6))
    storage.remove(NAMES.shard("train"))
    with pytest.raises(DatasetError, match=r"train-00003-of-00012.parquet: missing"):
        publish(storage, published(7))
    storage.write(NAMES.shard("train"), b"PAR1 and nothing else")
    with pytest.raises(DatasetError, match=r"train-00003-of-00012.parquet: damaged"):
        publish(storage, published(7))


def test_a_damaged_list_of_states_is_named(storage: Storage) -> None:
    storage.write(NAMES.outcomes, '{"row": 1, "sta')
    with pytest.raises(DatasetError, match=r"rows-00003-of-00012.jsonl: damaged"):
        read_outcomes(storage, NAMES)


def test_only_one_run_works_in_a_folder_and_leftovers_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / ".rows-00003-of-00012.jsonl.77.tmp").touch()
    with Storage(str(folder)).locked():
        assert not list(folder.glob("*.tmp"))
        with pytest.raises(OutputError, match="another run is at work"), Storage(str(folder)).locked():
            pass
    with Storage(str(folder)).locked():
        pass
