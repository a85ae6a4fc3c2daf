"""From one person's files to rows of a shard: the work that preparation spreads over processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from data.errors import MediaError, one_line
from data.faces.analyzer import AnalyzedFace
from data.media.audio import load_speech
from data.media.decoding import MAX_SECONDS
from data.media.images import read_image
from data.media.voice_activity import VoiceActivity
from data.media.waveform import Waveform
from data.sources.people import Failure, Person
from data.sources.recipe import FaceRecipe, load_face_networks
from data.store.clip import Clip, Row, Source, to_row

Media = TypeVar("Media")


@dataclass(frozen=True)
class Recipe(FaceRecipe):
    """How files of people become clips.

    Attributes:
        voice_activity: Method by which silence is found and cut.
        max_seconds: Longest recording that is accepted, in seconds.
    """

    voice_activity: VoiceActivity = "silero"
    max_seconds: float = MAX_SECONDS


@dataclass(frozen=True)
class PersonTask:
    """One person whose files become clips."""

    person: Person
    recipe: Recipe


@dataclass(frozen=True)
class PersonClips:
    """Clips of one person as rows of a shard, and a failure for each file that can't be used."""

    rows: list[Row]
    failures: list[Failure]


def make_clips(task: PersonTask) -> PersonClips:
    """Decode and clean a person's recordings, crop and embed the faces; a file that can't be used becomes a failure."""
    person, recipe = task.person, task.recipe
    analyzer = load_face_networks(recipe)
    failures: list[Failure] = []

    def attempt(read: Callable[[Path], Media], paths: tuple[Path, ...]) -> dict[int, Media]:
        usable = {}
        for number, path in enumerate(paths):
            try:
                usable[number] = read(path)
            except MediaError as error:
                failures.append(Failure(str(path), person.identity, error.reason, one_line(error)))
            except Exception as error:  # one file that a library can't handle must not end the run
                message = one_line(f"{path}: {type(error).__name__}: {error}")
                failures.append(Failure(str(path), person.identity, "unexpected", message))
        return usable

    def read_face(path: Path) -> AnalyzedFace:
        image = read_image(path)
        try:
            return analyzer.analyze(image, recipe.face_size)
        except MediaError as error:
            raise MediaError(error.reason, f"{path}: {error}") from error

    def read_voice(path: Path) -> Waveform:
        return load_speech(path, recipe.voice_activity, recipe.max_seconds)

    voices = attempt(read_voice, person.voices)
    faces = attempt(read_face, person.faces)
    clips = _pair(person, voices, list(faces.values()), analyzer.recognizer.info.feature_size)
    return PersonClips([to_row(clip) for clip in clips], failures)


def _pair(person: Person, voices: dict[int, Waveform], faces: list[AnalyzedFace], feature_size: int) -> list[Clip]:
    """One clip a recording (one in all where there is none); face j goes into clip j modulo their number.

    Args:
        person: The person.
        voices: Speech by number of the recording.
        faces: Crops and face features.
        feature_size: Length of a face feature.
    """
    if not voices and not faces:
        return []
    num_clips = max(1, len(voices))
    clips = []
    for i, number in enumerate(voices or [None]):
        own = faces[i::num_clips]
        clips.append(
            Clip(
                clip_id=f"{person.identity}/{i}",
                identity=person.identity,
                waveform=None if number is None else voices[number],
                faces=[face.crop for face in own],
                face_features=np.array([face.feature for face in own], np.float32).reshape(len(own), feature_size),
                attributes=person.attributes,
                source=Source(person.videos[number] if person.videos and number is not None else None),
            )
        )
    return clips
