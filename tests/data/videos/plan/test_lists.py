from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DatasetError, MediaError
from data.store.clip import Attributes
from data.videos.plan.lists import find_video_id, list_folder, read_channels
from data.videos.plan.requests import BadRequest, MemoryRequests, VideoRequest, check_video_id


def all_of(rows: MemoryRequests) -> list[VideoRequest | BadRequest]:
    return rows.read(0, rows.num_rows)


def videos_of(rows: MemoryRequests) -> list[VideoRequest]:
    return [row for row in all_of(rows) if isinstance(row, VideoRequest)]


def make_files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not looked into")
    return root


def channels(folder: Path, content: str) -> MemoryRequests:
    (folder / "channels.csv").write_text(content, newline="")
    return read_channels(folder / "channels.csv").requests


def test_a_video_is_of_the_folder_it_lies_in_or_else_of_its_own_name(tmp_path: Path) -> None:
    root = make_files(tmp_path / "root", "zoe.mp4", "ada/1.MOV", "ada/2.webm", "bob/1.mkv", "ada/notes.txt", "list.csv")
    rows = videos_of(list_folder(root).requests)
    assert [(row.identity, row.video_id) for row in rows] == [
        ("zoe", "zoe"),
        ("ada", "ada~1"),
        ("ada", "ada~2"),
        ("bob", "bob~1"),
    ]
    assert [row.index for row in rows] == [0, 1, 2, 3]
    assert rows[1].path == str(root / "ada" / "1.MOV") and rows[1].start is None


def test_hidden_files_pipes_and_deeper_folders_are_no_videos(tmp_path: Path) -> None:
    root = make_files(tmp_path / "root", "a.mp4", ".hidden.mp4", ".git/b.mp4", "ada/deep/c.mp4")
    os.mkfifo(root / "pipe.mp4")
    assert [row.video_id for row in videos_of(list_folder(root).requests)] == ["a"]


def test_videos_of_any_container_are_taken_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    taken = ["mp4", "3gp", "MTS", "m2ts", "ts", "wmv", "flv", "ogv", "vob", "mpeg", "webm", "ogm"]
    names = [*(f"{suffix}.{suffix}" for suffix in taken), "notes.txt", "ada/scan.pdf", "._mp4.mp4", "ada/deep/a.mp4"]
    listing = list_folder(make_files(tmp_path / "root", *names))
    assert sorted(row.identity for row in videos_of(listing.requests)) == sorted(taken)
    hidden, deeper, others = listing.warnings
    assert "1 files and folders that begin with a dot: '._mp4.mp4'" in hidden
    assert "'ada/deep/'" in deeper
    assert "2 files that have no suffix of a video: 'ada/scan.pdf', 'notes.txt'" in others


def test_a_name_is_the_same_in_any_unicode_form(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))
    root = make_files(tmp_path / "root", f"{decomposed}/1.mp4", f"{decomposed}.mp4", f"Zoe{decomposed}.mp4")
    table = tmp_path / "people.csv"
    table.write_text(f"Identity; Sex;video\n{composed};f\n{composed};;Zoe{composed}.mp4\n", encoding="utf-8")
    listing = list_folder(root, table)
    people = {(row.identity, row.attributes.sex) for row in videos_of(listing.requests)}
    assert people == {(composed, "female")} and listing.warnings == []
    rows = videos_of(channels(tmp_path, f"channel,id\n{decomposed},a\n{composed},b\n"))
    assert [row.identity for row in rows] == [composed, composed]


def test_people_and_columns_of_a_csv_that_match_nothing_are_told(tmp_path: Path) -> None:
    root = make_files(tmp_path / "root", "ada.mp4")
    table = tmp_path / "people.csv"
    table.write_text("identity,sex,colour\nAda,f,red\nbob,m,blue\n", encoding="utf-8")
    columns, names = list_folder(root, table).warnings
    assert "colour" in columns and "2 of 2 names are those of nobody with files: 'Ada' (there is 'ada'), 'bob'" in names


def test_names_that_are_no_ids_or_fall_together_get_ids_of_their_own(tmp_path: Path) -> None:
    names = ("My talk, part 1.mp4", "twice.mp4", "twice.avi", "ä" * 80 + ".mp4", "ada~x.mp4", "ada/x.mp4")
    root = make_files(tmp_path / "root", *names)
    rows = videos_of(list_folder(root).requests)
    assert len({row.video_id for row in rows}) == len(names)
    for row in rows:
        check_video_id(row.video_id)
    assert {row.identity for row in rows} >= {"My talk, part 1", "twice", "ada"}
    assert [row.video_id for row in rows] == [row.video_id for row in videos_of(list_folder(root).requests)]


def test_a_csv_tells_who_is_in_a_file_and_what_is_known_of_them(tmp_path: Path) -> None:
    root = make_files(tmp_path / "root", "talk1.mp4", "talk2.mp4", "bob.mp4")
    table = tmp_path / "people.csv"
    table.write_text(
        "identity,video,sex,age\nada,talk1.mp4,f,36\nada,talk2.mp4,,\nbob,,m,old\ncleo,gone.mp4,f,20\n",
        encoding="utf-8",
    )
    listing = list_folder(root, table)
    people = {row.video_id: (row.identity, row.attributes) for row in videos_of(listing.requests)}
    assert people == {
        "bob": ("bob", Attributes(sex="male")),
        "talk1": ("ada", Attributes(sex="female", age=36.0)),
        "talk2": ("ada", Attributes(sex="female", age=36.0)),
    }
    assert len(listing.warnings) == 2
    assert "age 'old'" in listing.warnings[0] and "gone.mp4" in listing.warnings[1]


