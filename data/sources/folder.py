"""The folder source: ROOT/<identity>/{voices,faces}/*, and what is known of the people in a CSV beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.errors import DatasetError, MediaError
from data.sources.people import Failure, Person, check_identity
from data.store.clip import Attributes


def scan_folder(
    root: Path, extra_faces: Iterable[Path] = (), attributes: dict[str, Attributes] | None = None
) -> tuple[list[Person], list[Failure]]:
    """List who is in a folder.

    Args:
        root: Holds one folder a person with `voices/` and `faces/`, either of which may be missing.
        extra_faces: More such roots; there pictures may also lie in the person's folder itself.
        attributes: What is known of people, by identity.

    Returns:
        People sorted by identity, and a failure for each folder that is no person.

    Raises:
        DatasetError: If a root is no folder or holds nobody.
    """
    voices: dict[str, list[Path]] = {}
    faces: dict[str, list[Path]] = {}
    failures: list[Failure] = []
    for folder, is_extra in [(root, False), *((extra, True) for extra in extra_faces)]:
        for person in _people_folders(folder):
            identity = person.name
            try:
                check_identity(identity)
            except MediaError as error:
                failures.append(
                    Failure(
                        str(person).encode("utf-8", "replace").decode(),
                        ascii(identity),
                        error.reason,
                        str(error),
                    )
                )
                continue
            own_voices, own_faces = _files(person / "voices"), _files(person / "faces")
            if is_extra:
                own_faces += _files(person)
            if not own_voices and not own_faces:
                message = "the folder holds no file under voices/ or faces/"
                failures.append(Failure(str(person), identity, "empty-identity", message))
                continue
            voices.setdefault(identity, []).extend(own_voices)
            faces.setdefault(identity, []).extend(own_faces)
    if not voices and not failures:
        raise DatasetError(f"{root}: no folder of a person in it; expected ROOT/<identity>/{{voices,faces}}/*")
    known = attributes or {}
    people = [
        Person(identity, tuple(voices[identity]), tuple(faces[identity]), known.get(identity, Attributes()))
        for identity in sorted(voices)
    ]
    return people, failures


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
