import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from data.errors import ConfigError, DatasetError
from data.faces.analyzer import embed_crops
from data.faces.registry import load_recognizer
from data.media.images import encode_crop
from data.media.waveform import SAMPLE_RATE
from data.personas.footage.vowels import sex_of, speak
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from data.store.sampling import IdentityBatches, PersonDraw
from data.store.shards import clip_schema, read_info, write_shard
from tests.synthetic import TINY_FEATURE_SIZE, TinyWorld, draw_face


def test_what_was_recorded_comes_back(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "all")
    assert len(dataset.identities) == 27 and dataset.identities == sorted(dataset.identities)
    clip = dataset.clip(dataset.clip_ids.index("person_003/1"))
    assert clip.identity == "person_003" and clip.attributes.sex == sex_of(3) == "male"
    assert clip.waveform is not None and clip.waveform.dtype == np.float32
    voice, spoken = clip.waveform / clip.waveform.std(), speak(3, 1)
    np.testing.assert_allclose(voice, spoken / spoken.std(), atol=0.01)
    assert np.abs(clip.faces[0].astype(float) - draw_face(3, 1)).mean() < 4
    assert clip.face_features.shape == (1, TINY_FEATURE_SIZE)
    np.testing.assert_allclose(np.linalg.norm(clip.face_features, axis=1), 1, atol=1e-5)
    assert dataset.durations[0] == pytest.approx(dataset.waveform(0).size / SAMPLE_RATE)


def test_people_may_lack_a_side(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "all")
    faces_only, voices_only = dataset.identities.index("person_024"), dataset.identities.index("person_026")
    assert dataset.voices_of(faces_only) == [] and len(dataset.faces_of(faces_only)) == 2
    assert dataset.faces_of(voices_only) == [] and len(dataset.voices_of(voices_only)) == 2
    (clip, _), _ = dataset.faces_of(faces_only)
    assert dataset.clip(clip).waveform is None and not dataset.has_voice[clip] and np.isnan(dataset.durations[clip])
    with pytest.raises(ValueError, match="no voice"):
        dataset.waveform(clip)
    assert dataset.face_features(dataset.voices_of(voices_only)[0]).shape == (0, TINY_FEATURE_SIZE)


def test_nobody_is_in_two_splits_and_the_splits_are_the_whole(tiny_world: TinyWorld) -> None:
    people = [set(ClipDataset(tiny_world.dataset, split).identities) for split in ("train", "val", "test")]
    assert sum(map(len, people)) == len(set.union(*people)) == 27
    assert min(map(len, people)) > 2


def test_features_in_bulk_are_those_of_the_clips_and_belong_to_the_stored_crops(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "val")
    features, owners = dataset.all_face_features()
    assert features.shape == (dataset.num_faces.sum(), TINY_FEATURE_SIZE)
    for feature, (clip, face) in zip(features, owners, strict=True):
        np.testing.assert_array_equal(feature, dataset.face_features(clip)[face])
    recognizer = load_recognizer(dataset.info.face_encoder.name, tiny_world.pack_root)
    crops = np.stack([dataset.face(clip, face) for clip, face in owners])
    # The crops went through JPEG, the features were made before.
    assert (embed_crops(recognizer, crops) * features).sum(1).min() > 0.97


class _Lengths(Dataset):
    def __init__(self, dataset: ClipDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, draw: PersonDraw) -> torch.Tensor:
        clip = self.dataset.voices_of(draw.identity)[draw.seed % 2]
        return torch.from_numpy(self.dataset.waveform(clip)[:4000].copy())


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_processes_read_what_this_one_reads(tiny_world: TinyWorld, context: str) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    with_voice = [i for i in range(len(dataset.identities)) if dataset.voices_of(i)]
    mine, lengths = IdentityBatches(with_voice, 4, seed=0), _Lengths(dataset)
    expected = [torch.stack([lengths[draw] for draw in mine.batch(step)]) for step in range(3)]
    loader = DataLoader(
        lengths, batch_sampler=mine, num_workers=1 + (context == "fork"), multiprocessing_context=context
    )
    for step, batch in zip(range(3), loader, strict=False):
        torch.testing.assert_close(batch, expected[step], rtol=0, atol=0)


def test_the_cache_stays_within_its_bound_and_changes_nothing(tiny_world: TinyWorld) -> None:
    roomy, cramped = ClipDataset(tiny_world.dataset, "train"), ClipDataset(tiny_world.dataset, "train", cache_bytes=1)
    again = pickle.loads(pickle.dumps(roomy))  # noqa: S301
    for clip in [5, 0, 20, 5, 1]:
        np.testing.assert_array_equal(roomy.face(clip, 0), cramped.face(clip, 0))
        np.testing.assert_array_equal(roomy.waveform(clip), again.waveform(clip))
    assert len(cramped._shards._cache) == 1


def play(encoded: dict, sampling_rate: int) -> np.ndarray:
    """A recording as the library datasets hands it out undecoded: its own decoder needs FFmpeg's shared libraries."""
    waveform, rate = soundfile.read(io.BytesIO(encoded["bytes"]), dtype="float32")
    assert rate == sampling_rate
    return waveform


