"""One person's files into rows of a shard: the work that preparation spreads over processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from data.audio import VoiceActivity, encode_flac, load_speech
from data.clip import SAMPLE_RATE, Attributes
from data.errors import MediaError, one_line
from data.faces import AnalyzedFace, Device, FaceEncoderInfo, cached_analyzer
from data.folder import Failure, Person
from data.images import encode_face, read_image
from data.media import MAX_SECONDS, Waveform
from data.shards import Row

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
class Task:
    """One person to describe."""

    person: Person
    recipe: Recipe


@dataclass(frozen=True)
class Described:
    """What became of a person: rows of a shard, and a failure for each file that could not be used."""

    rows: list[Row]
    failures: list[Failure]


def describe_person(task: Task) -> Described:
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
    return Described(rows, failures)


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


def make_row(
    clip_id: str, identity: str, attributes: Attributes, voice: Waveform | None, faces: Sequence[AnalyzedFace]
) -> Row:
    """A clip as it is stored: sound as FLAC, crops as JPEG; without a voice there are no columns of sound."""
    row: Row = {"clip_id": clip_id, "identity": identity, **asdict(attributes)}
    if voice is not None:
        row["audio"] = {"bytes": encode_flac(voice), "path": f"{clip_id}.flac"}
        row["duration"] = voice.size / SAMPLE_RATE
    row["images"] = [{"bytes": encode_face(face.crop), "path": f"{clip_id}-{j}.jpg"} for j, face in enumerate(faces)]
    row["face_features"] = [face.feature for face in faces]
    return row


def describe_request(
    recipe: Any, face_encoder: FaceEncoderInfo, seed: int, split_fractions: Sequence[float]
) -> dict[str, Any]:
    """What decides about a data set besides what it is made from, as dataset.json keeps it.

    Args:
        recipe: A dataclass of settings; where files lie and networks run on this machine is left out.
        face_encoder: T.
        seed: Of the split.
        split_fractions: Shares of train, val and test.
    """
    settings = {key: value for key, value in asdict(recipe).items() if key not in ("insightface_root", "device")}
    return {
        **settings,
        "face_encoder_sha256": face_encoder.sha256,
        "seed": seed,
        "split_fractions": list(split_fractions),
    }
