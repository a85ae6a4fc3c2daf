"""Tables of text as spreadsheets and people write them: one reader for every CSV file but AVSpeech's long ones."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import DatasetError

DELIMITERS = (",", ";", "\t")
"""What may lie between two cells; where a header holds several of them, the most frequent one counts."""

_EXCEL_HINT = re.compile(r'"?sep=(.)"?\s*')  # a first line by which Excel is told the delimiter
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        line: Number of its last line in the file, from 1.
        cells: Text by column, without surrounding spaces; columns that a short row lacks are missing.
    """

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        path: The file.
        columns: Names as `column_name` gives them, in the file's order.
        rows: Those that hold anything.
        content: Bytes of the file.
    """

    path: Path
    columns: Sequence[str]
    rows: Sequence[TableRow]
    content: bytes = field(repr=False)

    def find_column(self, *names: str) -> str:
        """The first of several names that the header has.

        Raises:
            DatasetError: If it has none of them.
        """
        for name in names:
            if name in self.columns:
                return name
        raise DatasetError(
            f"{self.path}: no column {' or '.join(map(repr, names))} in its header; "
            f"columns there: {', '.join(self.columns) or 'none'}"
        )

    def tell_unused(self, used: Sequence[str]) -> list[str]:
        """A line that names the columns that are not used, if there are any."""
        unused = [name for name in self.columns if name not in used]
        return [f"{self.path}: columns that are not used: {', '.join(unused)}"] if unused else []


def read_table(path: Path) -> Table:
    r"""Read a table whose first row is a header.

    Cells are separated by commas, semicolons or tabs and may be quoted; lines end in \n, \r\n or \r; the text is UTF-8,
    or UTF-16 with a byte order mark. Empty rows, and cells beyond the header's, are left out.

    Raises:
        DatasetError: If the file can't be read.
    """
    try:
        content = path.read_bytes()
        text = _without_hint(content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig"))
        reader = csv.reader(io.StringIO(text.rest, newline=""), delimiter=text.delimiter, skipinitialspace=True)
        numbered = ((reader.line_num + text.num_skipped, cells) for cells in reader)
        filled = ((line, cells) for line, cells in numbered if any(cell.strip() for cell in cells))
        _, header = next(filled, (0, []))
        columns = [column_name(cell) for cell in header]
        rows = [TableRow(line, dict(_named(columns, cells))) for line, cells in filled]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: can't be read as a CSV file: {error}; save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path}: can't be read as a CSV file: {error}") from error
    return Table(path, [name for name in columns if name], rows, content)


def column_name(text: str) -> str:
    """The name of a column whatever its case and whatever separates its words: "Video ID" is `video_id`."""
    return re.sub(r"[\s_-]+", "_", text.strip().lower())


def find_delimiter(line: str) -> str:
    """The delimiter that a line holds most of; the comma if it holds none."""
    unquoted = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=unquoted.count)


@dataclass(frozen=True)
class _Text:
    rest: str
    delimiter: str
    num_skipped: int


def _without_hint(text: str) -> _Text:
    """The text without Excel's hint, and the delimiter of its cells."""
    lines = text.lstrip("\r\n").splitlines()
    if lines and (hint := _EXCEL_HINT.fullmatch(lines[0])):
        return _Text(re.split(r"\r\n|\r|\n", text.lstrip("\r\n"), maxsplit=1)[-1], hint[1], 1)
    return _Text(text, find_delimiter(lines[0]) if lines else ",", 0)


def _named(columns: Sequence[str], cells: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, cell in zip(columns, cells, strict=False):
        if name:
            yield name, cell.strip()
