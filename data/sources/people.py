"""People, their files and what is known of them, before they become clips."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from data.errors import DatasetError, MediaError
from data.store.clip import Attributes

_SEXES: dict[str, Literal["female", "male"]] = {
    "f": "female",
    "female": "female",
    "m": "male",
    "male": "male",
}


_MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class Failure:
    """One file, row or person that could not be used.

    Attributes:
        path: The file as the user named its root, or the CSV file.
        identity: Whose it is.
        reason: A short slug, see `MediaError.reason`.
        message: What was wrong, in one line.
    """

    path: str
    identity: str
    reason: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """The row as it stands in failures.jsonl."""
        return asdict(self)


@dataclass(frozen=True)
class Person:
    """The files of one identity.

    Attributes:
        identity: The name.
        voices: Recordings, sorted.
        faces: Pictures, sorted.
        attributes: What is known.
        videos: Ids of the videos that the recordings were taken from, one for each, or none.
    """

    identity: str
    voices: tuple[Path, ...]
    faces: tuple[Path, ...]
    attributes: Attributes
    videos: tuple[str, ...] = ()


def check_identity(name: str) -> None:
    """Refuse names that could leave a folder, confuse a terminal or not be written to a file.

    Raises:
        MediaError: `unsafe-identity`.
    """
    problem = ""
    if not name.strip() or name != name.strip():
        problem = "is empty or begins or ends with a space"
    elif name.startswith(".") or "/" in name or "\\" in name:
        problem = "begins with a dot or holds a path separator"
    elif any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        problem = "holds control characters or is not valid text"
    elif len(name.encode()) > _MAX_NAME_BYTES:
        problem = f"is longer than {_MAX_NAME_BYTES} bytes"
    if problem:
        raise MediaError("unsafe-identity", f"the identity {name!a} {problem}; rename it")


def read_attributes(path: Path) -> tuple[dict[str, Attributes], list[Failure]]:
    """Read what is known of people: a CSV with a header, `identity` and any of sex (or gender), age,
    nationality.

    Returns:
        Attributes by identity, and a failure for each row or value that can't be used.

    Raises:
        DatasetError: If the file can't be read or has no column `identity`.
    """
    known: dict[str, Attributes] = {}
    failures: list[Failure] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "identity" not in (reader.fieldnames or ()):
                raise DatasetError(f"{path}: no column 'identity' in its header")
            for row in reader:
                identity = row["identity"] or ""
                try:
                    check_identity(identity)
                except MediaError as error:
                    message = f"line {reader.line_num}: {error}"
                    failures.append(Failure(str(path), ascii(identity)[1:-1], error.reason, message))
                    continue
                attributes, problems = parse_attributes(row)
                known[identity] = complete(known.get(identity, Attributes()), attributes)
                for problem in problems:
                    message = f"line {reader.line_num}: {problem}"
                    failures.append(Failure(str(path), identity, "bad-attribute", message))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: can't be read as a CSV file: {error}") from error
    return known, failures


def complete(first: Attributes, second: Attributes) -> Attributes:
    """What two sources say of a person; what the first says stays."""
    return Attributes(
        sex=first.sex or second.sex,
        age=second.age if first.age is None else first.age,
        nationality=first.nationality or second.nationality,
    )


def parse_attributes(row: Mapping[str, str | None]) -> tuple[Attributes, list[str]]:
    """What a CSV's row says of a person, and what in it can't be understood and counts as unknown."""
    sex = (row.get("sex") or row.get("gender") or "").strip().lower()
    age_text = (row.get("age") or "").strip()
    age = _parse_age(age_text)
    problems = []
    if sex and sex not in _SEXES:
        problems.append(f"sex '{sex}': use female, male, f, m, or leave it empty")
    if age_text and age is None:
        problems.append(f"age '{age_text}': years such as 34, or a band such as 20-39 or >=60, expected")
    return Attributes(_SEXES.get(sex), age, (row.get("nationality") or "").strip() or None), problems


def _parse_age(text: str) -> float | None:
    """Years; a band "20-39" counts as its middle, an open one ">=60" as its bound; None if it is neither."""
    match = re.fullmatch(r"(?:>=?\s*)?(\d+(?:\.\d+)?)(?:\s*-\s*(\d+(?:\.\d+)?))?\+?", text)
    if match is None:
        return None
    low, high = match[1], match[2]
    age = (float(low) + float(high) + 1) / 2 if high else float(low)
    return age if age <= 130 else None
