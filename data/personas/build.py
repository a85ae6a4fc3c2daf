"""A data set of personas: rendered, synthesized and embedded in worker processes, shard by shard.

As in `data.sources.prepare`, it is built in a hidden folder beside the output, an interrupted run is continued after
its last shard, and the bytes don't depend on the number of workers.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data.errors import ConfigError, OutputError
from data.faces.alignment import check_face_size
from data.faces.analyzer import embed_crops
from data.faces.protocol import FaceEncoderInfo
from data.faces.registry import cached_recognizer
from data.personas.faces import render_faces
from data.personas.population import (
    AGE_DEVIATION,
    FACE_NOISE,
    MEAN_AGE,
    TRAIT_COLUMNS,
    TRAIT_RANGES,
    TRAITS,
    VOICE_NOISE,
    Population,
    age_in_years,
    draw_population,
)
from data.personas.voices import VoiceSynthesizer
from data.store.clip import SPLITS, Attributes, Clip, Row, Split, to_row
from data.store.inventory import count_shards
from data.store.publish import find_finished, open_partial, publish, writing_to
from data.store.shards import IDENTITIES_PER_SHARD, DatasetInfo, SplitInfo, plan_shards, write_info, write_shard
from data.store.split import DEFAULT_FRACTIONS, assign_split, hash_assignment
from data.workers import count_cores, map_in_processes, use_one_thread

RECIPE = 1
"""Version of faces and voices, raised when the same seed makes others, so that versions are not mixed in a data set."""

MAX_IDENTITIES = 1_000_000
MAX_PER_IDENTITY = 1_000
"""Most images or clips a persona; more are refused as a typing error."""

_PERSONAS_PER_TASK = 8


@dataclass(frozen=True)
class PersonasConfig:
    """Size and place of a data set of personas.

    Attributes:
        out: Folder of the data set.
        num_identities: Number of personas.
        num_images: Pictures a persona.
        num_clips: Clips of speech a persona, about four seconds long.
        face_size: Side of the pictures in pixels.
        seed: Seed of the population and of the split.
        face_encoder: Training face network T, as `load_recognizer` takes it.
        insightface_root: Folder that holds `models/<pack>/`; None for `~/.insightface`.
        split_fractions: Shares of train, val and test.
        num_workers: Processes; the result does not depend on it.
        overwrite: Whether to replace a data set made by other settings.
    """

    out: Path
    num_identities: int = 2000
    num_images: int = 6
    num_clips: int = 4
    face_size: int = 64
    seed: int = 0
    face_encoder: str = "personas"
    insightface_root: str | None = None
    split_fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    num_workers: int = field(default_factory=count_cores)
    overwrite: bool = False


@dataclass(frozen=True)
class Built:
    """A finished data set.

    Attributes:
        info: Content of its dataset.json.
        num_made: Images and clips made by this run.
        seconds: CPU time of this run's processes for rendering (`images`), speech and encoding (`clips`), and
            `features`.
        was_there: Whether the same data set existed already, so that nothing was done.
    """

    info: DatasetInfo
    num_made: dict[str, int]
    seconds: dict[str, float]
    was_there: bool


@dataclass(frozen=True)
class PersonasTask:
    """Personas that one call of `make_personas` makes."""

    config: PersonasConfig
    personas: tuple[int, ...]


@dataclass(frozen=True)
class Made:
    """Rows of personas in their order, and the CPU seconds spent on images, clips and features."""

    rows: list[Row]
    seconds: dict[str, float]


def build_personas(config: PersonasConfig) -> Built:
    """Make a data set of personas, or continue an interrupted one.

    Raises:
        ConfigError: If a setting is out of range.
        ModelError: If the face network or espeak-ng is missing.
        OutputError: If the output can't be written to, the disk is full, or something else is there.
    """
    _check(config)
    face_encoder = cached_recognizer(config.face_encoder, config.insightface_root).info
    request = _request_record(config, face_encoder)
    names = {"face_encoder_sha256": "face network"}
    if (info := find_finished(config.out, request, names, config.overwrite)) is not None:
        return Built(info, {}, {}, was_there=True)
    VoiceSynthesizer().close()  # fails early if espeak-ng is missing
    splits = [
        assign_split(identity_name(persona), config.seed, config.split_fractions)
        for persona in range(config.num_identities)
    ]
    shards = plan_shards({split: [persona for persona, own in enumerate(splits) if own == split] for split in SPLITS})
    with writing_to(config.out):
        partial = open_partial(config.out, request)
        num_made, seconds = _write_shards(partial, shards, config, face_encoder.feature_size)
        info = _summarize(partial, list(shards), splits, config, face_encoder, request)
        write_info(partial, info)
        publish(partial, config.out)
    return Built(info, num_made, seconds, was_there=False)


def identity_name(persona: int) -> str:
    """Identity of a persona in data sets."""
    return f"persona-{persona:05d}"


def _check(config: PersonasConfig) -> None:
    for name, value, most in (
        ("identities", config.num_identities, MAX_IDENTITIES),
        ("images", config.num_images, MAX_PER_IDENTITY),
        ("clips", config.num_clips, MAX_PER_IDENTITY),
    ):
        if not 1 <= value <= most:
            raise ConfigError(f"--{name} {value}: use a number from 1 to {most:,}")
    check_face_size(config.face_size)
    if not 0 <= config.seed < 2**63:
        raise ConfigError(f"--seed {config.seed}: use a number from 0 to 2^63 - 1")
    if config.num_workers < 1:
        raise ConfigError(f"--workers {config.num_workers}: use at least 1")
    assign_split("", config.seed, config.split_fractions)  # fails early if the fractions are wrong


def _request_record(config: PersonasConfig, face_encoder: FaceEncoderInfo) -> dict[str, Any]:
    """All settings that the result depends on."""
    return {
        "recipe": RECIPE,
        "num_identities": config.num_identities,
        "num_images": config.num_images,
        "num_clips": config.num_clips,
        "face_size": config.face_size,
        "seed": config.seed,
        "split_fractions": list(config.split_fractions),
        "face_encoder_sha256": face_encoder.sha256,
    }


def _write_shards(
    partial: Path, shards: dict[str, Sequence[int]], config: PersonasConfig, feature_size: int
) -> tuple[dict[str, int], dict[str, float]]:
    """Make the shards that don't exist yet, one after another."""
    missing = {name: personas for name, personas in shards.items() if not (partial / name).exists()}
    tasks = {name: _cut(personas, config) for name, personas in missing.items()}
    num_personas = sum(map(len, missing.values()))
    made = map_in_processes(
        make_personas,
        [task for own in tasks.values() for task in own],
        config.num_workers,
        _report_crash,
        use_one_thread,
    )
    seconds: Counter[str] = Counter()
    with tqdm(
        total=config.num_identities,
        initial=config.num_identities - num_personas,
        unit="persona",
        desc="making personas",
        disable=None,
    ) as progress:
        for name, own_tasks in tasks.items():

            def rows(own_tasks: list[PersonasTask]) -> Iterator[Row]:
                for task in own_tasks:
                    result = next(made)
                    seconds.update(result.seconds)
                    progress.update(len(task.personas))
                    yield from result.rows

            write_shard(partial / name, rows(own_tasks), feature_size, dict.fromkeys(TRAIT_COLUMNS, len(TRAITS)))
    num_made = {"images": num_personas * config.num_images, "clips": num_personas * config.num_clips}
    return num_made, dict(seconds)


