from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import data.sources.embed
from data.errors import DatasetError, ModelError
from data.faces.analyzer import embed_crops
from data.faces.registry import load_recognizer
from data.sources.embed import EmbedConfig, embed_dataset
from data.store.dataset import ClipDataset
from tests.networks import FEATURE_SIZE, make_face_encoder
from tests.synthetic import TinyWorld


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another T, with features of another length."""
    return make_face_encoder(tmp_path_factory.mktemp("network") / "model")


@pytest.fixture
def dataset(tiny_world: TinyWorld, tmp_path: Path) -> Path:
    """A copy with a column that only some data sets have, as personas have traits."""
    folder = tmp_path / "dataset"
    shutil.copytree(tiny_world.dataset, folder)
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        traits = pa.array([[float(i)] * 4 for i in range(table.num_rows)], pa.list_(pa.float32(), 4))
        pq.write_table(table.append_column("traits", traits), path, row_group_size=16, compression="none")
    return folder


def rows(folder: Path) -> dict[str, pa.Table]:
    return {path.name: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}


def test_features_change_and_nothing_else_does(dataset: Path, network: Path) -> None:
    before = rows(dataset)
    info, was_changed = embed_dataset(EmbedConfig(dataset, str(network)))
    assert was_changed and info == ClipDataset(dataset, "all").info
    assert info.face_encoder == load_recognizer(str(network)).info
    after = rows(dataset)
    assert after.keys() == before.keys()
    for name, table in after.items():
        assert table.column_names == before[name].column_names
        assert table.drop_columns(["face_features"]).equals(before[name].drop_columns(["face_features"]))
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["face_features"]
        assert features["feature"]["length"] == info.face_encoder.feature_size
    clips = ClipDataset(dataset, "train")
    recognizer = load_recognizer(str(network))
    for index in range(len(clips)):
        crops = np.array(clips.faces(index), np.uint8).reshape(-1, 64, 64, 3)
        np.testing.assert_allclose(clips.face_features(index), embed_crops(recognizer, crops), atol=1e-5)
    assert (dataset / "failures.jsonl").exists()
    assert not [path for path in dataset.parent.iterdir() if path.name.startswith(".")]


def test_the_same_network_again_is_nothing_to_do(dataset: Path, network: Path) -> None:
    embed_dataset(EmbedConfig(dataset, str(network)))
    stamps = {path: path.stat().st_mtime_ns for path in dataset.iterdir()}
    assert embed_dataset(EmbedConfig(dataset, str(network)))[1] is False
    assert stamps == {path: path.stat().st_mtime_ns for path in dataset.iterdir()}


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(dataset: Path, network: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    embed_dataset(EmbedConfig(dataset, str(network)))
    embed_dataset(EmbedConfig(other, str(network), num_workers=2))
    for path in dataset.glob("*.parquet"):
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_a_run_that_was_cut_off_goes_on_behind_its_last_shard(
    dataset: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EmbedConfig(dataset, str(network))
    rewrite, rewritten = data.sources.embed._rewrite_shard, []

    def stop_at_the_second(task: data.sources.embed._Task) -> int:
        if rewritten:
            raise KeyboardInterrupt
        rewritten.append(task.source.name)
        return rewrite(task)

    before = rows(dataset)
    monkeypatch.setattr(data.sources.embed, "_rewrite_shard", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        embed_dataset(config)
    assert rows(dataset) == before

    def go_on(task: data.sources.embed._Task) -> int:
        assert task.source.name not in rewritten
        return rewrite(task)

    monkeypatch.setattr(data.sources.embed, "_rewrite_shard", go_on)
    assert embed_dataset(config)[1]
    assert ClipDataset(dataset, "test").all_face_features()[0].shape[1] == FEATURE_SIZE


def test_a_kill_between_the_last_two_renames_loses_nothing(dataset: Path, network: Path) -> None:
    dataset.rename(dataset.with_name(f".{dataset.name}.old"))
    assert embed_dataset(EmbedConfig(dataset, str(network)))[1]


def test_damage_is_named_and_the_data_set_stays(dataset: Path, network: Path) -> None:
    shard = sorted(dataset.glob("train-*.parquet"))[0]
    shard.write_bytes(shard.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=rf"{shard.name}.*damaged"):
        embed_dataset(EmbedConfig(dataset, str(network)))
    assert ClipDataset(dataset, "val").info.face_encoder.name.startswith("insightface:")


def test_what_is_missing_is_told(tmp_path: Path, tiny_world: TinyWorld) -> None:
    with pytest.raises(DatasetError, match="no data set here"):
        embed_dataset(EmbedConfig(tmp_path / "nowhere", "dlib"))
    with pytest.raises(ModelError, match="train one"):
        embed_dataset(EmbedConfig(tiny_world.dataset, f"onnx:{tmp_path / 'none.onnx'}"))
