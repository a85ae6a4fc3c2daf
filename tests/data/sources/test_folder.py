import unicodedata
from pathlib import Path

import pytest

from data.errors import DatasetError, MediaError
from data.sources.folder import scan_folder
from data.sources.people import check_identity, read_attributes
from data.store.clip import Attributes
from data.store.split import assign_split


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("name", ["Ann", "vox1_A.J._Buckley", "Zoë Müller", "山田", "---ZOY1kzAc", "-x"])
def test_ordinary_names_are_fine(name: str) -> None:
    check_identity(name)


@pytest.mark.parametrize(
    "name", ["", " ", "..", "../x", "..\\x", ".hidden", "a/b", "a\nb", "a\x1b[2J", "x\udcff", "é" * 150, " a"]
)
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(MediaError) as caught:
        check_identity(name)
    assert caught.value.reason == "unsafe-identity"
    assert str(caught.value).isascii() and "\n" not in str(caught.value)


def test_people_and_files_are_sorted_and_either_side_may_be_missing(tmp_path: Path) -> None:
    for name in ("b/voices/2.wav", "b/voices/1.wav", "b/faces/1.jpg", "a/faces/1.jpg", "c/voices/x.mp4"):
        touch(tmp_path / name)
    touch(tmp_path / "b/voices/.DS_Store")
    touch(tmp_path / "b/notes.txt")
    touch(tmp_path / ".cache/voices/1.wav")
    scan = scan_folder(tmp_path)
    people, failures = scan.people, scan.failures
    assert [person.identity for person in people] == ["a", "b", "c"]
    assert [path.name for path in people[1].voices] == ["1.wav", "2.wav"]
    assert people[0].voices == () and people[2].faces == ()
    assert failures == []


def test_extra_faces_join_the_person_of_the_same_name(tmp_path: Path) -> None:
    touch(tmp_path / "main/a/voices/1.wav")
    touch(tmp_path / "extra/a/1.jpg")
    touch(tmp_path / "extra/a/faces/2.jpg")
    touch(tmp_path / "extra/b/3.jpg")
    people = scan_folder(tmp_path / "main", [tmp_path / "extra"]).people
    assert [(p.identity, len(p.voices), len(p.faces)) for p in people] == [("a", 1, 2), ("b", 0, 1)]


def test_a_folder_with_an_unsafe_name_or_without_files_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    touch(tmp_path / "..\\x/voices/1.wav")
    (tmp_path / "empty/voices").mkdir(parents=True)
    touch(tmp_path / "a/faces/1.jpg")
    scan = scan_folder(tmp_path)
    people, failures = scan.people, scan.failures
    assert [person.identity for person in people] == ["a"]
    assert sorted(failure.reason for failure in failures) == ["empty-identity", "unsafe-identity"]


@pytest.mark.parametrize("kind", ["empty", "missing", "file"])
def test_a_root_with_nobody_in_it_is_an_error_that_says_what_was_expected(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    if kind == "empty":
        root.mkdir()
    if kind == "file":
        root.touch()
    with pytest.raises(DatasetError, match=r"root: .*expected"):
        scan_folder(root)


def test_attributes_are_read_completed_and_refused_value_by_value(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(
        "identity,gender,age,nationality\na,f,34,\na,,,UK\nb,male,40-59,\nc,m,>=60,\nd,x,30,\ne,,old,Peru\n../x,f,30,\n"
    )
    table = read_attributes(path)
    known, failures = table.attributes, table.failures
    assert known == {
        "a": Attributes("female", 34.0, "UK"),
        "b": Attributes("male", 50.0, None),
        "c": Attributes("male", 60.0, None),
        "d": Attributes(None, 30.0, None),
        "e": Attributes(None, None, "Peru"),
    }
    assert [failure.reason for failure in failures] == ["bad-attribute", "bad-attribute", "unsafe-identity"]
    assert "line 6" in failures[0].message


@pytest.mark.parametrize("content", [b"name,age\nx,3\n", b"\xff\xfe\x00identity", b""])
def test_a_csv_that_can_not_be_used_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"people\.csv"):
        read_attributes(tmp_path / "people.csv")


def test_a_name_is_the_same_in_any_unicode_form(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))
    touch(tmp_path / f"main/{decomposed}/voices/1.wav")
    touch(tmp_path / f"extra/{composed}/1.jpg")
    table = tmp_path / "people.csv"
    table.write_text(f"identity,sex,age\n{composed},m,40\n", encoding="utf-8")
    for extra in ([], [tmp_path / "extra"]):
        scan = scan_folder(tmp_path / "main", extra, read_attributes(table))
        (person,) = scan.people
        assert (person.identity, person.attributes) == (composed, Attributes("male", 40.0))
        assert (len(person.voices), len(person.faces)) == (1, len(extra))
        assert scan.failures == [] and scan.warnings == []
    assert assign_split(composed) == assign_split(decomposed)


@pytest.mark.parametrize(
    "header", ["identity, sex, age", "\ufeffIdentity;Sex;Age", "IDENTITY\tSex\t Age ", "identity,sex,age,,"]
)
def test_headers_are_read_as_people_type_them(tmp_path: Path, header: str) -> None:
    delimiter = next(character for character in ";\t," if character in header)
    table = tmp_path / "people.csv"
    table.write_text(f"{header}\r{delimiter.join(['ada', ' f ', '36'])}\r", encoding="utf-8", newline="")
    people = read_attributes(table)
    assert people.attributes == {"ada": Attributes("female", 36.0)}
    assert people.failures == [] and people.warnings == []


def test_names_of_a_csv_that_match_nobody_are_counted_with_a_hint(tmp_path: Path) -> None:
    touch(tmp_path / "main/ada/voices/1.wav")
    table = tmp_path / "people.csv"
    table.write_text("identity,sex,colour\nAda,f,red\nbob,m,blue\n", encoding="utf-8")
    scan = scan_folder(tmp_path / "main", known=read_attributes(table))
    assert scan.failures == []
    assert scan.warnings == [
        f"{table}: columns that are not used: colour",
        f"{table}: 2 of 2 names are those of nobody with files: 'Ada' (there is 'ada'), 'bob'",
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for name in ("a/voices/1.wav", "a/voices/._1.wav", ".DS_Store", "a/notes.txt", "b.wav", "a/old/2.wav"):
        touch(tmp_path / "main" / name)
    touch(tmp_path / "extra/A/1.jpg")
    hidden, elsewhere, nobody = scan_folder(tmp_path / "main", [tmp_path / "extra"]).warnings
    assert "2 files and folders that begin with a dot: '.DS_Store', 'a/voices/._1.wav'" in hidden
    assert "3 files and folders that lie neither in voices/ nor in faces/" in elsewhere
    assert "extra: none of its 1 people" in nobody
