from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from data.errors import DatasetError
from data.sources.voxceleb import join_voxceleb, read_meta, spread
from data.store.clip import Attributes

VOX1 = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10001\tA.J._Buckley\tm\tIreland\tdev\n"
VOX2 = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set\nid00012 ,n000012 ,m ,dev\nid00016 ,n000016 ,f ,dev\n"


def write_meta(folder: Path, vox1: str = VOX1, vox2: str = VOX2) -> list[Path]:
    paths = [folder / "vox1_meta.csv", folder / "vox2_meta.csv"]
    for path, text in zip(paths, (vox1, vox2), strict=True):
        path.write_text(text)
    return paths


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_both_official_csvs_are_read_with_tabs_commas_and_stray_spaces(tmp_path: Path) -> None:
    people, failures = read_meta(write_meta(tmp_path))
    assert failures == [] and sorted(people) == ["id00012", "id00016", "id10001"]
    assert people["id10001"].names == ("A.J._Buckley",)
    assert people["id10001"].attributes == Attributes("male", None, "Ireland")
    assert people["id00016"].names == ("n000016",) and people["id00016"].attributes == Attributes("female")


def test_a_byte_order_mark_crlf_empty_lines_and_more_columns_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + "VoxCeleb2ID,Name,VGGFace2 ID,Gender\r\nid00012, Some One ,n000012,\r\n\r\n"
    people, failures = read_meta(write_meta(tmp_path, vox2=text))
    assert failures == [] and people["id00012"].names == ("Some One", "n000012")
    assert people["id00012"].attributes == Attributes()


def test_rows_and_values_that_cannot_be_used_are_named_with_their_line(tmp_path: Path) -> None:
    people, failures = read_meta(write_meta(tmp_path, vox2=VOX2 + "n000020,id00020,f,dev\nid00021,n000021,x,dev\n"))
    assert [(f.reason, f.identity) for f in failures] == [("bad-row", "n000020"), ("bad-attribute", "id00021")]
    assert "line 4" in failures[0].message and "line 5" in failures[1].message
    assert "id00021" in people