def test_the_hugging_face_library_reads_plays_and_shows(tiny_world: TinyWorld, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    own = ClipDataset(tiny_world.dataset, "all")
    files = {split: str(tiny_world.dataset / f"{split}-*.parquet") for split in SPLITS}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert {split: part.num_rows for split, part in loaded.items()} == own.info.num_clips
    features = loaded["train"].features
    assert isinstance(features["audio"], datasets.Audio) and features["audio"].sampling_rate == SAMPLE_RATE
    assert isinstance(features["images"].feature, datasets.Image)
    for part in loaded.values():
        for row in part.cast_column("audio", datasets.Audio(SAMPLE_RATE, decode=False)):
            clip = own.clip(own.clip_ids.index(row["clip_id"]))
            assert row["identity"] == clip.identity and (row["audio"] is None) == (clip.waveform is None)
            if clip.waveform is not None:
                np.testing.assert_array_equal(play(row["audio"], SAMPLE_RATE), clip.waveform)
            for image, face in zip(row["images"], clip.faces, strict=True):
                assert isinstance(image, Image.Image)
                np.testing.assert_array_equal(np.asarray(image), face)
            np.testing.assert_array_equal(np.reshape(row["face_features"], (-1, TINY_FEATURE_SIZE)), clip.face_features)


def test_the_hugging_face_library_streams_too(tiny_world: TinyWorld) -> None:
    datasets = pytest.importorskip("datasets")
    files = [str(path) for path in sorted(tiny_world.dataset.glob("val-*.parquet"))]
    streamed = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    row = next(iter(streamed.cast_column("audio", datasets.Audio(SAMPLE_RATE, decode=False))))
    assert play(row["audio"], SAMPLE_RATE).size > 0 and row["images"][0].size == (64, 64)


def test_the_hugging_face_librarys_own_decoder_plays_the_same(tiny_world: TinyWorld, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    try:
        pytest.importorskip("torchcodec")
    except (RuntimeError, OSError) as error:  # it needs FFmpeg's shared libraries
        pytest.skip(f"torchcodec: {str(error).splitlines()[0]}")
    files = [str(path) for path in sorted(tiny_world.dataset.glob("val-*.parquet"))]
    row = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path), split="train")[0]
    own = ClipDataset(tiny_world.dataset, "val")
    samples = row["audio"].get_all_samples()
    assert samples.sample_rate == SAMPLE_RATE
    np.testing.assert_allclose(samples.data[0].numpy(), own.waveform(own.clip_ids.index(row["clip_id"])), atol=1e-4)


@pytest.fixture
def copy(tiny_world: TinyWorld, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_world.dataset, tmp_path / "copy")


def test_another_schema_version_is_refused(copy: Path) -> None:
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps({**info, "schema_version": 99}))
    with pytest.raises(DatasetError, match=r"dataset\.json: schema version 99.*prepare"):
        ClipDataset(copy, "train")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1}', "not json"])
def test_a_damaged_dataset_json_is_refused(copy: Path, content: str) -> None:
    (copy / "dataset.json").write_text(content)
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        read_info(copy)


def test_a_missing_data_set_shard_or_split_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set here"):
        ClipDataset(tmp_path / "nothing", "train")
    with pytest.raises(ConfigError, match="unknown split"):
        ClipDataset(copy, "dev")  # type: ignore[arg-type]
    next(copy.glob("val-*.parquet")).unlink()
    ClipDataset(copy, "train")
    with pytest.raises(DatasetError, match="missing"):
        ClipDataset(copy, "val")


def test_a_truncated_shard_is_refused(copy: Path) -> None:
    shard = next(copy.glob("train-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="damaged"):
        ClipDataset(copy, "train")


def test_a_shard_of_another_data_set_is_refused(copy: Path) -> None:
    shutil.copy(next(copy.glob("val-*.parquet")), next(copy.glob("train-*.parquet")))
    with pytest.raises(DatasetError, match="expected"):
        ClipDataset(copy, "train")


def test_row_groups_are_small_and_media_bytes_are_not_compressed_again(tmp_path: Path) -> None:
    image = {"bytes": encode_crop(draw_face(0)), "path": "x.jpg"}
    rows = [{"clip_id": f"a/{i}", "identity": "a", "images": [image], "face_features": [[0.0] * 3]} for i in range(40)]
    assert write_shard(tmp_path / "train-00000-of-00001.parquet", rows, 3) == 40
    metadata = pq.ParquetFile(tmp_path / "train-00000-of-00001.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [16, 16, 8]
    assert {metadata.row_group(0).column(i).compression for i in range(metadata.num_columns)} == {"UNCOMPRESSED"}
    assert [path.name for path in tmp_path.iterdir()] == ["train-00000-of-00001.parquet"]


def test_the_schema_says_huggingface_what_the_columns_are() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features.from_arrow_schema(clip_schema(7))
    assert features["face_features"].feature.length == 7
    assert features["audio"].sampling_rate == SAMPLE_RATE
