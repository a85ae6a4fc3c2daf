from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DatasetError
from eval.verification.pair_lists import find_pairs, read_pair_list, write_submission


def read(folder, text):
    path = folder / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    return [(pair.line, pair.key, pair.voice, pair.face, pair.is_same) for pair in read_pair_list(path)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a.wav b.jpg\nc.wav d.jpg\n", (1, None, "a.wav", "b.jpg", None)),
        ("a.wav,b.jpg,1\nc.wav,d.jpg,0\n", (1, None, "a.wav", "b.jpg", True)),
        ("0\ta.wav\tb.jpg\n1\tc.wav\td.jpg\n", (1, None, "a.wav", "b.jpg", False)),  # VoxCeleb's order
        ("voice path;face path;same\n\na b.wav;c.jpg;1\n", (3, None, "a b.wav", "c.jpg", True)),
        ("label,face,id,voice\n0,b.jpg,x1,a.wav\n", (2, "x1", "a.wav", "b.jpg", False)),
        # The challenge FAME: id, voice, face.
        ("ysuvkz41 voices/English/00000.wav faces/English/00000.jpg\n", (1, "ysuvkz41", "voices/English/00000.wav",
         "faces/English/00000.jpg", None)),
        # The lists of Learnable PINs: id, speaker, speaker, label, voice, face.
        ("7,12,31,0,v/12/1.wav,f/31/2.jpg\n", (1, "7", "v/12/1.wav", "f/31/2.jpg", False)),
        ("k1 a.wav b.jpg 1", (1, "k1", "a.wav", "b.jpg", True)),
        ("b.jpg a.wav 1\nd.jpg c.wav 0\n", (1, None, "a.wav", "b.jpg", True)),  # the face first
        ("\ufeffvoice,face\r\n\"a.wav\",b.jpg\r\n", (2, None, "a.wav", "b.jpg", None)),
    ],
)  # fmt: skip
def test_lists_are_read_in_the_forms_that_are_published(tmp_path, text, first):
    assert read(tmp_path, text)[0] == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.wav b.jpg 1\nc.wav d.jpg\n", "line 2: 3 cells expected"),
        ("a.wav,b.jpg,1\n,d.jpg,0\n", "line 2: 3 cells expected"),
        ("voice,face,label\na.wav,b.jpg,1\nc.wav,d.jpg,2\n", "line 3: label '2': 1 for one person, 0 for two"),
        ("k a.wav b.jpg 1\nk c.wav d.jpg yes\n", "line 2: label 'yes'"),
        ("a b c d e\n", "5 columns without a header"),
        ("a\nb\n", "1 columns without a header"),
        ("voice,face\n", "only a header"),
        ("\n  \n", "an empty list"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_in_one_line(tmp_path, text, message):
    with pytest.raises(DatasetError) as told:
        read(tmp_path, text)
    assert message in str(told.value) and "pairs.txt" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_list_that_is_not_there_or_no_text_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="can't be read"):
        read_pair_list(tmp_path / "gone.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DatasetError, match="can't be read"):
        read_pair_list(tmp_path / "binary")


NAMES = st.text("abcXYZ019/_-.", min_size=2, max_size=12)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(NAMES, NAMES, st.booleans()), min_size=1, max_size=8),
    st.sampled_from([" ", "  ", ",", ";", "\t", ", "]),
    st.booleans(),
)
def test_what_is_written_is_read(tmp_path_factory, pairs, delimiter, with_header):
    lines = [delimiter.join((f"v{voice}", f"f{face}", str(int(same)))) for voice, face, same in pairs]
    if with_header:
        lines.insert(0, delimiter.join(("voice", "face", "label")))
    rows = read(tmp_path_factory.getbasetemp(), "\n".join(lines))
    assert [row[1:] for row in rows] == [(None, f"v{voice}", f"f{face}", same) for voice, face, same in pairs]


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_any_text_is_read_or_told(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(text, encoding="utf-8")
    try:
        pairs = read_pair_list(path)
    except DatasetError as error:
        assert str(path) in str(error)
    else:
        assert pairs and all(pair.voice and pair.face for pair in pairs)


def clips():
    return SimpleNamespace(
        clip_ids=["ann/0", "bob/0", "ann/only-face"],
        has_voice=np.array([True, True, False]),
        num_faces=np.array([2, 0, 1]),
        root=Path("datasets/some"),
        split="all",
    )


def listed(folder, *rows):
    path = folder / "list.txt"
    path.write_text("\n".join(rows))
    return find_pairs(path, read_pair_list(path), clips())


def test_clips_are_found_by_id_whatever_the_extension_and_the_folders_before(tmp_path):
    voices, faces = listed(tmp_path, "ann/0 ann/0-1.jpg", "wav/bob/0.wav ann/0.jpg", "bob/0 faces/ann/only-face.png")
    assert voices.tolist() == [0, 1, 1]
    assert faces.tolist() == [[0, 1], [0, 0], [2, 0]]


@pytest.mark.parametrize(
    ("row", "told"),
    [("cid/0 ann/0", "no voice 'cid/0'"), ("ann/0 bob/0", "no face 'bob/0'"), ("ann/only-face ann/0", "no voice 'ann")],
)
def test_a_clip_that_is_not_there_is_told_with_its_line(tmp_path, row, told):
    with pytest.raises(DatasetError, match=f"line 2: {told}"):
        listed(tmp_path, "ann/0 ann/0", row)


def test_scores_are_written_as_the_challenge_takes_them(tmp_path):
    write_submission(tmp_path / "sub_score_English_heard.txt", ["ysuvkz41", "tog3zj45", "k"], np.array([1.0, 0.5, -1]))
    assert (
        tmp_path / "sub_score_English_heard.txt"
    ).read_text() == "ysuvkz41 0.000000\ntog3zj45 1.000000\nk 2.000000\n"
