import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.media.images import CropFormat
from data.media.waveform import SAMPLE_RATE
from data.store.clip import Attributes, Clip, Source, to_row
from data.store.dataset import ClipDataset
from data.store.shards import clip_schema, encode_shard, read_info, write_info, write_shard
from tests.synthetic import TinyWorld, draw_face


def a_clip() -> Clip:
    waveform = np.sin(np.arange(SAMPLE_RATE) / 20).astype(np.float32)
    features = np.eye(2, 3, dtype=np.float32)
    attributes, source = Attributes("female", 31.0, "ES"), Source("vid", 1.0, 2.5, 0.25, 0.75)
    flags, vectors = ("cut", "other-faces"), {"traits": np.array([1.5, -2.0], np.float32)}
    faces = [draw_face(0), draw_face(1)]
    return Clip("ada/0", "ada", waveform, faces, features, attributes, source, None, flags, vectors)


@pytest.mark.parametrize(("crop_format", "kind"), [("jpg", "JPEG"), ("webp", "WEBP")])
def test_a_row_holds_all_of_a_clip(crop_format: CropFormat, kind: str) -> None:
    row = to_row(a_clip(), crop_format)
    assert set(clip_schema(3, {"traits": 2}, ["flags"]).names) == set(row)
    assert row["duration"] == 1.0 and row["flags"] == "cut other-faces" and row["x"] == 0.25
    assert [image["path"] for image in row["images"]] == [f"ada/0-0.{crop_format}", f"ada/0-1.{crop_format}"]
    assert {Image.open(io.BytesIO(image["bytes"])).format for image in row["images"]} == {kind}


def test_a_clip_without_speech_or_faces_has_no_columns_of_them() -> None:
    row = to_row(Clip("ada/0", "ada", None, [], np.zeros((0, 3), np.float32)))
    assert "audio" not in row and "duration" not in row
    assert row["images"] == row["face_features"] == []
    assert encode_shard([row], clip_schema(3))


def test_a_stored_clip_comes_back_with_its_flags_and_vectors(tiny_world: TinyWorld, tmp_path: Path) -> None:
    clip, name = a_clip(), "val-00000-of-00001.parquet"
    info = read_info(tiny_world.dataset)
    size = info.face_encoder.feature_size
    features = np.eye(2, size, dtype=np.float32)
    row = {**to_row(clip, "webp"), "face_features": list(features)}
    write_shard(tmp_path / name, [row], size, {"traits": 2})
    info.shards.clear()
    info.shards[name] = 1
    write_info(tmp_path, info)
    back = ClipDataset(tmp_path, "val").clip(0)
    assert (back.clip_id, back.identity, back.split) == ("ada/0", "ada", "val")
    assert (back.attributes, back.source, back.flags) == (clip.attributes, clip.source, ())
    assert clip.waveform is not None and back.waveform is not None
    np.testing.assert_allclose(back.waveform, clip.waveform, atol=1e-4)
    np.testing.assert_array_equal(back.faces, clip.faces)
    np.testing.assert_array_equal(back.face_features, features)
    np.testing.assert_array_equal(back.vectors["traits"], [1.5, -2.0])
    (tmp_path / name).write_bytes(encode_shard([row], clip_schema(size, texts=["flags"])))
    assert ClipDataset(tmp_path, "val").clip(0).flags == clip.flags
