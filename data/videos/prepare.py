"""From a list of videos to a data set: what is missing is done, chunk by chunk; the rest is left as it is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tqdm import tqdm

from data.errors import ConfigError, OutputError
from data.faces.alignment import check_face_size
from data.faces.protocol import FaceEncoderInfo
from data.store.clip import SPLITS
from data.store.publish import request_record, writing_to
from data.store.shards import INFO_NAME, DatasetInfo, SplitInfo, decode_info, encode_info
from data.store.split import DEFAULT_FRACTIONS, assign_split, hash_assignment
from data.store.storage import Storage
from data.videos.chunks import Chunk, ChunkConfig
from data.videos.download.config import FetchConfig
from data.videos.download.fetch import sweep
from data.videos.executors import run_locally, run_on_ray
from data.videos.plan.outcomes import ChunkNames, Outcome, Status, Totals, count_outcomes, read_outcomes
from data.videos.plan.requests import RequestList
from data.videos.watch.clips import VideoRecipe, load_face_networks

CHUNK_ROWS = 64
"""Rows a chunk: few enough that a killed run loses minutes, many enough that a shard is worth a file."""


@dataclass(frozen=True)
class VideosConfig:
    """What to prepare, how, and where to.

    Attributes:
        out: A folder, or any place that fsspec reaches.
        recipe: How videos become rows.
        fetch: How they are fetched; None if all are files of this machine.
        first_row: Rows before it are left out.
        last_row: Rows from it on are left out; None for all.
        retry: Reasons for which failed rows are tried again.
        seed: Of the split.
        split_fractions: Shares of train, val and test.
        num_workers: Chunks under way at once; the result does not depend on it.
        executor: Where they are done.
        time_limit: Time limit of fetching a row, and of describing it.
        low_memory: Whether sources are deleted as soon as their clips are published.
        chunk_rows: Rows a chunk.
        spectrogram: What the data set says of the spectrogram that encoders shall use.
        verbose: Whether each row is told of.
    """

    out: str
    recipe: VideoRecipe
    fetch: FetchConfig | None
    first_row: int = 0
    last_row: int | None = None
    retry: tuple[str, ...] = ()
    seed: int = 0
    split_fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    num_workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    executor: Literal["local", "ray"] = "local"
    time_limit: float = 600.0
    low_memory: bool = False
    chunk_rows: int = CHUNK_ROWS
    spectrogram: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        info: What dataset.json says now.
        status: Of the rows that were asked for.
        seconds: Spent by all workers together, by stage.
        elapsed: Seconds that the run took.
        num_done: Rows that it did.
        signal: That ended it early; None if none did.
    """

    info: DatasetInfo
    status: Status
    seconds: Mapping[str, float]
    elapsed: float
    num_done: int
    signal: signal.Signals | None


