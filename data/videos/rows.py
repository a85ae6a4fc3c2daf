"""Lists of videos: what a row asks for, and reading AVSpeech's CSV a row at a time."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from data.clip import Attributes
from data.errors import DatasetError, MediaError

MAX_CLIP_SECONDS = 600.0
"""Rows that ask for more are refused; AVSpeech's clips last 3 to 10 seconds."""

_VIDEO_ID = re.compile(r"[A-Za-z0-9._~-]{1,80}")
_NAMES = {
    "id": ("id", "video id", "youtube id", "youtubeid", "yt id", "ytid"),
    "start": ("start", "start segment", "start time", "start seconds"),
    "end": ("end", "end segment", "end time", "end seconds"),
    "x": ("x", "x coordinate", "x center"),
    "y": ("y", "y coordinate", "y center"),
}
_LINES_PER_MARK = 64
_BLANK = b"\xef\xbb\xbf \t\r\n"  # with a byte order mark
_MAX_LINE_BYTES = 64 * 1024


@dataclass(frozen=True)
class VideoRow:
    """What one row of a list asks for.

    Attributes:
        index: Its place among the list's rows, from 0.
        video_id: Letters, digits and `. _ ~ -` only; may begin with dashes, never leaves a folder.
        clip_id: Unique within the list.
        identity: The person or channel where it is known, else the video's id.
        start: Second of the video at which the clip begins; None for the whole video, cut into clips.
        end: Second at which it ends.
        x: Centre of the speaker's face in the clip's first frame, relative to its width; None if not known.
        y: Relative to its height.
        attributes: What is known of the person.
        path: A local file, instead of a download.
    """

    index: int
    video_id: str
    clip_id: str
    identity: str
    start: float | None = None
    end: float | None = None
    x: float | None = None
    y: float | None = None
    attributes: Attributes = field(default_factory=Attributes)
    path: str | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that can't be used, and why."""

    index: int
    reason: str
    message: str


class RowList(Protocol):
    """A list of videos.

    Attributes:
        num_rows: Its length.
        sha256: Of its content: another hash, another list.
    """

    num_rows: int
    sha256: str

    def read(self, first: int, last: int) -> list[VideoRow | BadRow]:
        """Rows first (from 0) up to, not including, last."""
        ...


class MemoryRows:
    """A list that is short enough to be held."""

    def __init__(self, rows: Sequence[VideoRow | BadRow], sha256: str) -> None:
        """Take rows over; their indices must be their places."""
        assert [row.index for row in rows] == list(range(len(rows)))
        self._rows = list(rows)
        self.num_rows = len(rows)
        self.sha256 = sha256

    def read(self, first: int, last: int) -> list[VideoRow | BadRow]:
        """See `RowList`."""
        return self._rows[first:last]


class AvspeechRows:
    """AVSpeech's CSV: video id, start and end in seconds, x and y of the speaker's face; header or none.

    Only a mark every few lines and a hash a row are held, so that a list of millions takes megabytes.
    """

    def __init__(self, path: Path) -> None:
        """Go through the file once.

        Raises:
            DatasetError: If it can't be read, holds no row, or its header names other columns.
        """
        self._path = path
        self._order: tuple[int, ...] = tuple(range(len(_NAMES)))
        marks, hashes, digest = array("q"), array("q"), hashlib.sha256()
        try:
            with path.open("rb") as file:
                for line, position in _lines(file, 0):
                    digest.update(line)
                    if not line.strip(_BLANK):
                        continue
                    if not hashes and not marks and (order := _read_header(line, path)) is not None:
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

    def read(self, first: int, last: int) -> list[VideoRow | BadRow]:
        """See `RowList`."""
        first, last = max(0, first), min(last, self.num_rows)
        if first >= last:
            return []
        index = first // _LINES_PER_MARK * _LINES_PER_MARK
        rows: list[VideoRow | BadRow] = []
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

    def _parse(self, line: bytes, index: int) -> VideoRow | BadRow:
        if (earlier := self._repeated.get(index)) is not None:
            return BadRow(index, "duplicate-row", f"the same as row {earlier}")
        try:
            return parse_row(_cells(line), index, self._order)
        except MediaError as error:
            return BadRow(index, error.reason, str(error))

    def _hash(self, line: bytes, index: int) -> int:
        """Equal for rows that ask for the same clip."""
        try:
            return hash(parse_row(_cells(line), index, self._order).clip_id)
        except MediaError:
            return hash(line.strip())


