"""Lists of videos other than AVSpeech's: a folder of files, and a CSV of channels in the manner of Wav2Pix."""

from __future__ import annotations

import collections
import csv
import hashlib
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from data.errors import DatasetError, MediaError
from data.sources.people import check_identity, parse_attributes, read_attributes
from data.store.clip import Attributes
from data.videos.plan.requests import BadRequest, MemoryRequests, VideoRequest, check_span, check_video_id

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")

_CHANNEL = ("channel", "identity", "name")
_VIDEO = ("video_id", "id", "video", "url")
_SITES = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com")
_MAX_NAME = 60  # of the 80 characters that an id may have


@dataclass(frozen=True)
class Listing:
    """What a list asks for.

    Attributes:
        rows: In the list's order.
        warnings: Lines about what of people could not be understood; it costs no row.
    """

    rows: MemoryRequests
    warnings: list[str]


def list_folder(root: Path, attributes: Path | None = None) -> Listing:
    """List the videos ROOT/* and ROOT/<identity>/*, sorted by name.

    Args:
        root: Who is in a file that lies in it directly is told by the file's stem.
        attributes: CSV as `data.sources.people.read_attributes` takes it. With a column `video` (paths below the root)
            it also tells who is in these files.

    Raises:
        DatasetError: If the root is no folder or holds no video, or the CSV can't be read.
    """
    known, unusable = read_attributes(attributes) if attributes else ({}, [])
    identities = _read_identities(attributes) if attributes else {}
    files = _find_videos(root)
    if not files:
        raise DatasetError(
            f"{root}: no video in it; expected ROOT/*{VIDEO_SUFFIXES[0]} or ROOT/<identity>/*{VIDEO_SUFFIXES[0]} "
            f"(or {', '.join(VIDEO_SUFFIXES[1:])})"
        )
    paths = [file.relative_to(root).as_posix() for file in files]
    warnings = [f"{failure.path}: {failure.message}" for failure in unusable]
    warnings += [f"{attributes}: no video {path} in {root}" for path in sorted(identities.keys() - set(paths))]
    rows: list[VideoRequest | BadRequest] = []
    digest = hashlib.sha256()
    for index, (file, path, video_id) in enumerate(zip(files, paths, _name(paths), strict=True)):
        identity = identities.get(path) or (file.parent.name if "/" in path else file.stem)
        people = known.get(identity, Attributes())
        content = f"{path}\t{file.stat().st_size}\t{identity}\t{people}\n"
        digest.update(content.encode("utf-8", "surrogateescape"))
        try:
            check_identity(identity)
        except MediaError as error:
            rows.append(BadRequest(index, error.reason, f"{str(file)!a}: {error}"))
            continue
        rows.append(VideoRequest(index, video_id, video_id, identity, attributes=people, path=str(file)))
    return Listing(MemoryRequests(rows, digest.hexdigest()), warnings)


def _find_videos(root: Path) -> list[Path]:
    try:
        folders = [root, *sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != ".")]
        entries = [entry for folder in folders for entry in sorted(folder.iterdir())]
    except OSError as error:
        raise DatasetError(f"{root}: {error.strerror or error}; expected a folder of videos") from error
    # A pipe that calls itself a video would be waited for without end.
    return [e for e in entries if e.suffix.lower() in VIDEO_SUFFIXES and e.name[0] != "." and e.is_file()]


def _name(paths: list[str]) -> list[str]:
    """An id for each path, readable where the path allows it and unique always."""
    plain = [str(Path(path).with_suffix("")).replace("/", "~") for path in paths]
    counts = collections.Counter(plain)
    return [
        name if counts[name] == 1 and _is_id(name) else _distinct(name, path)
        for name, path in zip(plain, paths, strict=True)
    ]


def _is_id(name: str) -> bool:
    try:
        check_video_id(name)
    except MediaError:
        return False
    return True


def _distinct(name: str, path: str) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9._~-]+", "-", name)[:_MAX_NAME]
    return f"{cleaned}~{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def _read_identities(attributes: Path) -> dict[str, str]:
    """Who is in which video, by its path below the root."""
    with attributes.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        return {row["video"]: row["identity"] for row in reader if row.get("video") and row.get("identity")}


