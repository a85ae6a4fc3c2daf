"""VoxCeleb: recordings by id from its folders, faces by name from VGGFace-like ones, joined by the meta CSVs."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from data.errors import DatasetError, Reason
from data.sources.people import Failure, Person, complete, parse_attributes, tell_left_out
from data.sources.tables import read_table
from data.store.clip import Attributes
from data.store.split import normalise_identity

Item = TypeVar("Item")

_ID = re.compile(r"id\d{5}")
_VOICE_SUFFIXES = frozenset({".wav", ".m4a", ".aac", ".flac", ".mp3", ".ogg", ".opus"})
_FACE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_MAX_DEPTH = 6  # of folders of people under a root, such as ROOT/vox2/dev/aac/id00012


@dataclass(frozen=True)
class Celebrity:
    """A person as the meta CSVs describe them.

    Attributes:
        identity: VoxCeleb's id.
        names: Other names of their folders of faces: VGGFace's name, VGGFace2's id.
        attributes: Sex and nationality, where they are given.
    """

    identity: str
    names: tuple[str, ...]
    attributes: Attributes


@dataclass(frozen=True)
class Joined:
    """VoxCeleb with faces.

    Attributes:
        people: Those who have both sides, or any side if that was asked for; sorted by identity.
        failures: One for each person and folder that was left out.
        unjoined: Names of those left out, by reason.
        warnings: Lines about files that are not read, and roots without a face.
        num_absent: Number of people of the meta CSVs who have neither side here.
    """

    people: list[Person]
    failures: list[Failure]
    unjoined: dict[Reason, list[str]]
    warnings: list[str]
    num_absent: int


_Voices = dict[tuple[str, str], Path]
"""Recordings of a person by video and name: the same in two roots counts once."""


def read_meta(paths: Sequence[Path]) -> tuple[dict[str, Celebrity], list[Failure]]:
    """Read vox1_meta.csv, vox2_meta.csv, or others with their columns, in any form that `read_table` takes.

    Returns:
        People by VoxCeleb's id, and a failure for each row or value that can't be used.

    Raises:
        DatasetError: If a file can't be read, or has no column of VoxCeleb ids.
    """
    people: dict[str, Celebrity] = {}
    failures: list[Failure] = []
    for path in paths:
        table = read_table(path)
        if not any(map(_is_id_column, table.columns)):
            raise DatasetError(
                f"{path}: no column 'VoxCeleb1 ID' or 'VoxCeleb2 ID' in its first line; the official vox1_meta.csv and "
                "vox2_meta.csv are expected"
            )
        for line, row in ((row.line, row.cells) for row in table.rows):
            identity = next((value for key, value in row.items() if _is_id_column(key)), "")
            if not _ID.fullmatch(identity):
                message = f"line {line}: '{identity}' is no VoxCeleb id such as id10001"
                failures.append(Failure(str(path), identity, "bad-row", message))
                continue
            attributes, problems = parse_attributes(row)
            names = [value for key, value in row.items() if value and (key.startswith("vggface") or key == "name")]
            before = people.get(identity, Celebrity(identity, (), Attributes()))
            people[identity] = Celebrity(
                identity,
                tuple(dict.fromkeys([*before.names, *names])),
                complete(before.attributes, attributes),
            )
            failures += [Failure(str(path), identity, "bad-attribute", f"line {line}: {text}") for text in problems]
    return people, failures


def _is_id_column(key: str) -> bool:
    return re.fullmatch(r"voxceleb_?\d?_?id", key) is not None


def join_voxceleb(
    roots: Sequence[Path],
    face_roots: Sequence[Path],
    meta: dict[str, Celebrity],
    max_voices: int | None = None,
    max_faces: int | None = None,
    *,
    keep_all: bool = False,
) -> Joined:
    """Join recordings and faces of the same people.

    Args:
        roots: VoxCeleb1 or 2: folders id00012/<video>/<number>.wav (or .m4a ...), at any reasonable depth.
        face_roots: Folders of faces, named by VGGFace's name, VGGFace2's id or VoxCeleb's id, at any reasonable depth.
        meta: As from `read_meta`.
        max_voices: Recordings taken of a person, evenly over their videos; None for all.
        max_faces: Pictures taken of a person, evenly; None for all.
        keep_all: Keep people who lack a side, too.

    Raises:
        DatasetError: If a root can't be read, or no recording is in any.
    """
    files = _Files()
    voices = _find_voices(roots, files)
    if not voices:
        raise DatasetError(
            f"{', '.join(map(str, roots))}: no recording in it; expected folders such as wav/id10001/<video>/00001.wav"
        )
    faces, strangers = _find_faces(face_roots, meta, files)
    warnings = files.tell()
    warnings += [
        f"{root}: no folder with the faces of anybody in it"
        for root in face_roots
        if not any(path.is_relative_to(root) for own in faces.values() for path in own)
    ]
    people: list[Person] = []
    failures: list[Failure] = []
    unjoined: dict[Reason, list[str]] = {}

    def leave_out(path: Path, identity: str, reason: Reason, message: str) -> None:
        failures.append(Failure(str(path), identity, reason, message))
        unjoined.setdefault(reason, []).append(identity)

    for identity in sorted(voices.keys() | faces.keys()):
        own_voices = spread(sorted(voices.get(identity, {}).items()), max_voices)
        own_faces = spread(sorted(faces.get(identity, [])), max_faces)
        if not keep_all and not own_faces:
            known = f"known as {', '.join(meta[identity].names)}" if identity in meta else "and not in the meta CSVs"
            leave_out(own_voices[0][1].parent, identity, "no-faces", f"{identity}: no folder of faces, {known}")
        elif not keep_all and not own_voices:
            leave_out(own_faces[0].parent, identity, "no-voices", f"{identity}: faces without a recording")
        else:
            people.append(
                Person(
                    identity,
                    voices=tuple(path for _, path in own_voices),
                    faces=tuple(own_faces),
                    attributes=meta[identity].attributes if identity in meta else Attributes(),
                    videos=tuple(video for (video, _), _ in own_voices),
                )
            )
    for folder in strangers:
        message = "no one in the meta CSVs has this name" if meta else "no meta CSV says whose faces these are: --meta"
        leave_out(folder, folder.name, "unknown-name", f"{folder}: {message}")
    return Joined(people, failures, unjoined, warnings, len(meta.keys() - voices.keys() - faces.keys()))


def spread(items: Sequence[Item], most: int | None) -> list[Item]:
    """At most `most` of the items, evenly spaced; all if it is None."""
    num = len(items) if most is None else min(most, len(items))
    return [items[i * len(items) // num] for i in range(num)]


def _find_voices(roots: Sequence[Path], files: _Files) -> dict[str, _Voices]:
    """Recordings by VoxCeleb's id."""
    found: dict[str, _Voices] = {}
    for root in roots:
        for folder in _walk(root, lambda folder: _ID.fullmatch(folder.name) is not None):
            for path in files.find(root, folder, _VOICE_SUFFIXES):
                video = path.relative_to(folder).parts[0] if path.parent != folder else ""
                found.setdefault(folder.name, {}).setdefault((video, path.stem), path)
    return found


