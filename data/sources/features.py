"""Import of voice vectors and face features that other programs extracted, as a data set without media."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DatasetError, MediaError
from data.faces.protocol import FaceEncoderInfo, unit_rows
from data.files import sha256_of_file
from data.sources.people import check_identity, complete, parse_attributes
from data.sources.tables import column_name, read_table
from data.store.clip import SPLITS, Attributes, Row, Split
from data.store.imported import IMPORTED, VOICE_VECTOR, ImportedInfo
from data.store.inventory import count_shards
from data.store.publish import find_finished, open_partial, publish, writing_to
from data.store.shards import DatasetInfo, SplitInfo, plan_shards, write_info, write_shard
from data.store.split import DEFAULT_FRACTIONS, assign_split, hash_assignment, normalise_identity

_FACTS = ("sex", "gender", "age", "nationality", "split", "language")
_ARRAYS = ("features", "embeddings")


@dataclass(frozen=True)
class ImportConfig:
    """Settings of an import.

    Attributes:
        voices: File of voice vectors, as `read_features` takes it.
        faces: File of face features.
        out: Folder of the data set.
        voice_network: Name of the network that gave the voice vectors.
        face_network: Name of the face network, which takes T's place; models and data sets of one name fit.
        seed: Seed of the split, for people whose split the files don't tell.
        split_fractions: Shares of train, val and test, for them.
        overwrite: Whether a data set that was made from something else is replaced.
    """

    voices: Path
    faces: Path
    out: Path
    voice_network: str
    face_network: str
    seed: int = 0
    split_fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    overwrite: bool = False


@dataclass(frozen=True)
class FeatureRow:
    """What a file says of one recording or picture.

    Attributes:
        place: File and line or row, for messages.
        name: Name of the recording or picture.
        identity: Its person.
        vector: [D] float32.
        attributes: Facts known of the person.
        split: The person's split; None to be decided by a hash.
        language: Language that is spoken; None where unknown.
    """

    place: str
    name: str
    identity: str
    vector: NDArray[np.float32]
    attributes: Attributes = field(default_factory=Attributes)
    split: Split | None = None
    language: str | None = None


def read_features(path: Path) -> list[FeatureRow]:
    """Read vectors with their ids and people.

    A table (.csv, .tsv) has the columns `id`, `person` (or `identity`) and any of sex, age, nationality, split and
    language; all other columns are the numbers, in their order. An .npz has an array `features` [N, D] and arrays [N]
    of the same names. An .npy holds [N, D]; a table of the same name beside it (.csv) has the other columns.

    Raises:
        DatasetError: If it can't be read, or a row can't be used; it names the line or row.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        facts, vectors = _read_npz(path)
        places = [f"{path}, row {number}" for number in range(1, len(vectors) + 1)]
    elif kind == ".npy":
        (vectors,) = _load(path).values()
        table = path.with_suffix(".csv")
        facts, numbers, places = _read_csv(table)
        if numbers.shape[1]:
            raise DatasetError(f"{table}: columns of numbers beside {path.name}; leave them out")
    else:
        facts, vectors, places = _read_csv(path)
    if vectors.ndim != 2 or not vectors.size or vectors.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: an array of numbers [N, D] expected, not {vectors.dtype} {vectors.shape}")
    if len(vectors) != len(places):
        raise DatasetError(f"{path}: {len(vectors)} vectors, but {len(places)} rows with an id")
    vectors = vectors.astype(np.float32)
    names = facts.get("id")
    people = facts.get("person", facts.get("identity"))
    if names is None or people is None:
        raise DatasetError(f"{path}: columns id and person are needed; there are {', '.join(facts) or 'none'}")
    rows = []
    for number, place in enumerate(places):
        own = {name: column[number] for name, column in facts.items()}
        rows.append(_to_row(place, names[number], people[number], vectors[number], own))
    twice = [name for name, count in Counter(row.name for row in rows).items() if count > 1]
    if twice:
        raise DatasetError(f"{path}: id '{twice[0]}' is there {Counter(names)[twice[0]]} times; ids must differ")
    return rows


