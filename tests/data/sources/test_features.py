import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DatasetError, OutputError
from data.sources.features import ImportConfig, import_features, read_features
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset

HEADER = ["id", "person", "sex", "split", "language", "x", "y"]
VOICES = [
    ["v1.wav", "ann", "f", "train", "English", "1", "2"],
    ["v2.wav", "ann", "", "", "Urdu", "0", "-1.5e-1"],
    ["v3.wav", "bob", "m", "test", "", "3", "4"],
]
FACES = [["f1.jpg", "ann", "", "", "", "3", "4"], ["v3.wav", "bob", "", "test", "", "0", "2"]]


def write(path, rows, header=HEADER):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def imported(folder, voices=VOICES, faces=FACES, **settings):
    paths = write(folder / "voices.csv", voices), write(folder / "faces.csv", faces)
    config = ImportConfig(*paths, folder / "out", "ecapa", "vggface", **settings)
    return import_features(config)


def test_an_import_is_a_data_set_of_vectors_whose_people_keep_their_split(tmp_path):
    info, was_there = imported(tmp_path)
    assert not was_there and info.num_identities == {"train": 1, "val": 0, "test": 1}
    assert (info.face_encoder.name, info.face_encoder.feature_size) == ("imported:vggface", 2)
    train, test = (ClipDataset(tmp_path / "out", split) for split in ("train", "test"))
    assert train.clip_ids == ["f1.jpg", "v1.wav", "v2.wav"] and test.clip_ids == ["v3.wav"]
    assert train.has_voice.tolist() == [False, True, True] and train.num_faces.tolist() == [1, 0, 0]
    assert train.voice_vector(2).tolist() == pytest.approx([0, -0.15])
    assert train.face_features(0).tolist() == [pytest.approx([0.6, 0.8])]  # of unit length
    assert train.texts("language") == [None, "English", "Urdu"]
    assert train.attributes(0).sex == "female"
    # One id in both files is one clip.
    assert test.voice_vector(0).tolist() == [3, 4] and test.face_features(0).tolist() == [[0, 1]]
    assert test.clip(0).waveform is None and test.clip(0).vectors["voice_vector"].tolist() == [3, 4]


def test_there_is_nothing_to_hear_or_see(tmp_path):
    imported(tmp_path)
    dataset = ClipDataset(tmp_path / "out", "test")
    assert not dataset.has_media
    for look in (lambda: dataset.waveform(0), lambda: dataset.face(0, 0)):
        with pytest.raises(DatasetError, match="neither recording nor picture"):
            look()
    with pytest.raises(DatasetError, match="has no imported voice vector"):
        ClipDataset(tmp_path / "out", "train").voice_vector(0)


def test_the_same_import_again_does_nothing_and_another_is_refused(tmp_path):
    imported(tmp_path)
    assert imported(tmp_path)[1]
    with pytest.raises(OutputError, match="voices_sha256"):
        imported(tmp_path, voices=VOICES[:2])
    assert imported(tmp_path, voices=VOICES[:2], overwrite=True)[0].num_voices["test"] == 0


