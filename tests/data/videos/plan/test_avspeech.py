from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DatasetError, MediaError
from data.videos.plan.avspeech import AvspeechRows, parse_row
from data.videos.plan.requests import BadRequest, VideoRequest

REAL = "-1nRm4tQL0A,12.5,18.25,0.41,0.35"


def rows_of(folder: Path, content: str | bytes) -> list[VideoRequest | BadRequest]:
    path = folder / "list.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = AvspeechRows(path)
    return rows.read(0, rows.num_rows)


def test_an_id_may_begin_with_a_dash(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, REAL)
    assert row == VideoRequest(
        0, "-1nRm4tQL0A", "-1nRm4tQL0A_12.500-18.250@0.4100,0.3500", "-1nRm4tQL0A", 12.5, 18.25, 0.41, 0.35
    )


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "header", ["", "YouTube ID,start_segment,end segment,X coordinate,Y coordinate", "id,start,end,x,y"]
)
def test_header_and_line_ends_change_nothing(tmp_path: Path, header: str, line_end: str) -> None:
    lines = [line for line in (header, REAL, "", "b,0,3,.5,.5") if line or not header]
    rows = rows_of(tmp_path, "\ufeff".encode() + line_end.join([*lines, ""]).encode())
    assert [(row.index, row.video_id) for row in rows if isinstance(row, VideoRequest)] == [
        (0, "-1nRm4tQL0A"),
        (1, "b"),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_cells_may_be_separated_by_semicolons_or_tabs(tmp_path: Path, delimiter: str) -> None:
    expected = rows_of(tmp_path, f"id,start,end,x,y\n{REAL}\n")
    assert rows_of(tmp_path, f"id,start,end,x,y\n{REAL}\n".replace(",", delimiter)) == expected
    assert rows_of(tmp_path, REAL.replace(",", delimiter)) == expected


def test_a_list_in_utf_16_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="save it as UTF-8"):
        rows_of(tmp_path, REAL.encode("utf-16"))


def test_a_header_says_which_column_is_which(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, "x,y,start,end,id\n.1,.2,3,4,abc\n")
    assert isinstance(row, VideoRequest) and (row.video_id, row.start, row.x) == ("abc", 3.0, 0.1)


@pytest.mark.parametrize(
    "line",
    [
        "abc,5,4,.5,.5",  # ends before it begins
        "abc,4,4,.5,.5",
        "abc,-1,4,.5,.5",
        "abc,nan,4,.5,.5",
        "abc,1,inf,.5,.5",
        "abc,1,4,1.5,.5",
        "abc,1,4,.5,nan",
        "abc,1,4,.5,",
        "abc,1,4",
        "abc,1,4000,.5,.5",
        "a/b,1,4,.5,.5",
        "..,1,4,.5,.5",
        "../../etc/passwd,1,4,.5,.5",
        ",1,4,.5,.5",
        "a b,1,4,.5,.5",
        'a"b,1,4,.5,.5',
        "\x00,1,4,.5,.5",
        "caf\xe9,1,4,.5,.5",
    ],
)
def test_a_bad_row_is_that_row_alone(tmp_path: Path, line: str) -> None:
    first, bad, last = rows_of(tmp_path, f"{REAL}\n{line}\nb,0,3,,\n".encode("latin-1"))
    assert isinstance(first, VideoRequest) and isinstance(last, VideoRequest)
    assert isinstance(bad, BadRequest) and (bad.index, bad.reason) == (1, "bad-row")
    assert "\n" not in bad.message


def test_a_row_that_asks_for_the_same_clip_again_names_the_first(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "a,1,4,.5,.5\nb,1,4,.5,.5\na,1.0,4.00,0.5,.50\na,1,4,.5,.5\na,1,4,.6,.5\n")
    assert [isinstance(row, VideoRequest) for row in rows] == [True, True, False, False, True]
    assert [row.message for row in rows if isinstance(row, BadRequest)] == ["the same as row 0"] * 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_part_of_a_long_list_is_read_by_itself(tmp_path: Path, end: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("".join(f"v{i},{i},{i + 3},.5,.5{end}" + end * (i % 3) for i in range(300)).encode())
    rows = AvspeechRows(path)
    assert rows.num_rows == 300
    assert [row.index for row in rows.read(130, 195)] == list(range(130, 195))
    assert [row.video_id for row in rows.read(63, 66) if isinstance(row, VideoRequest)] == ["v63", "v64", "v65"]
    assert rows.read(299, 999)[0].index == 299 and rows.read(300, 400) == []


def test_lines_that_end_in_carriage_returns_are_found_beyond_the_first_block(tmp_path: Path) -> None:
    lines = [f"v{i:05d},1,4,.5,.5" for i in range(8000)]
    rows = rows_of(tmp_path, "\r".join(lines))
    assert [row.video_id for row in rows if isinstance(row, VideoRequest)] == [line[:6] for line in lines]


@pytest.mark.parametrize("content", ["", "\n\n", "id,start,end,x,y\n"])
def test_a_list_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DatasetError, match="holds no row"):
        rows_of(tmp_path, content)


def test_a_header_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="lacks end, y"):
        rows_of(tmp_path, "id,start,x\na,1,.5\n")


def test_a_file_that_is_no_list_is_all_bad_rows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, bytes(range(256)) * 2000)
    assert rows and all(isinstance(row, BadRequest) for row in rows)


@given(st.lists(st.text(max_size=12), max_size=7))
def test_whatever_stands_in_a_row_it_is_a_row_or_a_named_failure(cells: list[str]) -> None:
    try:
        row = parse_row(cells, 0)
    except MediaError as error:
        assert error.reason == "bad-row"
    else:
        assert "/" not in row.clip_id and row.start is not None and row.end is not None and row.start < row.end