@pytest.mark.parametrize("content", ["", "id10001\tA\tm\tIreland\tdev\n", "identity,sex\na,f\n", b"\xff\xfe\x00"])
def test_a_csv_of_something_else_is_told(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "vox1_meta.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DatasetError, match=r"vox1_meta\.csv: (no column|can't be read)"):
        read_meta([path])
    with pytest.raises(DatasetError, match=r"nowhere\.csv: can't be read"):
        read_meta([tmp_path / "nowhere.csv"])


def make_world(folder: Path) -> tuple[list[Path], list[Path]]:
    """Three people who have both, one without a face, one without a voice, one whom nobody knows."""
    vox1, vox2 = folder / "vox1", folder / "vox2"
    touch(*(vox1 / "wav" / "id10001" / f"video{v}" / f"{n:05d}.wav" for v in range(3) for n in range(4)))
    touch(vox1 / "wav" / "id10001" / "video0" / "notes.txt", vox1 / "wav" / "id10002" / "v" / "00001.wav")
    touch(*(vox2 / "dev" / "aac" / identity / "v-_1" / "00001.m4a" for identity in ("id00012", "id00016")))
    touch(*(folder / "vggface" / "A.J. Buckley" / "1.6" / f"{i:02d}.JPG" for i in range(10)))
    touch(folder / "vggface" / "Nobody_Known" / "1.jpg")
    touch(
        folder / "vggface2" / "train" / "n000012" / "0001_01.jpg", folder / "vggface2" / "train" / "id00016" / "a.png"
    )
    touch(folder / "vggface2" / "train" / "id09999" / "a.png")
    return [vox1, vox2], [folder / "vggface", folder / "vggface2"]


def test_recordings_and_faces_are_joined_whatever_the_folders_are_called(tmp_path: Path) -> None:
    roots, faces = make_world(tmp_path)
    meta, _ = read_meta(write_meta(tmp_path))
    joined = join_voxceleb(roots, faces, meta)
    assert [person.identity for person in joined.people] == ["id00012", "id00016", "id10001"]
    first, _, last = joined.people
    assert [path.name for path in first.faces] == ["0001_01.jpg"] and first.videos == ("v-_1",)
    assert (len(last.voices), len(last.faces)) == (12, 10) and last.attributes.nationality == "Ireland"
    assert last.videos == tuple(path.parent.name for path in last.voices)
    assert joined.unjoined == {"no-faces": ["id10002"], "no-voices": ["id09999"], "unknown-name": ["Nobody_Known"]}
    assert sorted(f.reason for f in joined.failures) == ["no-faces", "no-voices", "unknown-name"]
    assert all(failure.message and "\n" not in failure.message for failure in joined.failures)


def test_people_who_lack_a_side_are_kept_on_request(tmp_path: Path) -> None:
    roots, faces = make_world(tmp_path)
    joined = join_voxceleb(roots, faces, read_meta(write_meta(tmp_path))[0], keep_all=True)
    assert [person.identity for person in joined.people] == ["id00012", "id00016", "id09999", "id10001", "id10002"]
    assert list(joined.unjoined) == ["unknown-name"]


def test_at_most_so_many_are_taken_evenly_over_the_videos(tmp_path: Path) -> None:
    roots, faces = make_world(tmp_path)
    meta, _ = read_meta(write_meta(tmp_path))
    person = join_voxceleb(roots, faces, meta, max_voices=3, max_faces=2).people[-1]
    assert person.videos == ("video0", "video1", "video2")
    assert [path.name for path in person.faces] == ["00.JPG", "05.JPG"]
    assert spread("abc", 9) == ["a", "b", "c"] and spread([], 3) == [] and spread("abc", None) == ["a", "b", "c"]


def test_the_same_recording_in_two_roots_counts_once(tmp_path: Path) -> None:
    roots, faces = make_world(tmp_path)
    touch(tmp_path / "again" / "id00012" / "v-_1" / "00001.wav", tmp_path / "again" / "id00012" / "v-_1" / "00002.wav")
    joined = join_voxceleb([*roots, tmp_path / "again"], faces, read_meta(write_meta(tmp_path))[0])
    assert [path.name for path in joined.people[0].voices] == ["00001.m4a", "00002.wav"]


def test_without_meta_faces_are_joined_by_voxcelebs_id_alone(tmp_path: Path) -> None:
    roots, faces = make_world(tmp_path)
    joined = join_voxceleb(roots, faces, {})
    assert [person.identity for person in joined.people] == ["id00016"]
    assert "--meta" in next(f for f in joined.failures if f.reason == "unknown-name").message


def test_roots_without_recordings_or_that_are_missing_are_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no recording in it.*wav/id10001"):
        join_voxceleb([tmp_path], [], {})
    with pytest.raises(DatasetError, match="nowhere"):
        join_voxceleb([tmp_path / "nowhere"], [], {})


def test_names_are_the_same_in_any_unicode_form_and_any_table(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Zoë_Saldaña") for form in ("NFC", "NFD"))
    touch(tmp_path / "vox1" / "id10001" / "v" / "1.wav", tmp_path / "faces" / decomposed / "1.jpg")
    path = tmp_path / "vox1_meta.csv"
    path.write_text(f"VoxCeleb1_ID;VGGFace1 ID;gender\rid10001;{composed};f\rid10002;Nobody;m\r", newline="")
    joined = join_voxceleb([tmp_path / "vox1"], [tmp_path / "faces"], read_meta([path])[0])
    assert [(person.identity, len(person.faces)) for person in joined.people] == [("id10001", 1)]
    assert joined.failures == [] and joined.warnings == [] and joined.num_absent == 1


def test_files_that_are_not_read_and_roots_without_faces_are_counted(tmp_path: Path) -> None:
    roots, faces = make_world(tmp_path)
    touch(tmp_path / "vox1" / "wav" / "id10001" / "video0" / "._00001.wav")
    (tmp_path / "none").mkdir()
    meta, _ = read_meta(write_meta(tmp_path))
    hidden, others, nobody = join_voxceleb(roots, [*faces, tmp_path / "none"], meta).warnings
    assert "1 files that begin with a dot" in hidden and "._00001.wav" in hidden
    assert "1 files of other suffixes" in others and "notes.txt" in others
    assert nobody == f"{tmp_path / 'none'}: no folder with the faces of anybody in it"