def test_an_identity_that_could_leave_a_folder_costs_its_video_alone(tmp_path: Path) -> None:
    root = make_files(tmp_path / "root", "a.mp4", "bad\nname.mp4")
    bad, good = sorted(all_of(list_folder(root).requests), key=lambda row: isinstance(row, VideoRequest))
    assert isinstance(bad, BadRequest) and bad.reason == "unsafe-identity" and "\n" not in bad.message
    assert isinstance(good, VideoRequest) and good.video_id == "a"


def test_another_file_or_person_is_another_list(tmp_path: Path) -> None:
    root = make_files(tmp_path / "root", "a.mp4")
    table = tmp_path / "people.csv"
    table.write_text("identity,sex\na,f\n", encoding="utf-8")
    hashes = [list_folder(root).requests.sha256, list_folder(root, table).requests.sha256]
    (root / "a.mp4").write_bytes(b"longer than it was before")
    hashes.append(list_folder(root).requests.sha256)
    make_files(root, "b.mp4")
    hashes.append(list_folder(root).requests.sha256)
    assert len(set(hashes)) == 4
    assert list_folder(root).requests.sha256 == hashes[-1]


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_a_place_without_videos_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatasetError, match=name):
        list_folder(tmp_path / name)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_channel_is_the_person(tmp_path: Path, line_end: str) -> None:
    lines = [
        "\ufeffChannel,video_id,start,end,gender,age,nationality",
        "Ada,-1nRm4tQL0A,,,f,36,British",
        "Ada,https://www.youtube.com/watch?v=abcdefghijk&t=5,10.5,20,,,",
        "",
        "Bob, https://youtu.be/0123456789_ ,,,m,,",
    ]
    rows = videos_of(channels(tmp_path, line_end.join(lines)))
    assert [(row.index, row.identity, row.video_id, row.start, row.end) for row in rows] == [
        (0, "Ada", "-1nRm4tQL0A", None, None),
        (1, "Ada", "abcdefghijk", 10.5, 20.0),
        (2, "Bob", "0123456789_", None, None),
    ]
    assert rows[0].attributes == Attributes("female", 36.0, "British") and rows[2].attributes.sex == "male"
    assert len({row.clip_id for row in rows}) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Ada,,,", "bad-row"),
        ("Ada,a/b,,", "bad-row"),
        ("Ada,https://example.org/watch?v=abc,,", "bad-row"),
        ("Ada,https://www.youtube.com/@ada,,", "bad-row"),
        ("Ada,https://[broken,,", "bad-row"),
        ("Ada,abc,5,4", "bad-row"),
        ("Ada,abc,nan,4", "bad-row"),
        ("Ada,abc,1,inf", "bad-row"),
        ("Ada,abc,1,", "bad-row"),
        ("Ada,abc,one,2", "bad-row"),
        ("Ada,abc,0,9000", "bad-row"),
        (",abc,,", "unsafe-identity"),
        ("../x,abc,,", "unsafe-identity"),
        ("Ada,first,,", "duplicate-row"),
        ("Ada", "bad-row"),
    ],
)
def test_a_row_that_cannot_be_used_has_a_reason_and_its_line(tmp_path: Path, line: str, reason: str) -> None:
    rows = all_of(channels(tmp_path, f"name,id,start,end\nAda,first,,\n{line}\nBob,last,1,2\n"))
    assert [row.index for row in rows] == [0, 1, 2]
    bad = rows[1]
    assert isinstance(bad, BadRequest) and bad.reason == reason and "line 3" in bad.message
    assert isinstance(rows[2], VideoRequest)


def test_what_of_a_person_is_not_understood_costs_no_row(tmp_path: Path) -> None:
    (tmp_path / "channels.csv").write_text("channel,id,sex\nAda,abc,x\n", encoding="utf-8")
    listing = read_channels(tmp_path / "channels.csv")
    assert len(videos_of(listing.requests)) == 1
    assert len(listing.warnings) == 1 and "line 2" in listing.warnings[0]


@pytest.mark.parametrize(
    "content", [b"", b"a,b\nc,d\n", b"channel,when\nAda,1\n", b"channel,id\n", b"channel,id\n\xff\xfe,x\n"]
)
def test_a_file_that_is_no_list_of_channels_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "channels.csv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="channels"):
        read_channels(path)


@pytest.mark.parametrize(
    "address",
    [
        "https://www.youtube.com/watch?v=-1nRm4tQL0A",
        "http://m.youtube.com/watch?list=x&v=-1nRm4tQL0A",
        "youtube.com/watch?v=-1nRm4tQL0A",
        "https://youtu.be/-1nRm4tQL0A?t=3",
        "https://www.youtube.com/shorts/-1nRm4tQL0A",
        "https://www.youtube.com/embed/-1nRm4tQL0A",
        "-1nRm4tQL0A",
    ],
)
def test_an_address_holds_its_id(address: str) -> None:
    assert find_video_id(address) == "-1nRm4tQL0A"


@given(st.text())
def test_whatever_stands_in_the_column_is_an_id_or_a_bad_row(text: str) -> None:
    try:
        check_video_id(find_video_id(text))
    except MediaError as error:
        assert error.reason == "bad-row"