def import_features(config: ImportConfig) -> tuple[DatasetInfo, bool]:
    """Make a data set of two files.

    A recording and a picture of one id become one clip; others a clip each.

    Returns:
        Content of dataset.json, and whether the same import had been done before.

    Raises:
        DatasetError: If a file or row can't be used, or nobody has both.
        OutputError: If the output can't be written to, or something else is there.
    """
    assign_split("", config.seed, config.split_fractions)
    request = {
        "voices_sha256": _hash_files(config.voices),
        "faces_sha256": _hash_files(config.faces),
        "voice_network": config.voice_network,
        "face_network": config.face_network,
        "seed": config.seed,
        "split_fractions": list(config.split_fractions),
    }
    if (info := find_finished(config.out, request, {}, config.overwrite)) is not None:
        return info, True
    voices, faces = read_features(config.voices), read_features(config.faces)
    splits = _splits([*voices, *faces], config)
    clips = _clips(voices, faces)
    people = {str(clip["identity"]) for clip in clips}
    shards = plan_shards({split: sorted(p for p in people if splits[p] == split) for split in SPLITS})
    own: dict[str, list[Row]] = {person: [] for person in people}
    for clip in clips:
        own[str(clip["identity"])].append(clip)
    voice_size, face_size = len(voices[0].vector), len(faces[0].vector)
    texts = ("language",) if any(row.language for row in voices) else ()
    with writing_to(config.out):
        partial = open_partial(config.out, request)
        for name, members in shards.items():
            rows: Iterator[Row] = (row for person in members for row in own[person])
            write_shard(partial / name, rows, face_size, {VOICE_VECTOR: voice_size}, texts)
        counts = count_shards(partial, list(shards))
        network = f"imported:{config.face_network}"
        info = DatasetInfo(
            num_clips=counts.num_clips,
            num_identities={split: sum(splits[person] == split for person in people) for split in SPLITS},
            num_voices=counts.num_voices,
            num_faces=counts.num_faces,
            shards=counts.rows,
            # There is no file to hash: the name and the size stand for the network.
            face_encoder=FaceEncoderInfo(
                network, hashlib.sha256(f"{network}:{face_size}".encode()).hexdigest(), face_size, ""
            ),
            face_size=0,
            split=SplitInfo(config.seed, config.split_fractions, hash_assignment({p: splits[p] for p in people})),
            attribute_coverage={
                name: sum(any(clip[name] is not None for clip in own[person]) for person in people)
                for name in ("sex", "age", "nationality")
            },
            request=request,
            extra={IMPORTED: asdict(ImportedInfo(config.voice_network, voice_size))},
        )
        write_info(partial, info)
        publish(partial, config.out)
    return info, False


def _clips(voices: Sequence[FeatureRow], faces: Sequence[FeatureRow]) -> list[Row]:
    """Rows of shards: a voice, a face, or both of one id."""
    by_name = {row.name: row for row in voices}
    rows = []
    for face in faces:
        voice = by_name.pop(face.name, None)
        if voice is not None and voice.identity != face.identity:
            raise DatasetError(f"{face.place}: id '{face.name}' is of {face.identity}, but {voice.identity}'s voice")
        rows.append(_to_clip(voice, face))
    return rows + [_to_clip(voice, None) for voice in by_name.values()]


def _to_clip(voice: FeatureRow | None, face: FeatureRow | None) -> Row:
    either = voice or face
    assert either is not None
    attributes = complete(either.attributes, (face or either).attributes)
    clip: Row = {"clip_id": either.name, "identity": either.identity, **asdict(attributes)}
    # Structs without bytes say that there was a recording or a picture, of which only the vector is here.
    clip["images"] = [] if face is None else [{"bytes": None, "path": face.name}]
    clip["face_features"] = [] if face is None else list(unit_rows(face.vector[None]))
    if voice is not None:
        clip |= {"audio": {"bytes": None, "path": voice.name}, VOICE_VECTOR: voice.vector, "language": voice.language}
    return clip