def test_data_sets_of_one_network_and_size_fit_and_others_do_not(tmp_path):
    hashes = []
    for number, name in enumerate(["vggface", "vggface", "arcface"]):
        voices, faces = write(tmp_path / "v.csv", VOICES), write(tmp_path / "f.csv", FACES)
        config = ImportConfig(voices, faces, tmp_path / str(number), "ecapa", name)
        hashes.append(import_features(config)[0].face_encoder.sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_people_without_a_split_get_that_of_their_hash(tmp_path):
    rows = [[f"c{number}", f"p{number}", "", "", "", "1", "2"] for number in range(60)]
    info, _ = imported(tmp_path, rows, rows, split_fractions=(0.5, 0.2, 0.3))
    assert all(info.num_identities[split] > 5 for split in SPLITS)


def test_arrays_say_the_same_as_a_table(tmp_path):
    table = read_features(write(tmp_path / "table.csv", VOICES))
    vectors = np.array([row[-2:] for row in VOICES], np.float64)
    facts = {name: [row[column] for row in VOICES] for column, name in enumerate(HEADER[:5])}
    np.savez(tmp_path / "arrays.npz", features=vectors, **facts)
    np.save(tmp_path / "one.npy", vectors.astype(np.float16))
    write(tmp_path / "one.csv", [row[:5] for row in VOICES], HEADER[:5])
    for path in (tmp_path / "arrays.npz", tmp_path / "one.npy"):
        for row, expected in zip(read_features(path), table, strict=True):
            assert (row.name, row.identity, row.split) == (expected.name, expected.identity, expected.split)
            assert (row.attributes, row.language) == (expected.attributes, expected.language)
            np.testing.assert_allclose(row.vector, expected.vector, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({0: ""}, "line 3: no id"),
        ({0: "v1.wav"}, "id 'v1.wav' is there 2 times"),
        ({1: "../ann"}, "line 3: the identity"),
        ({2: "x"}, "line 3: sex 'x'"),
        ({3: "exam"}, "line 3: split 'exam': use train, val or test"),
        ({3: "test"}, "line 3: ann is in 'test' here and in 'train' before"),
        ({5: "many"}, "line 3: 2 numbers expected"),
        ({5: "nan"}, "line 3: id 'v2.wav': numbers that are finite"),
        ({5: "0", 6: "0"}, "line 3: id 'v2.wav': numbers that are finite and not all zero"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_line(tmp_path, change, told):
    voices = [list(row) for row in VOICES]
    for column, cell in change.items():
        voices[1][column] = cell
    with pytest.raises(DatasetError) as error:
        imported(tmp_path, voices)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_voice_and_a_face_of_one_id_are_of_one_person(tmp_path):
    with pytest.raises(DatasetError, match="is of eve, but bob's voice"):
        imported(tmp_path, faces=[FACES[0], ["v3.wav", "eve", "", "", "", "0", "2"]])


def test_files_that_are_no_features_are_told(tmp_path):
    cases = {
        "columns id and person are needed": write(tmp_path / "a.csv", [["1", "2"]], ["x", "y"]),
        r"numbers \[N, D\] expected": write(tmp_path / "b.csv", [], HEADER),
        "can't be read as a CSV": tmp_path / "gone.csv",
        "can't be read as arrays": tmp_path / "gone.npz",
        "no array 'features'": tmp_path / "c.npz",
        "array 'id' has the shape": tmp_path / "d.npz",
        "3 vectors, but 2 rows": tmp_path / "e.npy",
        "Object arrays cannot be loaded": tmp_path / "f.npz",
    }
    np.savez(cases["no array 'features'"], id=["a"])
    np.savez(cases["array 'id' has the shape"], features=np.ones((3, 2)), id=["a"], person=["p"] * 3)
    np.save(cases["3 vectors, but 2 rows"], np.ones((3, 2)))
    write(tmp_path / "e.csv", [["a", "p"], ["b", "p"]], ["id", "person"])
    np.savez(cases["Object arrays cannot be loaded"], features=np.array([{}], object))
    for told, path in cases.items():
        with pytest.raises(DatasetError, match=told):
            read_features(path)


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    ).filter(lambda rows: all(any(row) for row in rows)),
    st.text("abc xyz,;\"'äß-_/", min_size=1, max_size=8).map(str.strip).filter(bool),
)
def test_numbers_and_names_come_back_as_they_were_written(tmp_path_factory, rows, name):
    path = tmp_path_factory.getbasetemp() / "some.csv"
    written = [[f"{name}{number}", "ann", *map(repr, row)] for number, row in enumerate(rows)]
    back = read_features(write(path, written, ["id", "person", "a", "b", "c"]))
    assert [row.name for row in back] == [row[0] for row in written]
    np.testing.assert_array_equal([row.vector for row in back], np.array(rows, np.float32))
