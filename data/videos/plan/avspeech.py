"""AVSpeech's CSV file, read a row at a time."""

from __future__ import annotations

import codecs
import csv
import hashlib
import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError, MediaError
from data.sources.tables import column_name, find_delimiter
from data.videos.plan.requests import BadRequest, VideoRequest, check_span, check_video_id

_NAMES = {
    "id": ("id", "video id", "youtube id", "youtubeid", "yt id", "ytid"),
    "start": ("start", "start segment", "start time", "start seconds"),
    "end": ("end", "end segment", "end time", "end seconds"),
    "x": ("x", "x coordinate", "x center"),
    "y": ("y", "y coordinate", "y center"),
}


_LINES_PER_MARK = 64
_BLANK = b"\xef\xbb\xbf \t\r\n"  # with a byte order mark
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_LINE_BYTES = 64 * 1024


class AvspeechRows:
    r"""AVSpeech's CSV file: video id, start and end in seconds, x and y of the speaker's face; a header or none.

    Cells are separated by commas, semicolons or tabs; lines end in \n, \r\n or \r. Only the position of every 64th line
    and a hash of each row are held, so that a list of millions takes megabytes.

    Attributes:
        num_rows: Number of rows.
        sha256: Hash of the file's bytes.
    """

    def __init__(self, path: Path) -> None:
        """Go through the file once.

        Args:
            path: The file, UTF-8.

        Raises:
            DatasetError: If it can't be read, holds no row, or its header names other columns.
        """
        self._path = path
        self._order: tuple[int, ...] = tuple(range(len(_NAMES)))
        self._delimiter = ""
        marks, hashes, digest = array("q"), array("q"), hashlib.sha256()
        try:
            with path.open("rb") as file:
                for line, position in _lines(file, 0):
                    digest.update(line)
                    if not line.strip(_BLANK):
                        continue
                    if not self._delimiter:
                        if line.startswith(_UTF_16):
                            raise DatasetError(f"{path}: is UTF-16; save it as UTF-8")
                        self._delimiter = find_delimiter(line.decode("utf-8", "replace"))
                    if not hashes and not marks and (order := _read_header(line, self._delimiter, path)) is not None:
                        self._order = order
                        continue
                    if len(hashes) % _LINES_PER_MARK == 0:
                        marks.append(position)
                    hashes.append(self._hash(line, len(hashes)))
        except OSError as error:
            raise DatasetError(f"{path}: {error.strerror or error}") from error
        if not hashes:
            raise DatasetError(f"{path}: holds no row; expected lines such as -1nRm4tQL0A,12.5,18.3,0.41,0.35")
        self.num_rows = len(hashes)
        self.sha256 = digest.hexdigest()
        self._marks = marks
        self._repeated = _find_repeated(np.frombuffer(hashes, np.int64))

    def read(self, first: int, last: int) -> list[VideoRequest | BadRequest]:
        """The requests of rows first (from 0) up to, not including, last."""
        first, last = max(0, first), min(last, self.num_rows)
        if first >= last:
            return []
        index = first // _LINES_PER_MARK * _LINES_PER_MARK
        rows: list[VideoRequest | BadRequest] = []
        with self._path.open("rb") as file:
            for line, _ in _lines(file, self._marks[index // _LINES_PER_MARK]):
                if not line.strip(_BLANK):
                    continue
                if index >= first:
                    rows.append(self._parse(line, index))
                index += 1
                if index == last:
                    break
        return rows

    def _parse(self, line: bytes, index: int) -> VideoRequest | BadRequest:
        if (earlier := self._repeated.get(index)) is not None:
            return BadRequest(index, "duplicate-row", f"the same as row {earlier}")
        try:
            return parse_row(_cells(line, self._delimiter), index, self._order)
        except MediaError as error:
            return BadRequest(index, error.reason, str(error))

    def _hash(self, line: bytes, index: int) -> int:
        """A number that is equal for rows that ask for the same clip."""
        try:
            return hash(parse_row(_cells(line, self._delimiter), index, self._order).clip_id)
        except MediaError:
            return hash(line.strip())


def parse_row(cells: Sequence[str], index: int, order: Sequence[int] = range(5)) -> VideoRequest:
    """The request of a row of id, start, end, x, y.

    Args:
        cells: Cells as they stand in the file; x and y may be empty.
        index: Number of the row in the list, from 0.
        order: Column of each of the five.

    Raises:
        MediaError: `bad-row`.
    """
    if len(cells) <= max(order):
        raise MediaError("bad-row", f"{len(cells)} columns, {max(order) + 1} expected: id, start, end, x, y")
    video_id, start_text, end_text, x_text, y_text = (cells[column].strip() for column in order)
    check_video_id(video_id)
    start, end = _number(start_text, "start"), _number(end_text, "end")
    check_span(start, end)
    x, y = (_number(text, name) if text else None for text, name in ((x_text, "x"), (y_text, "y")))
    for name, value in (("x", x), ("y", y)):
        if value is not None and not 0 <= value <= 1:
            raise MediaError("bad-row", f"{name} = {value:g}: a share of the picture between 0 and 1 expected")
    if (x is None) != (y is None):
        raise MediaError("bad-row", "x and y belong together: one of them is missing")
    position = "" if x is None else f"@{x:.4f},{y:.4f}"
    return VideoRequest(index, video_id, f"{video_id}_{start:.3f}-{end:.3f}{position}", video_id, start, end, x, y)


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MediaError("bad-row", f"{name} is {text[:40]!a}: a number expected")
    return value


def _lines(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int]]:
    r"""Lines from a position on, each with its own position; a line without an end comes in pieces.

    Files have no method that splits lines at \r alone.
    """
    file.seek(position)
    unfinished = b""
    while line := file.readline(_MAX_LINE_BYTES):
        if unfinished or b"\r" in line.rstrip(b"\r\n"):
            *lines, line = (unfinished + line).splitlines(keepends=True)
            for whole in lines:
                yield whole, position
                position += len(whole)
            unfinished = b""
            if not line.endswith((b"\r", b"\n")) and len(line) < _MAX_LINE_BYTES:
                unfinished = line
                continue
        yield line, position
        position += len(line)
    if unfinished:
        yield unfinished, position


def _cells(line: bytes, delimiter: str) -> list[str]:
    text = line.decode("utf-8-sig", "replace").strip(" \r\n")
    if '"' not in text:
        return text.split(delimiter)  # four times as fast, which is seconds for a list of millions
    try:
        return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error as error:
        raise MediaError("bad-row", f"no line of a CSV file: {error}") from error


def _read_header(line: bytes, delimiter: str, path: Path) -> tuple[int, ...] | None:
    """The number of each column, by the first line; None if that is a row.

    Raises:
        DatasetError: If it is a header, but lacks a column.
    """
    try:
        cells = [column_name(cell).replace("_", " ") for cell in _cells(line, delimiter)]
    except MediaError:
        return None
    if not any(name in cells for names in _NAMES.values() for name in names):
        return None
    found = {column: [cells.index(name) for name in names if name in cells] for column, names in _NAMES.items()}
    if missing := [column for column, numbers in found.items() if not numbers]:
        raise DatasetError(f"{path}: its header lacks {', '.join(missing)}; expected: id, start, end, x, y")
    return tuple(numbers[0] for numbers in found.values())


def _find_repeated(hashes: NDArray[np.int64]) -> dict[int, int]:
    """The first of the same rows, for each row that repeats another."""
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(np.diff(hashes[order]) == 0) + 1
    repeated: dict[int, int] = {}
    for i in same:  # in order, so that a third one finds what the second repeats
        previous = int(order[i - 1])
        repeated[int(order[i])] = repeated.get(previous, previous)
    return repeated
