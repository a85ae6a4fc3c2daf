"""The page about a data set: it stands alone, counts rightly and finds what is twice in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

import eval.pages.dataset.duplicates
from data.faces.protocol import FaceEncoderInfo
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from data.store.shards import read_info, write_info
from eval.pages.dataset.build import write_inspection
from eval.pages.dataset.counts import charts, format_duration, headlines, meters, nationalities, table_of_splits
from eval.pages.dataset.duplicates import compare_faces, find_repeated
from eval.pages.dataset.failures import count_flags, read_outcomes
from eval.pages.parts.charts import column_chart
from tests.eval.pages.test_model import NASTY, Page
from tests.synthetic import TinyWorld


@pytest.fixture
def folder(tiny_world: TinyWorld, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_world.dataset, tmp_path / "dataset")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "page" / "assets").mkdir(parents=True)
    return tmp_path / "page"


def change_rows(folder: Path, shard: str, **columns: list) -> None:
    """Replace columns of a shard, or add text columns, row by row; None keeps what is there."""
    path = next(folder.glob(f"{shard}-*.parquet"))
    table = pq.read_table(path)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        if place < 0:
            table = table.append_column(name, pa.array(values, pa.string()))
        else:
            old = table[name].to_pylist()
            new = [was if value is None else value for was, value in zip(old, values, strict=True)]
            table = table.set_column(place, table.schema.field(place), pa.array(new, table.schema.field(place).type))
    pq.write_table(table, path, row_group_size=16, compression="none")


def first_values(folder: Path, shard: str, num: int) -> dict:
    path = next(folder.glob(f"{shard}-*.parquet"))
    return pq.read_table(path).slice(0, num).to_pydict()


def test_the_page_stands_alone_and_every_picture_has_a_text(folder: Path, out: Path) -> None:
    (folder / "failures.jsonl").write_text(
        json.dumps({"path": "x", "identity": "x", "reason": NASTY, "message": f"a {NASTY}"}) + "\n"
    )
    path = write_inspection(out, ClipDataset(folder, "all"), num_people=6)
    text = path.read_text()
    page = Page(text)
    assert page.files and all((out / file).is_file() for file in page.files)
    assert page.texts and all(page.texts)
    assert page.tags.isdisjoint({"script", "link", "iframe"}) and "&lt;script" in text and "<script" not in text
    assert "http" not in text and str(folder.parent) not in text
    assert text.count("<audio") == 6 and text.count('class="person"') == 6
    for shown in (
        "What is in dataset",
        "27</p>",
        "24 of them with a voice",
        "does not tell who someone is",
        "biometric",
    ):
        assert shown in text, shown
    assert "Nobody on this page exists" not in text


def test_voices_and_faces_are_the_data_sets(folder: Path, out: Path) -> None:
    dataset = ClipDataset(folder, "all")
    write_inspection(out, dataset, num_people=1)
    clips = [index for index, identity in enumerate(dataset.identity_of) if identity == 0]
    heard, rate = soundfile.read(out / "assets" / "person-001-voice.flac", dtype="float32")
    assert rate == 16_000 and any(
        len(own := dataset.waveform(clip)) == len(heard) and np.abs(own - heard).max() < 1e-4 for clip in clips
    )
    with Image.open(out / "assets" / "person-001-face-1.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), dataset.face(*dataset.faces_of(0)[0]))


def test_people_without_a_voice_or_a_face_are_shown_too(folder: Path, out: Path) -> None:
    text = write_inspection(out, ClipDataset(folder, "all"), num_people=500).read_text()
    assert text.count('class="person"') == 27 and text.count("no voice") == 2 and text.count("no face") == 1


def test_a_page_of_personas_says_that_nobody_on_it_exists(folder: Path, out: Path) -> None:
    info = read_info(folder)
    write_info(folder, type(info)(**{**vars(info), "extra": {"population": {"seed": 5}}}))
    text = write_inspection(out, ClipDataset(folder, "all"), num_people=1).read_text()
    assert "Nobody on this page exists" in text and "seed 5" in text and "biometric" not in text


def test_tables_and_headlines_count_what_is_there(folder: Path) -> None:
    dataset = ClipDataset(folder, "all")
    table = table_of_splits(dataset)
    assert [row[:4] for row in table.rows] == [
        [split, *(str(getattr(dataset.info, what)[split]) for what in ("num_identities", "num_clips", "num_voices"))]
        for split in SPLITS
    ]
    people, speech, faces, failures = headlines(dataset, 1234)
    assert (people.value, people.note) == ("27", "24 of them with a voice and a face")
    assert speech.note == "in 50 recordings" and faces.value == "52" and failures.value == "1,234"
    assert [format_duration(s) for s in (12.4, 600, 7200 * 1000)] == ["12 s", "10 min", "2,000.0 h"]
    shown = {chart.title: chart for chart in charts(dataset)}
    assert set(shown) == {"Durations", "Clips a person", "Faces a clip", "Ages"}
    assert "age known of 21, sex of 27 (14 women, 13 men)" in shown["Ages"].note
    assert [meter.name for meter in nationalities(dataset)] == ["nowhere"]


def test_meters_are_sorted_and_the_rest_is_taken_together() -> None:
    counts = eval.pages.dataset.counts.collections.Counter({"b": 4, "a": 4, "c": 2, "d": 1})
    found = meters(counts, 2, {"b": "such as this"})
    assert [(m.name, m.count, m.share) for m in found] == [("a", 4, 1.0), ("b", 4, 1.0), ("2 others", 3, 0.75)]
    assert found[1].example == "such as this" and meters(type(counts)(), 3) == []


def test_columns_have_round_ticks_and_escape_names() -> None:
    chart = str(
        column_chart([(NASTY, [(7, "c1"), (30, "c2")]), ("", [(0, "c1")])], x_label="x", y_label="y", description="d")
    )
    assert "<script" not in chart and chart.count("<rect") == 2
    assert all(f">{tick}<" in chart for tick in (0, 10, 20, 30, 40)) and ">50<" not in chart
    assert "<svg" in str(column_chart([], x_label="x", y_label="y", description="nothing"))


def test_states_of_rows_are_counted_by_reason(folder: Path) -> None:
    (folder / "failures.jsonl").unlink()
    assert read_outcomes(folder) is None
    states = [{"row": i, "state": "published", "identity": "a"} for i in range(3)]
    states += [{"row": 9, "state": "failed", "reason": "gone", "message": "no such video"}] * 2
    states += [{"row": 7, "state": "failed", "reason": "no-face", "message": "no face"}]
    for chunk in range(2):
        lines = "".join(json.dumps(state) + "\n" for state in states[chunk::2])
        (folder / f"rows-{chunk:05d}-of-00002.jsonl").write_text(lines + '{"row": 1, "sta')
    outcomes = read_outcomes(folder)
    assert outcomes is not None and (outcomes.num_published, outcomes.num_failed) == (3, 3)
    assert [(m.name, m.count, m.example) for m in outcomes.reasons] == [
        ("gone", 2, "no such video"),
        ("no-face", 1, "no face"),
    ]


def test_flags_are_counted_by_word(folder: Path) -> None:
    assert count_flags(ClipDataset(folder, "all")) == []
    num = ClipDataset(folder, "val").info.num_clips["val"]
    change_rows(folder, "val", flags=["music several-speakers", "music", *[""] * (num - 3), None])
    assert [(m.name, m.count) for m in count_flags(ClipDataset(folder, "all"))] == [
        ("music", 2),
        ("several-speakers", 1),
    ]


def test_what_is_twice_in_it_is_found(folder: Path) -> None:
    clean = find_repeated(ClipDataset(folder, "all"))
    assert [(found.num, found.across_people, found.across_splits) for found in clean] == [(0, 0, 0)] * 2
    own, num = first_values(folder, "train", 1), ClipDataset(folder, "val").info.num_clips["val"]
    rest: list = [None] * (num - 1)
    change_rows(folder, "val", audio=[own["audio"][0], *rest], images=[own["images"][0], *rest])
    change_rows(folder, "val", video_id=["v", *rest])
    num_test = ClipDataset(folder, "test").info.num_clips["test"]
    change_rows(folder, "test", video_id=["w", "w", "v", *[None] * (num_test - 3)])
    found = find_repeated(ClipDataset(folder, "all"))
    # Clips of one person share a video, "w", as they should.
    assert [(one.num, one.across_people, one.across_splits) for one in found] == [(1, 1, 1)] * 3
    assert all(own["identity"][0] in one.example for one in found[:2])


def test_near_faces_under_two_names_are_found_and_shown(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, num = first_values(folder, "train", 1), ClipDataset(folder, "val").info.num_clips["val"]
    change_rows(folder, "val", face_features=[own["face_features"][0], *[None] * (num - 1)])
    dataset = ClipDataset(folder, "all")
    comparison = compare_faces(out, dataset)
    assert comparison is not None and comparison.threshold is None and comparison.num_pairs == 0
    nearest = comparison.nearest[0]
    assert nearest.cosine == pytest.approx(1, abs=1e-5) and nearest.across_splits and not nearest.is_same
    assert own["identity"][0] in nearest.names and (out / nearest.faces[1].file).is_file()
    cosines = [pair.cosine for pair in comparison.nearest]
    assert cosines == sorted(cosines, reverse=True) and len({pair.names for pair in comparison.nearest}) == 8

    def known(_: FaceEncoderInfo) -> float:
        return 0.99

    monkeypatch.setattr(eval.pages.dataset.duplicates, "same_person_threshold", known)
    comparison = compare_faces(out, dataset)
    assert comparison is not None and comparison.nearest[0].is_same
    assert comparison.num_pairs >= comparison.num_across >= 1


@pytest.mark.parametrize("block_size", [5, 1000])
def test_the_nearest_strangers_are_those_of_the_whole_matrix(block_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(40, 4))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    people = random.integers(0, 12, 40)
    blocks = eval.pages.dataset.duplicates.cosine_blocks
    monkeypatch.setattr(eval.pages.dataset.duplicates, "cosine_blocks", lambda f: blocks(f, block_size))
    nearest, alike = eval.pages.dataset.duplicates._nearest_strangers(features, people, 0.9)
    best: dict[tuple[int, int], float] = {}
    for i in range(40):
        for j in range(40):
            pair = (min(people[i], people[j]), max(people[i], people[j]))
            if pair[0] != pair[1]:
                best[pair] = max(best.get(pair, -1.0), float(features[i] @ features[j]))
    expected = sorted(best.values(), reverse=True)[: len(nearest)]
    np.testing.assert_allclose([cosine for cosine, _, _ in nearest], expected, atol=1e-6)
    assert set(alike) == {pair for pair, cosine in best.items() if cosine >= 0.9}


def test_a_data_set_without_faces_is_shown_as_well(folder: Path, out: Path) -> None:
    dataset = ClipDataset(folder, "all")
    dataset.num_faces[:] = 0
    assert compare_faces(out, dataset) is None
    assert "Clips a person" in {chart.title for chart in charts(dataset)}
