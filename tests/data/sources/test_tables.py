from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DatasetError
from data.sources.tables import column_name, find_delimiter, read_table

ROWS = [["Identity", " SEX", "Birth Year "], ["José", "m", "1980"], ["山田", "", "1990"]]


def cells_of(folder: Path, content: bytes) -> list[dict[str, str]]:
    path = folder / "table.csv"
    path.write_bytes(content)
    return [row.cells for row in read_table(path).rows]


@pytest.mark.parametrize(
    ("delimiter", "line_end", "encoding"),
    list(itertools.product([",", ";", "\t", ", "], ["\n", "\r\n", "\r"], ["utf-8", "utf-8-sig", "utf-16"])),
)
def test_a_table_is_the_same_however_a_spreadsheet_writes_it(
    tmp_path: Path, delimiter: str, line_end: str, encoding: str
) -> None:
    text = line_end.join(["", *(delimiter.join(row) for row in ROWS), ""])
    assert cells_of(tmp_path, text.encode(encoding)) == [
        {"identity": "José", "sex": "m", "birth_year": "1980"},
        {"identity": "山田", "sex": "", "birth_year": "1990"},
    ]


def test_a_quote_behind_a_space_begins_a_quoted_cell(tmp_path: Path) -> None:
    assert cells_of(tmp_path, b' "identity" , "sex"\nada, "f"\n') == [{"identity": "ada", "sex": "f"}]


def test_quotes_empty_rows_short_rows_and_trailing_delimiters_are_no_matter(tmp_path: Path) -> None:
    content = b'identity,"sex, or gender",,\n"Bob, Jr.","m",,\n,,,\n\n"a ""b"""\n'
    assert cells_of(tmp_path, content) == [
        {"identity": "Bob, Jr.", "sex,_or_gender": "m"},
        {"identity": 'a "b"'},
    ]


def test_the_line_that_tells_excel_the_delimiter_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"sep=;\r\nidentity;note\r\nada;1,5\r\n")
    table = read_table(path)
    assert [(row.line, row.cells) for row in table.rows] == [(3, {"identity": "ada", "note": "1,5"})]


def test_columns_that_are_missing_or_not_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Name;Colour\nada;red\n", encoding="utf-8")
    table = read_table(path)
    assert table.find_column("identity", "name") == "name"
    with pytest.raises(DatasetError, match=r"no column 'identity' in its header; columns there: name, colour"):
        table.find_column("identity")
    assert table.tell_unused(("name",)) == [f"{path}: columns that are not used: colour"]
    assert table.tell_unused(("name", "colour")) == []


@pytest.mark.parametrize("content", [b"identity\nJos\xe9\n", b"\xff\xfe\x00identity"])
def test_text_of_another_encoding_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"table\.csv: can't be read as a CSV file: .*save it as UTF-8"):
        cells_of(tmp_path, content)


@given(st.text(max_size=200))
def test_whatever_a_file_holds_it_is_a_table_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        table = read_table(path)
    except DatasetError as error:
        assert str(path) in str(error)
    else:
        assert all(set(row.cells) <= set(table.columns) for row in table.rows)
        assert all(column == column_name(column) for column in table.columns)


def test_the_delimiter_is_the_most_frequent_one_outside_of_quotes() -> None:
    assert find_delimiter('"a,b,c";d') == ";"
    assert find_delimiter("a") == ","