def _splits(rows: Iterable[FeatureRow], config: ImportConfig) -> dict[str, Split]:
    told: dict[str, Split] = {}
    splits: dict[str, Split] = {}
    for row in rows:
        if row.split is not None and told.setdefault(row.identity, row.split) != row.split:
            raise DatasetError(
                f"{row.place}: {row.identity} is in '{row.split}' here and in '{told[row.identity]}' before; a person "
                "belongs to one split"
            )
        splits[row.identity] = assign_split(row.identity, config.seed, config.split_fractions)
    return splits | told


def _to_row(place: str, name: str, identity: str, vector: NDArray[np.float32], facts: Mapping[str, str]) -> FeatureRow:
    identity = normalise_identity(identity)
    if not name:
        raise DatasetError(f"{place}: no id")
    try:
        check_identity(identity)
    except MediaError as error:
        raise DatasetError(f"{place}: {error}") from error
    if not np.isfinite(vector).all() or not vector.any():
        raise DatasetError(f"{place}: id '{name}': numbers that are finite and not all zero expected")
    attributes, problems = parse_attributes(facts)
    if problems:
        raise DatasetError(f"{place}: {problems[0]}")
    split = next((own for own in SPLITS if own == facts.get("split")), None)
    if facts.get("split") and split is None:
        raise DatasetError(f"{place}: split '{facts['split']}': use train, val or test, or leave it empty")
    return FeatureRow(place, name, identity, vector, attributes, split, facts.get("language") or None)


def _read_npz(path: Path) -> tuple[dict[str, list[str]], NDArray[np.float32]]:
    arrays = {column_name(name): array for name, array in _load(path).items()}
    found = [name for name in _ARRAYS if name in arrays]
    if not found:
        raise DatasetError(f"{path}: no array 'features' [N, D]; there are {', '.join(arrays) or 'none'}")
    vectors = arrays.pop(found[0])
    facts = {name: array for name, array in arrays.items() if name in ("id", "person", "identity", *_FACTS)}
    for name, array in facts.items():
        if array.shape != vectors.shape[:1]:
            raise DatasetError(f"{path}: array '{name}' has the shape {array.shape}, not {vectors.shape[:1]}")
    return {name: [str(value).strip() for value in array] for name, array in facts.items()}, vectors


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file; pickled objects are refused."""
    try:
        content = np.load(path, allow_pickle=False)
        return {"": content} if isinstance(content, np.ndarray) else dict(content.items())
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"{path}: can't be read as arrays of numbers and text: {message}") from error


def _read_csv(path: Path) -> tuple[dict[str, list[str]], NDArray[np.float32], list[str]]:
    """Facts by column, numbers [N, D], and the place of each row."""
    table = read_table(path)
    names = [name for name in table.columns if name in ("id", "person", "identity", *_FACTS)]
    numbers = [name for name in table.columns if name not in names]
    vectors = np.zeros((len(table.rows), len(numbers)), np.float32)
    places = [f"{path}, line {row.line}" for row in table.rows]
    for number, row in enumerate(table.rows):
        try:
            vectors[number] = [float(row.cells[name]) for name in numbers]
        except (ValueError, KeyError) as error:
            raise DatasetError(f"{places[number]}: {len(numbers)} numbers expected in it: {error}") from error
    return {name: [row.cells.get(name, "") for row in table.rows] for name in names}, vectors, places


def _hash_files(path: Path) -> str:
    """SHA-256 of a file, and of the table beside an .npy."""
    try:
        files = [path, path.with_suffix(".csv")] if path.suffix.lower() == ".npy" else [path]
        return hashlib.sha256("".join(map(sha256_of_file, files)).encode()).hexdigest()
    except OSError as error:
        raise DatasetError(f"{error.filename or path}: can't be read: {error.strerror or error}") from error
