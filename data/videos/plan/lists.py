"""Lists of videos other than AVSpeech's: a folder of files, and a CSV file of channels in the manner of Wav2Pix."""

from __future__ import annotations

import collections
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from data.errors import DatasetError, MediaError
from data.sources.people import (
    ATTRIBUTE_COLUMNS,
    KnownPeople,
    check_identity,
    parse_attributes,
    read_attributes,
    tell_left_out,
)
from data.sources.tables import read_table
from data.store.clip import Attributes
from data.store.split import normalise_identity
from data.videos.plan.requests import BadRequest, MemoryRequests, VideoRequest, check_span, check_video_id

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2t", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv",
})
# fmt: on
"""Files of a folder that are taken for videos, in any case of letters."""

_CHANNEL = ("channel", "identity", "name")
_VIDEO = ("video_id", "id", "video", "url")
_SITES = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com")
_MAX_NAME = 60  # of the 80 characters that an id may have


@dataclass(frozen=True)
class Listing:
    """The requests of a list.

    Attributes:
        requests: Requests in the list's order.
        warnings: Lines about what was left out or could not be read, although no request failed for it.
    """

    requests: MemoryRequests
    warnings: list[str]


def list_folder(root: Path, attributes: Path | None = None) -> Listing:
    """List the videos ROOT/* and ROOT/<identity>/*, sorted by name.

    Args:
        root: Folder of videos. A file that lies in it directly has its stem as identity.
        attributes: Table as `data.sources.people.read_attributes` takes it. Its column `video` (paths below the root)
            names the identity of these files.

    Raises:
        DatasetError: If the root is no folder or holds no video, or the table can't be read.
    """
    known = read_attributes(attributes) if attributes else KnownPeople()
    identity_of = {normalise_identity(path): identity for path, identity in known.identities.items()}
    files, warnings = _find_videos(root, attributes)
    if not files:
        raise DatasetError(
            f"{root}: no video in it; expected ROOT/*.mp4 or ROOT/<identity>/*.mp4, or any of "
            f"{' '.join(sorted(VIDEO_SUFFIXES))}" + "".join(f"; {warning}" for warning in warnings)
        )
    paths = [file.relative_to(root).as_posix() for file in files]
    names = {path: normalise_identity(path) for path in paths}
    warnings += known.warnings + [f"{failure.path}: {failure.message}" for failure in known.failures]
    warnings += [f"{attributes}: no video {path} in {root}" for path in sorted(identity_of.keys() - names.values())]
    requests: list[VideoRequest | BadRequest] = []
    digest = hashlib.sha256()
    identities = set()
    for index, (file, path, video_id) in enumerate(zip(files, paths, _make_ids(paths), strict=True)):
        own = Path(names[path])
        identity = identity_of.get(names[path]) or (own.parent.name if "/" in path else own.stem)
        person = known.attributes.get(identity, Attributes())
        content = f"{path}\t{file.stat().st_size}\t{identity}\t{person}\n"
        digest.update(content.encode("utf-8", "surrogateescape"))
        identities.add(identity)
        try:
            check_identity(identity)
        except MediaError as error:
            requests.append(BadRequest(index, error.reason, f"{str(file)!a}: {error}"))
            continue
        requests.append(VideoRequest(index, video_id, video_id, identity, attributes=person, path=str(file)))
    warnings += known.tell_unmatched(identities.union(identity_of.values()))
    return Listing(MemoryRequests(requests, digest.hexdigest()), warnings)


def _find_videos(root: Path, table: Path | None) -> tuple[list[Path], list[str]]:
    """Videos in a folder and in its folders, and lines about what is left out."""
    try:
        folders = [root, *sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != ".")]
        entries = [entry for folder in folders for entry in sorted(folder.iterdir())]
    except OSError as error:
        raise DatasetError(f"{root}: {error.strerror or error}; expected a folder of videos") from error
    videos, hidden, deeper, others = [], [], [], []
    for entry in entries:
        name = entry.relative_to(root).as_posix()
        if entry.name[0] == ".":
            hidden.append(name)
        elif entry.is_dir():
            if entry.parent != root:
                deeper.append(f"{name}/")
        elif entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file():  # a pipe would be waited for without end
            videos.append(entry)
        elif entry != table:
            others.append(name)
    return videos, [
        *tell_left_out(root, "files and folders that begin with a dot", hidden),
        *tell_left_out(root, "folders in the folder of a person", deeper),
        *tell_left_out(root, "files that have no suffix of a video", others),
    ]


def _make_ids(paths: list[str]) -> list[str]:
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


def read_channels(path: Path) -> Listing:
    """Read a table of videos by channel, in any form that `read_table` takes.

    Its header names a column `channel` (or `identity`, `name`), which counts as the person, one of `video_id`, `id`,
    `video` or `url` (an id, or a YouTube address that holds it), and any of `start`, `end` (seconds), `sex` (or
    `gender`), `age`, `nationality`.

    Raises:
        DatasetError: If the file can't be read, a column is missing, or it holds no row.
    """
    table = read_table(path)
    channel, video = table.find_column(*_CHANNEL), table.find_column(*_VIDEO)
    requests: list[VideoRequest | BadRequest] = []
    warnings = table.tell_unused((channel, video, "start", "end", *ATTRIBUTE_COLUMNS))
    first_lines: dict[str, int] = {}
    for index, row in enumerate(table.rows):
        where = f"{path}: line {row.line}"
        try:
            request = _parse_row(index, row.cells, channel, video)
        except MediaError as error:
            requests.append(BadRequest(index, error.reason, f"{where}: {error}"))
            continue
        if (first := first_lines.setdefault(request.clip_id, row.line)) != row.line:
            requests.append(BadRequest(index, "duplicate-row", f"{where}: the same as line {first}"))
            continue
        requests.append(request)
        warnings += [f"{where}: {problem}" for problem in parse_attributes(row.cells)[1]]
    if not requests:
        raise DatasetError(f"{path}: holds no row below its header")
    return Listing(MemoryRequests(requests, hashlib.sha256(table.content).hexdigest()), warnings)


def _parse_row(index: int, cells: Mapping[str, str], channel: str, video: str) -> VideoRequest:
    """The request of one row.

    Raises:
        MediaError: `bad-row` or `unsafe-identity`.
    """
    identity = normalise_identity(cells.get(channel, ""))
    check_identity(identity)
    video_id = find_video_id(cells.get(video, ""))
    start, end = _parse_span(cells.get("start", ""), cells.get("end", ""))
    clip_id = video_id if start is None else f"{video_id}_{start:.3f}-{end:.3f}"
    return VideoRequest(index, video_id, clip_id, identity, start, end, attributes=parse_attributes(cells)[0])


def _parse_span(*texts: str) -> tuple[float, float] | tuple[None, None]:
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
    folders = parts.path.strip("/").split("/")
    if parts.hostname in _SITES and folders == ["watch"]:
        return parse_qs(parts.query).get("v", [""])[0]
    if parts.hostname in _SITES and len(folders) == 2 and folders[0] in ("embed", "live", "shorts", "v"):
        return folders[1]
    return folders[0] if parts.hostname == "youtu.be" and len(folders) == 1 else None