def read_channels(path: Path) -> Listing:
    """Read a CSV of videos by channel.

    Its header names a column `channel` (or `identity`, `name`), which counts as the person, one of `video_id`, `id`,
    `video` or `url` (an id, or a YouTube address that holds it), and any of `start`, `end` (seconds), `sex` (or
    `gender`), `age`, `nationality`.

    Raises:
        DatasetError: If the file can't be read, a column is missing, or it holds no row.
    """
    rows: list[VideoRequest | BadRequest] = []
    warnings: list[str] = []
    seen: dict[str, int] = {}
    try:
        content = path.read_bytes()
        with io.StringIO(content.decode("utf-8-sig"), newline="") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            channel, video = _column(path, reader.fieldnames, _CHANNEL), _column(path, reader.fieldnames, _VIDEO)
            for index, cells in enumerate(reader):
                where = f"{path}: line {reader.line_num}"
                try:
                    row = _parse_row(index, cells, channel, video)
                except MediaError as error:
                    rows.append(BadRequest(index, error.reason, f"{where}: {error}"))
                    continue
                if (first := seen.setdefault(row.clip_id, reader.line_num)) != reader.line_num:
                    rows.append(BadRequest(index, "duplicate-row", f"{where}: the same as line {first}"))
                    continue
                rows.append(row)
                warnings += [f"{where}: {problem}" for problem in parse_attributes(cells)[1]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: can't be read as a CSV file: {error}") from error
    if not rows:
        raise DatasetError(f"{path}: holds no row below its header")
    return Listing(MemoryRequests(rows, hashlib.sha256(content).hexdigest()), warnings)


def _column(path: Path, header: Iterable[str], names: tuple[str, ...]) -> str:
    """The first of the names that the header has."""
    present = set(header)
    for name in names:
        if name in present:
            return name
    raise DatasetError(f"{path}: no column {' or '.join(names)} in its header")


def _parse_row(index: int, cells: Mapping[str, str | None], channel: str, video: str) -> VideoRequest:
    """One row.

    Raises:
        MediaError: `bad-row` or `unsafe-identity`.
    """
    identity = (cells[channel] or "").strip()
    check_identity(identity)
    video_id = find_video_id((cells[video] or "").strip())
    start, end = _parse_span(cells.get("start"), cells.get("end"))
    clip_id = video_id if start is None else f"{video_id}_{start:.3f}-{end:.3f}"
    return VideoRequest(index, video_id, clip_id, identity, start, end, attributes=parse_attributes(cells)[0])


def _parse_span(start_text: str | None, end_text: str | None) -> tuple[float, float] | tuple[None, None]:
    texts = [(text or "").strip() for text in (start_text, end_text)]
    if not any(texts):
        return None, None
    try:
        start, end = (float(text) for text in texts)
    except ValueError:
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end)):
        raise MediaError("bad-row", f"start {texts[0]!a} and end {texts[1]!a}: seconds expected, or neither")
    check_span(start, end)
    return start, end


def find_video_id(text: str) -> str:
    """The video's id out of an id or an address such as `https://youtu.be/-1nRm4tQL0A?t=5`.

    Raises:
        MediaError: `bad-row`, if it is neither.
    """
    if "/" in text:
        try:
            video_id = _id_in_address(text)
        except ValueError:  # such as brackets that are no IPv6 address
            video_id = None
        if video_id is None:
            raise MediaError("bad-row", f"{text[:200]!a} is no video of YouTube; of another site give the id alone")
        text = video_id
    check_video_id(text)
    return text


def _id_in_address(text: str) -> str | None:
    parts = urlsplit(text if "//" in text else f"https://{text}")
    place = parts.path.strip("/").split("/")
    if parts.hostname in _SITES and place == ["watch"]:
        return parse_qs(parts.query).get("v", [""])[0]
    if parts.hostname in _SITES and len(place) == 2 and place[0] in ("embed", "live", "shorts", "v"):
        return place[1]
    return place[0] if parts.hostname == "youtu.be" and len(place) == 1 else None