def _cut(personas: Sequence[int], config: PersonasConfig) -> list[PersonasTask]:
    assert len(personas) <= IDENTITIES_PER_SHARD
    return [
        PersonasTask(config, tuple(personas[start : start + _PERSONAS_PER_TASK]))
        for start in range(0, len(personas), _PERSONAS_PER_TASK)
    ]


def make_personas(task: PersonasTask) -> Made:
    """Render pictures of some personas, embed them, and synthesize speech.

    Returns:
        Rows as `data.store.shards` stores them, one a clip; image j is in row j modulo the number of clips.
    """
    config, personas = task.config, task.personas
    population = _cached_population(config.num_identities, config.seed)
    recognizer = cached_recognizer(config.face_encoder, config.insightface_root)
    synthesizer = _cached_synthesizer()
    num_images = config.num_images
    seconds = {}

    begin = time.process_time()
    crops = render_faces(
        population, np.repeat(personas, num_images), np.tile(np.arange(num_images), len(personas)), config.face_size
    )
    seconds["images"] = time.process_time() - begin

    begin = time.process_time()
    features = embed_crops(recognizer, crops)
    seconds["features"] = time.process_time() - begin

    begin = time.process_time()
    rows = []
    for i, persona in enumerate(personas):
        identity, attributes = identity_name(persona), _attributes(population, persona)
        traits = {name: getattr(population, name)[persona] for name in TRAIT_COLUMNS}
        first, last = i * num_images, (i + 1) * num_images
        for clip in range(config.num_clips):
            own = slice(first + clip, last, config.num_clips)
            made = Clip(
                clip_id=f"{identity}/{clip}",
                identity=identity,
                waveform=synthesizer.speak(population, persona, clip),
                faces=list(crops[own]),
                face_features=features[own],
                attributes=attributes,
                vectors=traits,
            )
            rows.append(to_row(made, "webp"))
    seconds["clips"] = time.process_time() - begin
    return Made(rows, seconds)


def _attributes(population: Population, persona: int) -> Attributes:
    """Sex and age of a persona."""
    return Attributes(
        sex="male" if population.is_male[persona] else "female",
        age=float(age_in_years(population.traits[persona, 0])),
    )


@functools.cache
def _cached_population(num_identities: int, seed: int) -> Population:
    """`draw_population`, once a process."""
    return draw_population(num_identities, seed)


@functools.cache
def _cached_synthesizer() -> VoiceSynthesizer:
    """The synthesizer of this process; its folder is removed when the process ends."""
    return VoiceSynthesizer()


def _report_crash(task: PersonasTask) -> Made:
    first, last = identity_name(task.personas[0]), identity_name(task.personas[-1])
    raise OutputError(
        f"{task.config.out}: a process died twice over {first} to {last}; is there memory left? "
        "run the same command again to go on"
    )


def _summarize(
    partial: Path,
    names: list[str],
    splits: list[Split],
    config: PersonasConfig,
    face_encoder: FaceEncoderInfo,
    request: dict[str, Any],
) -> DatasetInfo:
    """Content of dataset.json, with counts from the shards."""
    counts = count_shards(partial, names)
    assignment = {identity_name(persona): split for persona, split in enumerate(splits)}
    return DatasetInfo(
        num_clips=counts.num_clips,
        num_identities={split: splits.count(split) for split in SPLITS},
        num_voices=counts.num_voices,
        num_faces=counts.num_faces,
        shards=counts.rows,
        face_encoder=face_encoder,
        face_size=config.face_size,
        split=SplitInfo(config.seed, config.split_fractions, hash_assignment(assignment)),
        attribute_coverage={"sex": config.num_identities, "age": config.num_identities, "nationality": 0},
        request=request,
        extra={
            "population": {
                "num_identities": config.num_identities,
                "seed": config.seed,
                "face_noise": FACE_NOISE,
                "voice_noise": VOICE_NOISE,
                "trait_ranges": TRAIT_RANGES,
                "mean_age": MEAN_AGE,
                "age_deviation": AGE_DEVIATION,
            }
        },
    )
