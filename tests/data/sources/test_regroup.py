"""Data sets as the preparation of videos leaves them, with the same face under several names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import data.sources.rewrite
from data.errors import ConfigError, DatasetError, OutputError
from data.faces.protocol import FaceEncoderInfo
from data.media.audio import encode_flac
from data.media.images import encode_crop
from data.personas.footage.vowels import speak
from data.sources.regroup import GroupConfig, group_dataset
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from data.store.inventory import count_shards
from data.store.shards import ROWS_PER_GROUP, DatasetInfo, SplitInfo, read_info, write_info, write_shard
from data.store.split import assign_split, hash_assignment
from data.store.storage import Storage
from tests.synthetic import TinyWorld, draw_face

FRACTIONS = (0.4, 0.3, 0.3)
NUM_CHUNKS = 3


@dataclass(frozen=True)
class Video:
    """A video whose clips show one face: vector number `face`."""

    identity: str
    face: int
    num_clips: int = 2
    sex: str | None = None


def make_videos(num: int = 12) -> list[Video]:
    """Everybody has a face of their own, but `v03` is `v00` again, and `v07`, `v08` are `v06`."""
    faces = {3: 0, 7: 6, 8: 6}
    sexes = {6: "female", 7: "male"}
    return [Video(f"v{i:02d}", faces.get(i, i), 1 + 7 * (i % 3), sexes.get(i)) for i in range(num)]


def write_dataset(folder: Path, videos: Sequence[Video], chunks: Sequence[int] = range(NUM_CHUNKS)) -> Path:
    """Shards of the given chunks, video i in chunk i modulo their number, with a list of what became of rows each."""
    folder.mkdir()
    directions = np.eye(32, dtype=np.float32)
    names: dict[str, int] = {}
    for chunk in chunks:
        lines, rows = [], {split: [] for split in SPLITS}
        for i, video in enumerate(videos):
            if i % NUM_CHUNKS != chunk:
                continue
            split = assign_split(video.identity, 0, FRACTIONS)
            for clip in range(video.num_clips):
                feature = directions[video.face] + 0.1 * directions[31 - clip % 4]
                rows[split].append(
                    {
                        "clip_id": f"{video.identity}/{clip}",
                        "identity": video.identity,
                        "audio": {"bytes": encode_flac(speak(i, clip, 0.5)), "path": "voice.flac"},
                        "duration": 0.5,
                        "images": [{"bytes": encode_crop(draw_face(video.face, clip)), "path": "face.jpg"}],
                        "face_features": [feature / np.linalg.norm(feature)],
                        "sex": video.sex,
                        "video_id": video.identity,
                    }
                )
            line = {"row": i, "clip_id": video.identity, "state": "published", "identity": video.identity}
            lines.append({**line, "split": split, "clips": [f"{video.identity}/{c}" for c in range(video.num_clips)]})
        lines.append({"row": 99, "clip_id": "x", "state": "failed", "identity": None, "reason": "gone"})
        part = f"{chunk:05d}-of-{NUM_CHUNKS:05d}"
        (folder / f"rows-{part}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for split in SPLITS:
            if rows[split]:
                names[f"{split}-{part}.parquet"] = write_shard(folder / f"{split}-{part}.parquet", rows[split], 32)
    refresh_info(folder)
    return folder


def refresh_info(folder: Path) -> DatasetInfo:
    counts = count_shards(folder, sorted(path.name for path in folder.glob("*.parquet")))
    splits = {name: assign_split(name, 0, FRACTIONS) for name in counts.identities}
    info = DatasetInfo(
        num_clips=counts.num_clips,
        num_identities={split: sum(own == split for own in splits.values()) for split in SPLITS},
        num_voices=counts.num_voices,
        num_faces=counts.num_faces,
        shards=counts.rows,
        face_encoder=FaceEncoderInfo("eyes", "e" * 64, 32, ""),
        face_size=64,
        split=SplitInfo(0, FRACTIONS, hash_assignment(splits)),
        attribute_coverage={"sex": 0, "age": 0, "nationality": 0},
        extra={"kept": 1},
    )
    write_info(folder, info)
    return info


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "videos", make_videos())


def identity_of_clips(folder: Path) -> dict[str, str]:
    clips = ClipDataset(folder, "all")
    return {clip_id: clips.identities[i] for clip_id, i in zip(clips.clip_ids, clips.identity_of, strict=True)}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_one_face_is_one_person_in_one_split_and_nothing_else_changes(dataset: Path, tmp_path: Path) -> None:
    before = shutil.copytree(dataset, tmp_path / "before")
    grouped = group_dataset(GroupConfig(dataset, 0.9))
    assert [(g.identity, g.members, g.num_clips) for g in grouped.groups] == [
        ("v06", ("v06", "v07", "v08"), 1 + 8 + 15),
        ("v00", ("v00", "v03"), 2),
    ]
    assert (grouped.num_people, grouped.num_clips) == (12, 96)
    renamed = {"v03": "v00", "v07": "v06", "v08": "v06"}
    assert identity_of_clips(dataset) == {
        clip: renamed.get(name, name) for clip, name in identity_of_clips(before).items()
    }
    old, new = ClipDataset(before, "all"), ClipDataset(dataset, "all")
    assert sorted(old.clip_ids) == sorted(new.clip_ids)
    for index, clip_id in enumerate(new.clip_ids):
        clip, earlier = new.clip(index), old.clip(old.clip_ids.index(clip_id))
        assert clip.split == assign_split(clip.identity, 0, FRACTIONS)
        np.testing.assert_array_equal(clip.waveform, earlier.waveform)
        np.testing.assert_array_equal(clip.faces[0], earlier.faces[0])
        np.testing.assert_array_equal(clip.face_features, earlier.face_features)
        assert (clip.attributes, clip.source) == (earlier.attributes, earlier.source)
    for path in dataset.glob("*.parquet"):
        with pq.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            assert set(sizes[:-1]) <= {ROWS_PER_GROUP} and b"huggingface" in file.schema_arrow.metadata


def test_clips_stay_in_the_chunk_that_they_came_from(dataset: Path) -> None:
    def chunk_of(folder: Path) -> dict[str, str]:
        return {
            clip_id: path.name.partition("-")[2]
            for path in folder.glob("*.parquet")
            for clip_id in pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist()
        }

    before = chunk_of(dataset)
    group_dataset(GroupConfig(dataset, 0.9))
    assert chunk_of(dataset) == before
    assert all(pq.read_metadata(path).num_rows for path in dataset.glob("*.parquet"))


def test_dataset_json_and_the_lists_of_rows_say_the_same_as_the_shards(dataset: Path) -> None:
    group_dataset(GroupConfig(dataset, 0.9))
    info, expected = read_info(dataset), refresh_info(dataset)
    assert (info.num_clips, info.num_identities, info.shards) == (
        expected.num_clips,
        expected.num_identities,
        expected.shards,
    )
    assert info.split == expected.split
    assert info.extra == {"kept": 1, "groups": {"threshold": 0.9, "num_people_before": 12}}
    assert sum(info.num_identities.values()) == 9
    lines = [json.loads(line) for path in dataset.glob("rows-*.jsonl") for line in path.read_text().splitlines()]
    identities = identity_of_clips(dataset)
    published = [line for line in lines if line["state"] == "published"]
    assert len(published) == 12 and len(lines) == 12 + NUM_CHUNKS
    for line in published:
        assert {identities[clip] for clip in line["clips"]} == {line["identity"]}
        assert line["split"] == assign_split(line["identity"], 0, FRACTIONS)
    assert info.attribute_coverage == {"sex": 1, "age": 0, "nationality": 0}
    groups = [json.loads(line) for line in (dataset / "groups.jsonl").read_text().splitlines()]
    assert groups == [
        {"identity": "v03", "group": "v00"},
        {"identity": "v07", "group": "v06"},
        {"identity": "v08", "group": "v06"},
    ]


def _split(identity: str) -> str:
    return assign_split(identity, 0, FRACTIONS)


def test_what_leaked_and_what_contradicts_itself_is_counted(dataset: Path) -> None:
    grouped = group_dataset(GroupConfig(dataset, 0.9, dry_run=True))
    splits = [set(map(_split, group.members)) for group in grouped.groups]
    assert grouped.num_leaks == sum(len(own) > 1 for own in splits) == 1
    moved = [_split(video.identity) != _split("v06") for video in make_videos()[6:9]]
    assert grouped.num_moved == moved[1] * 8 + moved[2] * 15 > 0
    assert grouped.num_contradictions == 1  # v06 is a woman, v07 a man


def test_again_is_nothing_to_do_and_a_dry_run_changes_nothing(dataset: Path) -> None:
    before = contents(dataset)
    assert group_dataset(GroupConfig(dataset, 0.9, dry_run=True)).groups
    assert contents(dataset) == before
    group_dataset(GroupConfig(dataset, 0.9))
    after = contents(dataset)
    assert not group_dataset(GroupConfig(dataset, 0.9)).groups
    assert contents(dataset) == after
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]


def test_a_video_prepared_later_joins_the_group_that_its_name_belongs_to(dataset: Path) -> None:
    group_dataset(GroupConfig(dataset, 0.9))
    unlike = [np.eye(32, dtype=np.float32)[20]]
    rows = [{"clip_id": "v08/late", "identity": "v08", "face_features": unlike}]
    write_shard(dataset / f"{_split('v08')}-00009-of-00003.parquet", rows, 32)
    refresh_info(dataset)
    (group,) = group_dataset(GroupConfig(dataset, 0.9)).groups
    assert group.members == ("v06", "v08") and group.least_similarity < 0.9
    assert identity_of_clips(dataset)["v08/late"] == "v06"


def test_a_run_that_was_cut_off_goes_on_behind_its_last_shard(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = data.sources.rewrite.write_tables, []

    def stop_at_the_second(path: Path, *rest: Any) -> int:
        if written:
            raise KeyboardInterrupt
        written.append(path.name)
        return write(path, *rest)

    before = contents(dataset)
    monkeypatch.setattr(data.sources.rewrite, "write_tables", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        group_dataset(GroupConfig(dataset, 0.9))
    assert contents(dataset) == before

    def go_on(path: Path, *rest: Any) -> int:
        assert path.name not in written
        return write(path, *rest)

    monkeypatch.setattr(data.sources.rewrite, "write_tables", go_on)
    assert group_dataset(GroupConfig(dataset, 0.9)).groups
    assert identity_of_clips(dataset)["v03/0"] == "v00"
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]


def test_a_kill_between_the_last_two_renames_loses_nothing(dataset: Path) -> None:
    dataset.rename(dataset.with_name(f".{dataset.name}.old"))
    assert group_dataset(GroupConfig(dataset, 0.9)).groups


def test_shards_without_a_change_are_not_written_again(dataset: Path) -> None:
    inodes = {path.name: path.stat().st_ino for path in dataset.glob("*.parquet")}
    group_dataset(GroupConfig(dataset, 0.9))
    kept = [path.name for path in dataset.glob("*.parquet") if path.stat().st_ino == inodes.get(path.name)]
    assert kept and len(kept) < len(inodes)


def test_data_sets_of_folders_are_grouped_too(tiny_world: TinyWorld, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_world.dataset, tmp_path / "dataset")
    before = ClipDataset(folder, "all")
    grouped = group_dataset(GroupConfig(folder, 0.5))
    after = ClipDataset(folder, "all")
    joined = sum(len(group.members) - 1 for group in grouped.groups)
    assert joined and len(after.identities) == len(before.identities) - joined
    assert sorted(after.clip_ids) == sorted(before.clip_ids)
    for index, identity in enumerate(after.identity_of):
        assert after.clip(index).split == assign_split(after.identities[identity], 0, after.info.split.fractions)
    assert (folder / "failures.jsonl").read_bytes() == (tiny_world.dataset / "failures.jsonl").read_bytes()


def test_what_cannot_be_done_is_told_and_changes_nothing(dataset: Path, tmp_path: Path) -> None:
    before = contents(dataset)
    with pytest.raises(ConfigError, match=r"nobody measured.*eyes.*--threshold"):
        group_dataset(GroupConfig(dataset))
    for threshold in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="--threshold"):
            group_dataset(GroupConfig(dataset, threshold))
    with pytest.raises(DatasetError, match="no data set here"):
        group_dataset(GroupConfig(tmp_path / "nowhere", 0.9))
    (dataset / "rows-00001-of-00003.jsonl").write_text("{")
    with pytest.raises(DatasetError, match=r"rows-00001.*damaged"):
        group_dataset(GroupConfig(dataset, 0.9))
    shard = sorted(dataset.glob("train-*"))[0]
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=rf"{shard.name}.*damaged"):
        group_dataset(GroupConfig(dataset, 0.9))
    assert contents(dataset).keys() == before.keys()


def test_a_data_set_that_is_being_prepared_is_left_alone(dataset: Path) -> None:
    with Storage(str(dataset)).locked(), pytest.raises(OutputError, match="another run is at work"):
        group_dataset(GroupConfig(dataset, 0.9))
    assert group_dataset(GroupConfig(dataset, 0.9)).groups


def test_the_disk_is_named_when_it_is_full(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data.sources.rewrite, "write_tables", fill)
    with pytest.raises(OutputError, match=r"videos: can't be written to.*space"):
        group_dataset(GroupConfig(dataset, 0.9))
