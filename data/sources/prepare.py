"""From recordings and photographs of people to a data set: shards, dataset.json and failures.jsonl.

Everything is built in a hidden folder beside the output and renamed at the end, so that the output is there
whole or not at all. Each shard is published there by a rename of its own: a run that was killed goes on
after the last one.
"""

from __future__ import annotations

import collections
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data.errors import DatasetError
from data.faces.alignment import check_face_size
from data.faces.protocol import FaceEncoderInfo
from data.files import write_file
from data.sources.clips import PersonClips, PersonTask, Recipe, make_clips
from data.sources.folder import scan_folder
from data.sources.people import Failure, KnownPeople, Person, read_attributes
from data.sources.recipe import load_face_networks
from data.store.clip import SPLITS, Row, Split
from data.store.inventory import count_shards
from data.store.publish import find_finished, open_partial, publish, request_record, writing_to
from data.store.shards import PRIVATE_KEY, DatasetInfo, SplitInfo, plan_shards, write_info, write_shard
from data.store.split import DEFAULT_FRACTIONS, assign_split, hash_assignment
from data.workers import count_cores, map_in_processes, use_one_thread

FAILURES_NAME = "failures.jsonl"


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """How people become a data set, and where.

    Attributes:
        out: Folder of the data set.
        recipe: Settings by which files become clips.
        seed: Seed of the split.
        split_fractions: Shares of train, val and test.
        num_workers: Number of processes; the result does not depend on it.
        overwrite: Whether a data set that was made from something else is replaced.
        is_private: Whether dataset.json marks it as private; a mark that is there stays.
    """

    out: Path
    recipe: Recipe
    seed: int = 0
    split_fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    num_workers: int = field(default_factory=count_cores)
    overwrite: bool = False
    is_private: bool = False


