"""Lists of pairs of a voice and a face that others publish, and the file of scores that the FAME challenge takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError
from data.files import write_file
from data.sources.tables import column_name, find_delimiter
from data.store.dataset import ClipDataset

Place = TypeVar("Place")

_HEADERS = {
    "voice": ("voice", "voice_path", "audio", "audio_path", "wav"),
    "face": ("face", "face_path", "image", "image_path", "jpg"),
    "label": ("label", "is_same", "same", "target"),
    "key": ("id", "key"),
}
_LEARNABLE_PINS = ("key", "", "", "label", "voice", "face")
"""Columns of the lists of Nagrani et al. 2018: id, speaker of the voice, speaker of the face, label, two paths."""

_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_SOUNDS = (".wav", ".flac", ".m4a", ".mp3", ".ogg", ".aac", ".opus")


@dataclass(frozen=True)
class ListedPair:
    """One row of a list.

    Attributes:
        line: Number of its line in the file, from 1.
        key: Name of the pair, which a file of scores repeats; None in a list without.
        voice: Path or id of the voice.
        face: Path or id of the face.
        is_same: Whether both are of one person; None where the list doesn't tell.
    """

    line: int
    key: str | None
    voice: str
    face: str
    is_same: bool | None


def read_pair_list(path: Path) -> list[ListedPair]:
    """Read a list: one pair a line, cells separated by commas, semicolons, tabs or spaces, with or without a header.

    Without a header the columns are found by their number and content: `voice face`, `voice face label`,
    `label voice face`, `id voice face` (FAME), `id voice face label`, or the six of Nagrani et al. 2018. Voice and
    face may be swapped where their extensions tell. Labels are 0 or 1.

    Raises:
        DatasetError: If the file can't be read, is empty, or a row is not like the others; it names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: can't be read as a list of pairs: {error}") from error
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise DatasetError(f"{path}: an empty list; one pair a line is needed: voice, face and, if known, label")
    delimiter = find_delimiter(filled[0][1])
    rows = [(number, _cells(line, delimiter)) for number, line in filled]
    columns = _from_header(rows[0][1])
    if columns is not None:
        rows = rows[1:]
    if not rows:
        raise DatasetError(f"{path}: only a header; one pair a line is needed: voice, face and, if known, label")
    num_columns = len(columns or rows[0][1])
    for number, cells in rows:
        if len(cells) != num_columns or not all(cells):
            raise DatasetError(f"{path}, line {number}: {num_columns} cells expected, as in the first line: {cells}")
    if columns is None:
        columns = _from_content(path, [cells for _, cells in rows])
    return [_to_pair(path, number, dict(zip(columns, cells, strict=True))) for number, cells in rows]


def find_pairs(
    path: Path, pairs: Sequence[ListedPair], dataset: ClipDataset
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the voices and faces of a list in a data set.

    A voice is named by its clip's id. A face is named by its clip's id, for its first crop, or by that id, a dash and
    the crop's number. An extension, and folders before the id, may be more than the data set has.

    Args:
        path: The list, for messages.
        pairs: Its pairs.
        dataset: All splits, or the judged one.

    Returns:
        [N] clip of each voice; [N, 2] clip and number of each face.

    Raises:
        DatasetError: If one is not there; it names the line.
    """
    voices = {dataset.clip_ids[clip]: clip for clip in np.flatnonzero(dataset.has_voice).tolist()}
    faces: dict[str, tuple[int, int]] = {}
    for clip in np.flatnonzero(dataset.num_faces).tolist():
        name = dataset.clip_ids[clip]
        faces[name] = (clip, 0)
        faces.update({f"{name}-{number}": (clip, number) for number in range(dataset.num_faces[clip])})
    own_voices, own_faces = [], []
    for pair in pairs:
        voice, face = _find(pair.voice, voices), _find(pair.face, faces)
        if voice is None or face is None:
            kind, name = ("voice", pair.voice) if voice is None else ("face", pair.face)
            raise DatasetError(
                f"{path}, line {pair.line}: no {kind} '{name}' in {dataset.root} ({dataset.split}); "
                "name clips by their clip_id"
            )
        own_voices.append(voice)
        own_faces.append(face)
    return np.array(own_voices, np.int64), np.array(own_faces, np.int64).reshape(-1, 2)


def write_submission(path: Path, keys: Sequence[str], cosines: NDArray[np.floating]) -> None:
    """Write scores as the FAME challenge takes them: a line for each pair, its key and the distance of its embeddings.

    Smaller distances mean one person. The distance of two unit vectors is (2 - 2 cos)^.5.

    Args:
        path: The file, such as `sub_score_English_heard.txt`.
        keys: [N] keys of the pairs, in the list's order.
        cosines: [N] their cosines.
    """
    distances = np.sqrt(np.maximum(2 - 2 * np.asarray(cosines, np.float64), 0))
    write_file(path, "".join(f"{key} {distance:f}\n" for key, distance in zip(keys, distances, strict=True)))


def _cells(line: str, delimiter: str) -> list[str]:
    parts = line.split(delimiter) if delimiter in line else line.split()
    return [part.strip().strip('"') for part in parts]


def _from_header(cells: Sequence[str]) -> list[str] | None:
    """Names of the columns, "" for those that aren't used; None if the cells are no header."""
    known = {own: name for name, aliases in _HEADERS.items() for own in aliases}
    names = [known.get(column_name(cell), "") for cell in cells]
    return names if names.count("voice") == 1 and names.count("face") == 1 else None


def _from_content(path: Path, rows: Sequence[Sequence[str]]) -> list[str]:
    """Names of the columns of a list without a header."""
    num = len(rows[0])
    are_labels = [all(row[column] in ("0", "1") for row in rows) for column in range(num)]
    names: Sequence[str] = ()
    if num == 2:
        names = ("voice", "face")
    elif num == 3 and are_labels[2]:
        names = ("voice", "face", "label")
    elif num == 3:
        names = ("label" if are_labels[0] else "key", "voice", "face")
    elif num == 4:
        names = ("key", "voice", "face", "label")
    elif num == 6:
        names = _LEARNABLE_PINS
    if not names:
        raise DatasetError(
            f"{path}: {num} columns without a header; two paths and a label are needed, or a header with voice, face "
            "and label"
        )
    voice, face = (rows[0][names.index(name)].lower() for name in ("voice", "face"))
    if voice.endswith(_IMAGES) and face.endswith(_SOUNDS):
        swapped = {"voice": "face", "face": "voice"}
        return [swapped.get(name, name) for name in names]
    return list(names)


def _to_pair(path: Path, line: int, cells: Mapping[str, str]) -> ListedPair:
    label = cells.get("label")
    if label not in (None, "0", "1"):
        raise DatasetError(f"{path}, line {line}: label '{label}': 1 for one person, 0 for two")
    return ListedPair(line, cells.get("key"), cells["voice"], cells["face"], None if label is None else label == "1")


def _find(name: str, places: Mapping[str, Place]) -> Place | None:
    """The place of a name: as it is, without its extension, or without folders before the id."""
    parts = PurePosixPath(name).parts
    for start in range(len(parts)):
        own = "/".join(parts[start:])
        for form in (own, own.rpartition(".")[0]):
            if form in places:
                return places[form]
    return None
