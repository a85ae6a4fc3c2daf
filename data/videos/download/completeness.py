"""Whether a downloaded file is a video and all of it is there, without decoding it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from data.errors import MediaError
from data.media.decoding import open_media

_ORIGIN = "wav2face: second 0 lies at "  # comment in the sections that `remote` cuts
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
_LONGEST_HEADER = 1 << 12


def origin_comment(origin: float) -> str:
    """The comment by which a section's file says where the video begins.

    Args:
        origin: Second of the file's clock that is the video's second 0.
    """
    return f"{_ORIGIN}{origin!r}"


def check_source(path: Path) -> float | None:
    """Refuse what is no video, or less than its container says there is.

    Returns:
        Second of a section's clock that is the video's second 0; None for a whole video, which begins at its first
        time stamp.

    Raises:
        MediaError: `not-a-video` or `truncated`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        is_mp4, is_matroska = head[4:] == b"ftyp", head[:4] == _EBML
        declared = _mp4_size(file, size) if is_mp4 else _matroska_size(file) if is_matroska else None
    if declared is not None and declared > size:
        raise MediaError("truncated", f"only {size} of {declared} bytes are there")
    try:
        with open_media(path) as container:
            if not (container.streams.video or container.streams.audio):
                raise MediaError("not-a-video", "neither pictures nor sound in it")
            _, marker, origin = container.metadata.get("comment", "").partition(_ORIGIN)
            return float(origin) if marker else None
    except MediaError as error:
        if error.reason not in ("unreadable", "empty"):
            raise
        if is_mp4 or is_matroska:
            raise MediaError("truncated", "its index is missing or damaged") from error
        raise MediaError("not-a-video", "no audio or video that FFmpeg can read") from error


def _mp4_size(file: BinaryIO, size: int) -> int:
    """Where the last of an MP4 file's boxes would end."""
    end = 0
    while end < size:
        file.seek(end)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # a long box has its length behind its name
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # reaches to the end, wherever that is
            return size
        if length < 8:
            return size  # no box: FFmpeg may know better
        end += length
    return end


def _matroska_size(file: BinaryIO) -> int | None:
    """Where a Matroska or WebM file's segment would end; None if it does not say."""
    file.seek(0)
    header = file.read(_LONGEST_HEADER)
    place = len(_EBML)
    length, place = _read_vint(header, place)
    if length is None:
        return None
    place += length
    if header[place : place + 4] != _SEGMENT:
        return None
    length, place = _read_vint(header, place + 4)
    return None if length is None else place + length


def _read_vint(data: bytes, place: int) -> tuple[int | None, int]:
    """A number of EBML and the place behind it; None if it is unknown or not there."""
    if place >= len(data) or data[place] == 0:
        return None, place
    num_bytes = 9 - data[place].bit_length()
    mask = (1 << 7 * num_bytes) - 1
    value = int.from_bytes(data[place : place + num_bytes], "big") & mask
    return (None if value == mask else value), place + num_bytes
