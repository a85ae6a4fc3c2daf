"""One person's files into rows of a shard: the work that preparation spreads over processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from data.errors import MediaError, one_line
from data.faces.analyzer import AnalyzedFace
from data.faces.protocol import Device
from data.faces.registry import cached_analyzer
from data.media.audio import VoiceActivity, load_speech
from data.media.decoding import MAX_SECONDS
from data.media.images import read_image
from data.media.waveform import Waveform
from data.sources.people import Failure, Person
from data.store.shards import Row, make_row

Media = TypeVar("Media")


@dataclass(frozen=True)
class Recipe:
    """How files become rows.

    Attributes:
        face_analyzer: As `load_analyzer` takes it.
        insightface_root: Holds `models/<pack>/`; None for `~/.insightface`.
        face_size: Side of the crops in pixels.
        voice_activity: Whether silence is cut.
        max_seconds: Longer recordings are refused.
        device: Where face networks run.
    """

    face_analyzer: str
    insightface_root: str | None = None
    face_size: int = 128
    voice_activity: VoiceActivity = "silero"
    max_seconds: float = MAX_SECONDS
    device: Device = "cpu"


@dataclass(frozen=True)
class PersonTask:
    """One person to describe."""

    person: Person
    recipe: Recipe


@dataclass(frozen=True)
class PersonClips:
    """What became of a person: rows of a shard, and a failure for each file that could not be used."""

    rows: list[Row]
    failures: list[Failure]


def make_clips(task: PersonTask) -> PersonClips:
    """Decode, clean, align and describe all files of one person; a file that fails becomes a failure."""
    person, recipe = task.person, task.recipe
    analyzer = cached_analyzer(recipe.face_analyzer, recipe.insightface_root, recipe.device)
    failures: list[Failure] = []

    def attempt(read: Callable[[Path], Media], paths: tuple[Path, ...]) -> dict[int, Media]:
        usable = {}
        for number, path in enumerate(paths):
            try:
                usable[number] = read(path)
            except MediaError as error:
                failures.append(Failure(str(path), person.identity, error.reason, one_line(error)))
            except Exception as error:  # a library that trips over one strange file must not end the run
                message = one_line(f"{path}: {type(error).__name__}: {error}")
                failures.append(Failure(str(path), person.identity, "unexpected", message))
        return usable

    def read_face(path: Path) -> AnalyzedFace:
        image = read_image(path)
        try:
            return analyzer.describe(image, recipe.face_size)
        except MediaError as error:
            raise MediaError(error.reason, f"{path}: {error}") from error

    def read_voice(path: Path) -> Waveform:
        return load_speech(path, recipe.voice_activity, recipe.max_seconds)

    voices = attempt(read_voice, person.voices)
    faces = attempt(read_face, person.faces)
    rows = _rows(person, list(voices.values()), list(faces.values()))
    if person.videos:
        for row, number in zip(rows, voices, strict=False):  # without a voice there is a row all the same
            row["video_id"] = person.videos[number]
    return PersonClips(rows, failures)


def _rows(person: Person, voices: list[Waveform], faces: list[AnalyzedFace]) -> list[Row]:
    """One row a recording (one in all where there is none); face j goes into row j modulo their number."""
    if not voices and not faces:
        return []
    rows = []
    num_rows = max(1, len(voices))
    for i in range(num_rows):
        clip_id = f"{person.identity}/{i}"
        voice = voices[i] if voices else None
        rows.append(make_row(clip_id, person.identity, person.attributes, voice, faces[i::num_rows]))
    return rows