def prepare_videos(
    config: VideosConfig, rows: RequestList, on_outcome: Callable[[Outcome], None] | None = None
) -> RunResult:
    """Do all rows that have no state yet, or failed for a reason that is to be tried again.

    Args:
        config: See there.
        rows: The list.
        on_outcome: Told of each row that is done, from any thread.

    Raises:
        ConfigError: If a setting is out of range.
        ModelError: If the face networks can't be loaded.
        DatasetError: If what is there is damaged.
        OutputError: If the output can't be written to, the disk is full, or something else is there.
        FetchStopped: If a server takes this machine for a robot; what was done before is published.
    """
    start = time.monotonic()
    span = row_span(rows, config.first_row, config.last_row)
    _check(config)
    storage = Storage(config.out)
    face_encoder = load_face_networks(config.recipe).recognizer.info
    request = _describe_request(config, rows, face_encoder)
    seconds: dict[str, float] = {}
    num_done, stopped = 0, None
    with writing_to(config.out), storage.locked(), _stoppable() as (stop, received):
        if config.fetch is not None:
            sweep(config.fetch)  # what a killed run left
        extra = _claim(storage, request, config, face_encoder)
        before = read_status(storage, rows.num_rows, span, config.chunk_rows)
        todo = before.pending + _count_retried(config.retry, before)
        run = run_on_ray if config.executor == "ray" else run_locally
        num_workers = max(1, min(config.num_workers, -(-todo // config.chunk_rows)))
        with tqdm(total=todo, unit="row", desc="preparing", disable=None) as progress:

            def tell(state: Outcome) -> None:
                progress.update()
                if config.verbose:
                    tqdm.write(_tell_row(state))
                if on_outcome is not None:
                    on_outcome(state)

            chunks = _missing_chunks(storage, rows, span, config)
            for report in run(chunks, _chunk_config(config, face_encoder), num_workers, stop, tell) if todo else ():
                for stage, spent in report.seconds.items():
                    seconds[stage] = seconds.get(stage, 0.0) + spent
                num_done += len(report.states)
                if report.stopped is not None:
                    stopped = report.stopped
                    stop.set()
        if config.fetch is not None:
            sweep(config.fetch)  # what a download that was given up left
        totals = Totals()
        status = read_status(storage, rows.num_rows, span, config.chunk_rows, totals)
        info = _summarize(totals, request, config, face_encoder, extra)
        storage.write(INFO_NAME, encode_info(info))
    if stopped is not None:
        raise stopped
    return RunResult(info, status, seconds, time.monotonic() - start, num_done, received[0] if received else None)


def row_span(rows: RequestList, first: int, last: int | None) -> tuple[int, int]:
    """The rows that are asked for, as a range.

    Raises:
        ConfigError: If there are none.
    """
    end = rows.num_rows if last is None else min(last, rows.num_rows)
    if not 0 <= first < end:
        wanted = f"rows {first} to {'the end' if last is None else last}"
        raise ConfigError(f"{wanted}: there are none, the list holds rows 0 to {rows.num_rows}")
    return first, end


def read_status(
    storage: Storage, num_rows: int, span: tuple[int, int], chunk_rows: int, totals: Totals | None = None
) -> Status:
    """How far the rows of a range are, by the side files alone.

    Args:
        storage: Where they are.
        num_rows: Of the list.
        span: The range.
        chunk_rows: Rows a chunk.
        totals: If given, the rows of all chunks, whatever the range, are counted on it in the same pass.
    """
    there = set(storage.names())

    def states() -> Iterator[Outcome]:
        for names, _, _ in _chunk_spans(num_rows, span if totals is None else (0, num_rows), chunk_rows):
            if names.states in there:
                of_chunk = read_outcomes(storage, names)
                if totals is not None:
                    totals.add(names, of_chunk.values())
                yield from (state for row, state in of_chunk.items() if span[0] <= row < span[1])

    return count_outcomes(states(), span[1] - span[0])


def _chunk_spans(num_rows: int, span: tuple[int, int], chunk_rows: int) -> Iterator[tuple[ChunkNames, int, int]]:
    """The chunks that a range of rows touches, each with the part of the range that lies in it.

    Raises:
        ConfigError: If a chunk would hold nothing.
    """
    _check_positive("--chunk-rows", chunk_rows)
    num_chunks = -(-num_rows // chunk_rows)
    for number in range(span[0] // chunk_rows, -(-span[1] // chunk_rows)):
        first, last = number * chunk_rows, (number + 1) * chunk_rows
        yield ChunkNames(number, num_chunks), max(first, span[0]), min(last, span[1])


def _missing_chunks(
    storage: Storage, rows: RequestList, span: tuple[int, int], config: VideosConfig
) -> Iterator[Chunk]:
    """What is still to be done of each chunk, found out when its turn comes."""
    for names, first, last in _chunk_spans(rows.num_rows, span, config.chunk_rows):
        states = read_outcomes(storage, names)
        done = {row for row, state in states.items() if state.state == "published" or state.reason not in config.retry}
        if done.issuperset(range(first, last)):
            continue
        yield Chunk(names, [row for row in rows.read(first, last) if row.index not in done])


def _check(config: VideosConfig) -> None:
    """Refuse settings that can't be, before any work."""
    check_face_size(config.recipe.face_size)
    _check_positive("--workers", config.num_workers)
    _check_positive("--chunk-rows", config.chunk_rows)
    if not config.time_limit > 0:
        raise ConfigError(f"--time-limit {config.time_limit}: seconds above 0 expected")
    assign_split("", config.seed, config.split_fractions)


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{name} {value}: at least 1 expected")


def _describe_request(config: VideosConfig, rows: RequestList, face_encoder: FaceEncoderInfo) -> dict[str, Any]:
    """All that decides about the result but the range of rows, which may grow; no paths of this machine."""
    return {
        **request_record(config.recipe, face_encoder, config.seed, config.split_fractions),
        "chunk_rows": config.chunk_rows,
        "list_sha256": rows.sha256,
    }


def _claim(
    storage: Storage, request: dict[str, Any], config: VideosConfig, face_encoder: FaceEncoderInfo
) -> dict[str, Any]:
    """Make the output ours: go on with a data set of the same request, begin one where nothing is.

    Returns:
        What else its dataset.json says.

    Raises:
        OutputError: If something else is there.
    """
    there = storage.read(INFO_NAME)
    if there is None:
        if storage.names():
            raise OutputError(f"{storage.url}: already exists and is no data set; choose another --out")
        storage.write(INFO_NAME, encode_info(_summarize(Totals(), request, config, face_encoder, {})))
        return {}
    info = decode_info(there.decode("utf-8", "replace"), f"{storage.url}/{INFO_NAME}")
    names = {"face_encoder_sha256": "face network", "list_sha256": "list of videos"}
    if changed := [names.get(key, key) for key in request if info.request.get(key) != request[key]]:
        raise OutputError(
            f"{storage.url}: holds a data set made otherwise ({', '.join(changed)}); choose another --out, "
            "or the settings in its dataset.json"
        )
    return info.extra


def _count_retried(reasons: Sequence[str], before: Status) -> int:
    """How many rows are to be tried again.

    Raises:
        ConfigError: If a reason is none of those that are there.
    """
    if unknown := [reason for reason in reasons if reason not in before.failures]:
        there = ", ".join(sorted(before.failures)) or "none"
        raise ConfigError(f"--retry {','.join(unknown)}: no row failed for this reason; reasons there: {there}")
    return sum(before.failures[reason] for reason in set(reasons))


def _chunk_config(config: VideosConfig, face_encoder: FaceEncoderInfo) -> ChunkConfig:
    return ChunkConfig(
        out=config.out,
        recipe=config.recipe,
        fetch=config.fetch,
        seed=config.seed,
        split_fractions=config.split_fractions,
        feature_size=face_encoder.feature_size,
        time_limit=config.time_limit,
        low_memory=config.low_memory,
    )


def _summarize(
    totals: Totals,
    request: dict[str, Any],
    config: VideosConfig,
    face_encoder: FaceEncoderInfo,
    extra: dict[str, Any],
) -> DatasetInfo:
    """dataset.json, from what is published of all chunks, whatever range this run was asked for."""
    return DatasetInfo(
        num_clips=totals.num_clips,
        num_identities={split: sum(s == split for s in totals.splits.values()) for split in SPLITS},
        num_voices=totals.num_clips,
        num_faces=totals.num_faces,
        shards=dict(sorted(totals.shards.items())),
        face_encoder=face_encoder,
        face_size=config.recipe.face_size,
        split=SplitInfo(config.seed, config.split_fractions, hash_assignment(totals.splits)),
        attribute_coverage={name: len(totals.known.get(name, ())) for name in ("sex", "age", "nationality")},
        request=request,
        extra={**extra, **({"spectrogram": dict(config.spectrogram)} if config.spectrogram else {})},
    )


def _tell_row(state: Outcome) -> str:
    """A row's state in a line."""
    what = f"{state.num_faces} faces, {len(state.clips)} clips" if state.clips else f"{state.reason}: {state.message}"
    return f"row {state.row} {state.video_id}: {state.state}, {what}"


@contextmanager
def _stoppable() -> Iterator[tuple[threading.Event, list[signal.Signals]]]:
    """An event that SIGTERM and SIGINT set instead of ending the program, and which of them came."""
    stop, received = threading.Event(), list[signal.Signals]()

    def handle(number: int, frame: Any) -> None:
        received.append(signal.Signals(number))
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop, received
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop, received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