def parse_row(cells: Sequence[str], index: int, order: Sequence[int] = range(5)) -> VideoRow:
    """A row of id, start, end, x, y.

    Args:
        cells: As they stand in the file; x and y may be empty.
        index: The row's place in the list.
        order: Where each of the five stands.

    Raises:
        MediaError: `bad-row`.
    """
    if len(cells) <= max(order):
        raise MediaError("bad-row", f"{len(cells)} columns, {max(order) + 1} expected: id, start, end, x, y")
    video_id, start_text, end_text, x_text, y_text = (cells[place].strip() for place in order)
    check_video_id(video_id)
    start, end = _number(start_text, "start"), _number(end_text, "end")
    check_span(start, end)
    x, y = (_number(text, name) if text else None for text, name in ((x_text, "x"), (y_text, "y")))
    for name, value in (("x", x), ("y", y)):
        if value is not None and not 0 <= value <= 1:
            raise MediaError("bad-row", f"{name} = {value:g}: a share of the picture between 0 and 1 expected")
    if (x is None) != (y is None):
        raise MediaError("bad-row", "x and y belong together: one of them is missing")
    place = "" if x is None else f"@{x:.4f},{y:.4f}"
    return VideoRow(index, video_id, f"{video_id}_{start:.3f}-{end:.3f}{place}", video_id, start, end, x, y)


def check_video_id(video_id: str) -> None:
    """Refuse ids that could leave a folder or are no ids at all.

    Raises:
        MediaError: `bad-row`.
    """
    if not _VIDEO_ID.fullmatch(video_id) or not video_id.strip("."):
        raise MediaError("bad-row", f"{video_id[:100]!a} is no video id: letters, digits and . _ ~ - expected")


def check_span(start: float, end: float) -> None:
    """Refuse spans that are none.

    Raises:
        MediaError: `bad-row`.
    """
    if start < 0 or end <= start:
        raise MediaError("bad-row", f"the clip from {start:g} to {end:g} s is none: 0 <= start < end expected")
    if end - start > MAX_CLIP_SECONDS:
        raise MediaError("bad-row", f"the clip lasts {end - start:g} s, at most {MAX_CLIP_SECONDS:g} allowed")


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MediaError("bad-row", f"{name} is {text[:40]!a}: a number expected")
    return value


def _lines(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int]]:
    """Lines from a position on, each with its own; one without an end, as in a file that is no CSV, comes in pieces."""
    file.seek(position)
    while line := file.readline(_MAX_LINE_BYTES):
        yield line, position
        position += len(line)


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", "replace").strip()
    if '"' not in text:
        return text.split(",")  # four times as fast, which is seconds for a list of millions
    try:
        return next(csv.reader([text]), [])
    except csv.Error as error:
        raise MediaError("bad-row", f"no line of a CSV file: {error}") from error


def _read_header(line: bytes, path: Path) -> tuple[int, ...] | None:
    """Where each column stands, by the first line; None if that is a row.

    Raises:
        DatasetError: If it is a header, but lacks a column.
    """
    try:
        cells = [cell.strip().lower().replace("_", " ") for cell in _cells(line)]
    except MediaError:
        return None
    if not any(name in cells for names in _NAMES.values() for name in names):
        return None
    places = {column: [cells.index(name) for name in names if name in cells] for column, names in _NAMES.items()}
    if missing := [column for column, found in places.items() if not found]:
        raise DatasetError(f"{path}: its header lacks {', '.join(missing)}; expected: id, start, end, x, y")
    return tuple(found[0] for found in places.values())


def _find_repeated(hashes: NDArray[np.int64]) -> dict[int, int]:
    """For each row that repeats another: the first of the same."""
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(np.diff(hashes[order]) == 0) + 1
    repeated: dict[int, int] = {}
    for place in same:  # in order, so that a third one finds what the second repeats
        previous = int(order[place - 1])
        repeated[int(order[place])] = repeated.get(previous, previous)
    return repeated
