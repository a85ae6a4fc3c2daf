"""The folder source: ROOT/<identity>/{voices,faces}/*, and what a CSV file says of the people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import DatasetError, MediaError
from data.sources.people import Failure, KnownPeople, Person, check_identity, tell_left_out
from data.store.clip import Attributes
from data.store.split import normalise_identity

_FOLDERS = ("voices", "faces")


@dataclass
class Scan:
    """Who is in a folder.

    Attributes:
        people: Sorted by identity.
        failures: One for each folder that is no person.
        warnings: Lines about files and names that are left out.
    """

    people: list[Person] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def scan_folder(root: Path, extra_faces: Iterable[Path] = (), known: KnownPeople | None = None) -> Scan:
    """List who is in a folder.

    Args:
        root: Holds one folder a person with `voices/` and `faces/`, either of which may be missing.
        extra_faces: More such roots; there photographs may also lie in the person's folder itself.
        known: Facts of a CSV file about the people.

    Raises:
        DatasetError: If a root is no folder or holds nobody.
    """
    known = known or KnownPeople()
    voices: dict[str, list[Path]] = {}
    faces: dict[str, list[Path]] = {}
    scan = Scan(warnings=[*known.warnings])
    for folder, is_extra in [(root, False), *((extra, True) for extra in extra_faces)]:
        before, here = set(voices), set()
        for person in _people_folders(folder):
            identity = normalise_identity(person.name)
            try:
                check_identity(identity)
            except MediaError as error:
                path = str(person).encode("utf-8", "replace").decode()
                scan.failures.append(Failure(path, ascii(identity), error.reason, str(error)))
                continue
            own_voices, own_faces = _files(person / "voices"), _files(person / "faces")
            if is_extra:
                own_faces += _files(person)
            if not own_voices and not own_faces:
                message = "the folder holds no file under voices/ or faces/"
                scan.failures.append(Failure(str(person), identity, "empty-identity", message))
                continue
            here.add(identity)
            voices.setdefault(identity, []).extend(own_voices)
            faces.setdefault(identity, []).extend(own_faces)
        if is_extra and not here & before:
            scan.warnings.append(
                f"{folder}: none of its {len(here)} people with faces has a folder of this name before"
            )
        scan.warnings += _tell_ignored(folder, known.path, is_extra)
    if not voices and not scan.failures:
        raise DatasetError(f"{root}: no folder of a person in it; expected ROOT/<identity>/{{voices,faces}}/*")
    scan.warnings += known.tell_unmatched(voices)
    scan.people += [
        Person(identity, tuple(voices[identity]), tuple(faces[identity]), known.attributes.get(identity, Attributes()))
        for identity in sorted(voices)
    ]
    return scan


def _people_folders(root: Path) -> list[Path]:
    try:
        entries = sorted(root.iterdir())
        # Tools leave hidden folders behind; two dots are a person's name gone wrong and get reported.
        return [e for e in entries if e.is_dir() and (not e.name.startswith(".") or e.name.startswith(".."))]
    except OSError as error:
        raise DatasetError(f"{root}: {error.strerror or error}; expected a folder ROOT/<identity>/...") from error


def _files(folder: Path) -> list[Path]:
    """The regular files of a folder that are not hidden, sorted by name; none if there is no such folder."""
    if not folder.is_dir():
        return []
    # A pipe or a device would be waited for without end; a broken link is listed and becomes a failure.
    entries = [entry for entry in folder.iterdir() if entry.is_file() or not entry.exists()]
    return sorted(entry for entry in entries if not entry.name.startswith("."))


def _tell_ignored(root: Path, table: Path | None, is_extra: bool) -> list[str]:
    """Lines about files and folders that are not read: hidden ones, and those in other places than a person's."""
    hidden, elsewhere = [], []
    people = _people_folders(root)
    places = [person / name for person in people for name in _FOLDERS if (person / name).is_dir()]
    for folder in (root, *people, *places):
        for entry in folder.iterdir():
            name = entry.relative_to(root).as_posix()
            if entry.name.startswith(".") and entry not in people:
                hidden.append(name)
            elif entry.is_dir():
                if entry not in people and entry not in places:
                    elsewhere.append(name + "/")
            elif (folder == root and entry != table) or (folder in people and not is_extra):
                elsewhere.append(name)
    return [
        *tell_left_out(root, "files and folders that begin with a dot", hidden),
        *tell_left_out(root, "files and folders that lie neither in voices/ nor in faces/ of a person", elsewhere),
    ]
