"""People, their files and what is known of them, before they become clips."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from data.errors import MediaError, Reason
from data.sources.tables import read_table
from data.store.clip import Attributes
from data.store.split import normalise_identity

ATTRIBUTE_COLUMNS = ("sex", "gender", "age", "nationality")

_SEXES: dict[str, Literal["female", "male"]] = {
    "f": "female",
    "female": "female",
    "m": "male",
    "male": "male",
}


_MAX_NAME_BYTES = 200
_SHOWN = 5  # names in a warning


@dataclass(frozen=True)
class Failure:
    """One file, row or person that can't be used.

    Attributes:
        path: The file as the user named its root, or the CSV file.
        identity: Identity that it belongs to.
        reason: A short slug, see `data.errors.Reason`.
        message: What is wrong, in one line.
    """

    path: str
    identity: str
    reason: Reason
    message: str

    def as_dict(self) -> dict[str, str]:
        """The line as it stands in failures.jsonl."""
        return asdict(self)


@dataclass(frozen=True)
class Person:
    """The files of one identity.

    Attributes:
        identity: The name, in Unicode's form NFC.
        voices: Recordings, sorted.
        faces: Photographs, sorted.
        attributes: Facts known of the person.
        videos: Ids of the videos that the recordings were taken from, one for each, or none.
    """

    identity: str
    voices: tuple[Path, ...]
    faces: tuple[Path, ...]
    attributes: Attributes
    videos: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownPeople:
    """What a CSV file says of people.

    Attributes:
        attributes: Sex, age and nationality, by identity.
        identities: Who is in which video, by the path in the column `video`.
        failures: One for each row or value that can't be used.
        warnings: Lines about columns that are not used.
        path: The file; None if there is none.
    """

    attributes: dict[str, Attributes] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    path: Path | None = None

    def tell_unmatched(self, names: Iterable[str]) -> list[str]:
        """A line that counts the identities of the file that are none of the names that have files; none if all are."""
        by_case = {name.casefold(): name for name in names}
        unmatched = []
        for identity in self.attributes:
            similar = by_case.get(identity.casefold())
            if similar != identity:
                unmatched.append(f"'{identity}'" + (f" (there is '{similar}')" if similar else ""))
        if not unmatched:
            return []
        more = ", ..." if len(unmatched) > _SHOWN else ""
        shown = ", ".join(unmatched[:_SHOWN]) + more
        return [
            f"{self.path}: {len(unmatched):,} of {len(self.attributes):,} names are those of nobody with files: {shown}"
        ]


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


def read_attributes(path: Path) -> KnownPeople:
    """Read what is known of people: a table with `identity` and any of sex (or gender), age, nationality, video.

    Raises:
        DatasetError: If the file can't be read or has no column `identity`.
    """
    table = read_table(path)
    table.find_column("identity")
    known = KnownPeople(path=path, warnings=table.tell_unused(("identity", "video", *ATTRIBUTE_COLUMNS)))
    for row in table.rows:
        identity = normalise_identity(row.cells.get("identity", ""))
        try:
            check_identity(identity)
        except MediaError as error:
            failure = Failure(str(path), ascii(identity)[1:-1], error.reason, f"line {row.line}: {error}")
            known.failures.append(failure)
            continue
        attributes, problems = parse_attributes(row.cells)
        known.attributes[identity] = complete(known.attributes.get(identity, Attributes()), attributes)
        known.failures.extend(
            Failure(str(path), identity, "bad-attribute", f"line {row.line}: {problem}") for problem in problems
        )
        if video := row.cells.get("video"):
            known.identities[video] = identity
    return known


def complete(first: Attributes, second: Attributes) -> Attributes:
    """What two sources say of a person; where they differ the first one counts."""
    return Attributes(
        sex=first.sex or second.sex,
        age=second.age if first.age is None else first.age,
        nationality=first.nationality or second.nationality,
    )


def parse_attributes(row: Mapping[str, str]) -> tuple[Attributes, list[str]]:
    """What a row of a table says of a person, and a line for each value that can't be read and counts as unknown."""
    sex = (row.get("sex") or row.get("gender") or "").strip().lower()
    age_text = (row.get("age") or "").strip()
    age = _parse_age(age_text)
    problems = []
    if sex and sex not in _SEXES:
        problems.append(f"sex '{sex}': use female, male, f, m, or leave it empty")
    if age_text and age is None:
        problems.append(f"age '{age_text}': years such as 34, or a band such as 20-39 or >=60, expected")
    return Attributes(_SEXES.get(sex), age, (row.get("nationality") or "").strip() or None), problems


def tell_left_out(root: Path, what: str, names: Iterable[str]) -> list[str]:
    """A line that counts what of a root is left out and names some of it; none if nothing is."""
    found = sorted(names)
    if not found:
        return []
    more = ", ..." if len(found) > _SHOWN else ""
    return [f"{root}: left out: {len(found):,} {what}: {', '.join(map(ascii, found[:_SHOWN]))}{more}"]


def _parse_age(text: str) -> float | None:
    """Years; of a band "20-39" its middle, of an open one ">=60" its bound; None if it is neither."""
    match = re.fullmatch(r"(?:>=?\s*)?(\d+(?:\.\d+)?)(?:\s*-\s*(\d+(?:\.\d+)?))?\+?", text)
    if match is None:
        return None
    low, high = match[1], match[2]
    age = (float(low) + float(high) + 1) / 2 if high else float(low)
    return age if age <= 130 else None