def _find_faces(
    roots: Sequence[Path], meta: dict[str, Celebrity], files: _Files
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Photographs by VoxCeleb's id, and folders with photographs of nobody who is known."""
    identity_of = {_plain(name): person.identity for person in meta.values() for name in person.names}

    def whose(folder: Path) -> str | None:
        if _ID.fullmatch(folder.name):
            return folder.name
        return identity_of.get(_plain(folder.name))

    found: dict[str, list[Path]] = {}
    strangers: list[Path] = []
    for root in roots:
        for folder in _walk(root, lambda folder: whose(folder) is not None, strangers):
            identity = whose(folder)
            if identity is not None and (own := files.find(root, folder, _FACE_SUFFIXES)):
                found.setdefault(identity, []).extend(own)
    return found, strangers


def _walk(root: Path, is_wanted: Callable[[Path], bool], others: list[Path] | None = None) -> Iterator[Path]:
    """Wanted folders, whose own folders are not looked into; others that hold photographs are added to `others`."""
    level = [root]
    for _ in range(_MAX_DEPTH):
        deeper = []
        for folder in level:
            try:
                entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
            except OSError as error:
                raise DatasetError(f"{folder}: {error.strerror or error}") from error
            if others is not None and any(entry.suffix.lower() in _FACE_SUFFIXES for entry in entries):
                others.append(folder)
            for entry in entries:
                if entry.is_dir():
                    if is_wanted(entry):
                        yield entry
                    else:
                        deeper.append(entry)
        level = deeper


class _Files:
    """Lists of files by suffix, and the files that were left out of them, by root."""

    def __init__(self) -> None:
        self._hidden: dict[Path, list[str]] = collections.defaultdict(list)
        self._others: dict[Path, list[str]] = collections.defaultdict(list)

    def find(self, root: Path, folder: Path, suffixes: frozenset[str]) -> list[Path]:
        """Files below a folder of a root, sorted; a broken link is listed and becomes a failure, a pipe is not."""
        found = []
        for path in folder.rglob("*"):
            if not (path.is_file() or not path.exists()):
                continue
            if path.name.startswith("."):
                self._hidden[root].append(str(path.relative_to(root)))
            elif path.suffix.lower() in suffixes:
                found.append(path)
            else:
                self._others[root].append(str(path.relative_to(root)))
        return sorted(found)

    def tell(self) -> list[str]:
        """Lines about the files that were left out."""
        lines = []
        for root, names in self._hidden.items():
            lines += tell_left_out(root, "files that begin with a dot", names)
        for root, names in self._others.items():
            lines += tell_left_out(root, "files of other suffixes", names)
        return lines


def _plain(name: str) -> str:
    """A name in the form by which names are compared: whatever its case, spaces, underscores, dashes, Unicode form."""
    return re.sub(r"[\s_-]+", "_", normalise_identity(name).strip().lower())