@dataclass(frozen=True, kw_only=True)
class PrepareConfig(PeopleConfig):
    """How a folder becomes a data set.

    Attributes:
        root: Folder ROOT/<identity>/{voices,faces}/*.
        extra_faces: More roots with faces.
        attributes: CSV file of sex, age and nationality.
    """

    root: Path
    extra_faces: tuple[Path, ...] = ()
    attributes: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A finished data set.

    Attributes:
        info: Content of its dataset.json.
        failures: Content of its failures.jsonl.
        was_there: Whether the same request had been prepared before, so that nothing was done.
        warnings: Lines about what was left out although it is no failure.
    """

    info: DatasetInfo
    failures: list[Failure]
    was_there: bool
    warnings: list[str] = field(default_factory=list)


def prepare_folder(config: PrepareConfig) -> Prepared:
    """Prepare a data set from a folder, or finish one whose preparation was interrupted.

    Raises:
        ConfigError: If a setting is out of range.
        DatasetError: If there is nothing usable in the folder.
        ModelError: If the face analyzer can't be loaded.
        OutputError: If the output can't be written to, the disk is full, or something else is there.
    """
    _check(config)
    known = read_attributes(config.attributes) if config.attributes else KnownPeople()
    scan = scan_folder(config.root, config.extra_faces, known)
    return prepare_people(scan.people, known.failures + scan.failures, config, str(config.root), scan.warnings)


def prepare_people(
    people: list[Person], failures: list[Failure], config: PeopleConfig, source: str, warnings: Sequence[str] = ()
) -> Prepared:
    """Prepare a data set of people whose files are known, or finish one whose preparation was interrupted.

    Args:
        people: Sorted by identity.
        failures: Files, rows and people that can't be used.
        config: Settings and the folder of the data set.
        source: Name of their origin, for messages.
        warnings: Lines to be passed on to the result.

    Raises:
        Wav2FaceError: As `prepare_folder`.
    """
    _check(config)
    face_encoder = load_face_networks(config.recipe).recognizer.info
    request = _make_record(config, people, face_encoder)
    names = {"files_sha256": "files or attributes", "face_encoder_sha256": "face network"}
    if (info := find_finished(config.out, request, names, config.overwrite)) is not None:
        if config.is_private and not info.is_private:
            info = replace(info, extra=info.extra | {PRIVATE_KEY: True})
            with writing_to(config.out):
                write_info(config.out, info)
        return Prepared(info, _read_failures(config.out / FAILURES_NAME), was_there=True, warnings=list(warnings))
    with writing_to(config.out):
        partial = open_partial(config.out, request)
        splits = {
            person.identity: assign_split(person.identity, config.seed, config.split_fractions) for person in people
        }
        shards = plan_shards(
            {split: [person for person in people if splits[person.identity] == split] for split in SPLITS}
        )
        _write_shards(partial, shards, config, face_encoder.feature_size)
        failures = failures + [f for name in shards for f in _read_failures(partial / f"{name}.{FAILURES_NAME}")]
        info = _summarize(partial, list(shards), people, splits, config, face_encoder, request)
        if not sum(info.num_clips.values()):
            raise DatasetError(_nothing_usable(source, failures))
        write_file(partial / FAILURES_NAME, _to_jsonl(failures))
        for name in shards:
            (partial / f"{name}.{FAILURES_NAME}").unlink()
        write_info(partial, info)
        publish(partial, config.out)
    return Prepared(info, failures, was_there=False, warnings=list(warnings))


def _check(config: PeopleConfig) -> None:
    """Refuse wrong settings before the work."""
    check_face_size(config.recipe.face_size)
    assign_split("", config.seed, config.split_fractions)


def _make_record(config: PeopleConfig, people: list[Person], face_encoder: FaceEncoderInfo) -> dict[str, Any]:
    """All that decides about the result: settings, T, names and sizes of files; no paths of this machine."""
    listing = hashlib.sha256()
    for person in people:
        listing.update(f"{person.identity}\t{person.attributes}\n".encode())
        for path in (*person.voices, *person.faces):
            size = path.stat().st_size if path.exists() else -1
            listing.update(f"{path.parent.name}/{path.name}\t{size}\n".encode("utf-8", "surrogateescape"))
    record = request_record(config.recipe, face_encoder, config.seed, config.split_fractions)
    del record["face_encoder"]  # data sets that were made before this setting existed lack it
    if config.recipe.face_encoder is not None:
        record["face_encoder"] = face_encoder.name  # which is no path
    return {**record, "files_sha256": listing.hexdigest()}


def _write_shards(partial: Path, shards: dict[str, Sequence[Person]], config: PeopleConfig, feature_size: int) -> None:
    """Make the clips of everybody whose shard is not there yet, and publish shard after shard."""
    missing = {name: people for name, people in shards.items() if not (partial / name).exists()}
    tasks = [PersonTask(person, config.recipe) for people in missing.values() for person in people]
    done = sum(map(len, shards.values())) - len(tasks)
    results = map_in_processes(make_clips, tasks, config.num_workers, _report_crash, use_one_thread)
    with tqdm(total=len(tasks) + done, initial=done, unit="person", desc="preparing", disable=None) as progress:

        def rows(name: str) -> Iterator[Row]:
            failures: list[Failure] = []
            for _ in missing[name]:
                result = next(results)
                failures += result.failures
                progress.update()
                yield from result.rows
            # The shard gets its name after this: a shard that is there has its failures beside it.
            write_file(partial / f"{name}.{FAILURES_NAME}", _to_jsonl(failures))

        for name in missing:
            write_shard(partial / name, rows(name), feature_size)


def _report_crash(task: PersonTask) -> PersonClips:
    """The failure of a person one of whose files killed the process that decoded it."""
    person = task.person
    files = [*person.voices, *person.faces]
    message = f"a decoder crashed on one of these {len(files)} files; take them out one by one to find it"
    failure = Failure(str(files[0].parent.parent), person.identity, "crashed", message)
    return PersonClips([], [failure])


def _summarize(
    partial: Path,
    names: list[str],
    people: list[Person],
    splits: dict[str, Split],
    config: PeopleConfig,
    face_encoder: FaceEncoderInfo,
    request: dict[str, Any],
) -> DatasetInfo:
    """The content of dataset.json, counted from the shards themselves."""
    counts = count_shards(partial, names)
    present = {identity: splits[identity] for identity in counts.identities}
    known = [person.attributes for person in people if person.identity in present]
    return DatasetInfo(
        num_clips=counts.num_clips,
        num_identities={split: sum(s == split for s in present.values()) for split in SPLITS},
        num_voices=counts.num_voices,
        num_faces=counts.num_faces,
        shards=counts.rows,
        face_encoder=face_encoder,
        face_size=config.recipe.face_size,
        split=SplitInfo(config.seed, config.split_fractions, hash_assignment(present)),
        attribute_coverage={
            name: sum(getattr(attributes, name) is not None for attributes in known)
            for name in ("sex", "age", "nationality")
        },
        request=request,
        extra={PRIVATE_KEY: True} if config.is_private else {},
    )


def _to_jsonl(failures: list[Failure]) -> bytes:
    lines = "".join(json.dumps(failure.as_dict(), ensure_ascii=False) + "\n" for failure in failures)
    return lines.encode("utf-8", "replace")  # names of files may be no text


def _read_failures(path: Path) -> list[Failure]:
    """The failures in a file; none if it is missing."""
    if not path.is_file():
        return []
    return [Failure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _nothing_usable(source: str, failures: list[Failure]) -> str:
    reasons = collections.Counter(failure.reason for failure in failures)
    summary = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(5)) or "no files"
    first = f"; the first: {failures[0].message}" if failures else ""
    return f"{source}: nothing usable in it ({summary}){first}"
