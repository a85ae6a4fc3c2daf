"""From a list of videos to a data set: requests without an outcome are done, chunk by chunk."""

from __future__ import annotations

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
from data.sources.recipe import load_face_networks
from data.store.clip import SPLITS
from data.store.publish import request_record, writing_to
from data.store.shards import INFO_NAME, PRIVATE_KEY, DatasetInfo, SplitInfo, decode_info, encode_info
from data.store.split import DEFAULT_FRACTIONS, assign_split, hash_assignment
from data.store.storage import Storage
from data.videos.chunks import Chunk, ChunkConfig
from data.videos.download.config import FetchConfig
from data.videos.download.fetch import sweep
from data.videos.executors import run_locally, run_on_ray
from data.videos.plan.outcomes import ChunkNames, Outcome, Status, Totals, count_outcomes, read_outcomes
from data.videos.plan.requests import RequestList
from data.videos.watch.clips import VideoRecipe
from data.workers import count_cores

CHUNK_ROWS = 64
"""Requests a chunk: few enough that a killed run loses minutes, many enough that a shard is worth a file."""


@dataclass(frozen=True)
class VideosConfig:
    """Settings of a preparation.

    Attributes:
        out: Folder of the data set, or any place that fsspec reaches.
        recipe: Settings by which videos become clips.
        fetch: Settings of downloads; None if all videos are files of this machine.
        first_row: First row of the list that is done.
        last_row: First row after it that is not done; None for all.
        retry: Reasons for which failed requests are tried again.
        seed: Seed of the split.
        split_fractions: Shares of train, val and test.
        num_workers: Number of chunks under way at once; the result does not depend on it.
        executor: Machines that do the chunks: this one, or a Ray cluster.
        time_limit: Seconds that fetching a request may take, and as many again its clips.
        low_memory: Whether downloads are deleted as soon as their clips are published.
        chunk_rows: Number of requests a chunk.
        spectrogram: Settings of the spectrogram that encoders shall use, for dataset.json.
        is_private: Whether dataset.json marks the data set as private; a mark that is there stays.
        verbose: Whether each outcome is printed.
    """

    out: str
    recipe: VideoRecipe
    fetch: FetchConfig | None
    first_row: int = 0
    last_row: int | None = None
    retry: tuple[str, ...] = ()
    seed: int = 0
    split_fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    num_workers: int = field(default_factory=count_cores)
    executor: Literal["local", "ray"] = "local"
    time_limit: float = 600.0
    low_memory: bool = False
    chunk_rows: int = CHUNK_ROWS
    spectrogram: Mapping[str, Any] = field(default_factory=dict)
    is_private: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class RunResult:
    """Result of a run.

    Attributes:
        info: Content of dataset.json.
        status: Counts of the outcomes that were asked for.
        seconds: Seconds spent by all workers together, by step.
        elapsed: Seconds that the run took.
        num_done: Number of requests that it did.
        signal: Signal that ended it early; None if none did.
    """

    info: DatasetInfo
    status: Status
    seconds: Mapping[str, float]
    elapsed: float
    num_done: int
    signal: signal.Signals | None


def prepare_videos(
    config: VideosConfig, requests: RequestList, on_outcome: Callable[[Outcome], None] | None = None
) -> RunResult:
    """Do all requests that have no outcome yet, or failed for a reason that is to be tried again.

    Args:
        config: Settings.
        requests: The list.
        on_outcome: Function that is called with each outcome, from any thread.

    Raises:
        ConfigError: If a setting is out of range.
        ModelError: If the face networks can't be loaded.
        DatasetError: If what is there is damaged.
        OutputError: If the output can't be written to, the disk is full, or something else is there.
        FetchStopped: If a server takes this machine for a robot; what was done before is published.
    """
    start = time.monotonic()
    span = row_span(requests, config.first_row, config.last_row)
    _check(config)
    storage = Storage(config.out)
    face_encoder = load_face_networks(config.recipe).recognizer.info
    record = _make_record(config, requests, face_encoder)
    seconds: dict[str, float] = {}
    num_done, stopped = 0, None
    with writing_to(config.out), storage.locked(), _stoppable() as (stop, received):
        if config.fetch is not None:
            sweep(config.fetch)  # what a killed run left
        extra = _claim(storage, record, config, face_encoder)
        before = read_status(storage, requests.num_rows, span, config.chunk_rows)
        todo = before.pending + _count_retried(config.retry, before)
        run = run_on_ray if config.executor == "ray" else run_locally
        num_workers = max(1, min(config.num_workers, -(-todo // config.chunk_rows)))
        with tqdm(total=todo, unit="request", desc="preparing", disable=None) as progress:

            def report_outcome(outcome: Outcome) -> None:
                progress.update()
                if config.verbose:
                    tqdm.write(_format_outcome(outcome))
                if on_outcome is not None:
                    on_outcome(outcome)

            chunks = _missing_chunks(storage, requests, span, config)
            settings = _chunk_config(config, face_encoder)
            for report in run(chunks, settings, num_workers, stop, report_outcome) if todo else ():
                for step, spent in report.seconds.items():
                    seconds[step] = seconds.get(step, 0.0) + spent
                num_done += len(report.outcomes)
                if report.stopped is not None:
                    stopped = report.stopped
                    stop.set()
        if config.fetch is not None:
            sweep(config.fetch)  # what a download that was given up left
        totals = Totals()
        status = read_status(storage, requests.num_rows, span, config.chunk_rows, totals)
        info = _summarize(totals, record, config, face_encoder, extra)
        storage.write(INFO_NAME, encode_info(info))
    if stopped is not None:
        raise stopped
    return RunResult(info, status, seconds, time.monotonic() - start, num_done, received[0] if received else None)


def row_span(requests: RequestList, first: int, last: int | None) -> tuple[int, int]:
    """The range of rows that is asked for.

    Raises:
        ConfigError: If there are none.
    """
    end = requests.num_rows if last is None else min(last, requests.num_rows)
    if not 0 <= first < end:
        wanted = f"rows {first} to {'the end' if last is None else last}"
        raise ConfigError(f"{wanted}: there are none, the list holds rows 0 to {requests.num_rows}")
    return first, end


def read_status(
    storage: Storage, num_rows: int, span: tuple[int, int], chunk_rows: int, totals: Totals | None = None
) -> Status:
    """Counts of the outcomes of a range of rows.

    Args:
        storage: Place of the data set.
        num_rows: Number of rows of the list.
        span: First row, and first row after the range.
        chunk_rows: Number of rows a chunk.
        totals: Sums to which the outcomes of all chunks, whatever the range, are added in the same pass; None for none.
    """
    there = set(storage.names())

    def outcomes() -> Iterator[Outcome]:
        for names, _, _ in _chunk_spans(num_rows, span if totals is None else (0, num_rows), chunk_rows):
            if names.outcomes in there:
                of_chunk = read_outcomes(storage, names)
                if totals is not None:
                    totals.add(names, of_chunk.values())
                yield from (outcome for row, outcome in of_chunk.items() if span[0] <= row < span[1])

    return count_outcomes(outcomes(), span[1] - span[0])


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
    storage: Storage, requests: RequestList, span: tuple[int, int], config: VideosConfig
) -> Iterator[Chunk]:
    """The requests of each chunk that are still to be done, found out when its turn comes."""
    for names, first, last in _chunk_spans(requests.num_rows, span, config.chunk_rows):
        outcomes = read_outcomes(storage, names)
        done = {row for row, own in outcomes.items() if own.state == "published" or own.reason not in config.retry}
        if done.issuperset(range(first, last)):
            continue
        yield Chunk(names, [request for request in requests.read(first, last) if request.index not in done])


def _check(config: VideosConfig) -> None:
    """Refuse settings that are out of range, before any work."""
    check_face_size(config.recipe.face_size)
    _check_positive("--workers", config.num_workers)
    _check_positive("--chunk-rows", config.chunk_rows)
    if not config.time_limit > 0:
        raise ConfigError(f"--time-limit {config.time_limit}: seconds above 0 expected")
    assign_split("", config.seed, config.split_fractions)


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{name} {value}: at least 1 expected")


def _make_record(config: VideosConfig, requests: RequestList, face_encoder: FaceEncoderInfo) -> dict[str, Any]:
    """All that decides about the result but the range of rows, which may grow; no paths of this machine."""
    return {
        **request_record(config.recipe, face_encoder, config.seed, config.split_fractions),
        "chunk_rows": config.chunk_rows,
        "list_sha256": requests.sha256,
    }


def _claim(
    storage: Storage, record: dict[str, Any], config: VideosConfig, face_encoder: FaceEncoderInfo
) -> dict[str, Any]:
    """Go on with a data set that was made with the same settings, or begin one where nothing is.

    Returns:
        Additional content of its dataset.json.

    Raises:
        OutputError: If something else is there.
    """
    there = storage.read(INFO_NAME)
    if there is None:
        if storage.names():
            raise OutputError(f"{storage.url}: already exists and is no data set; choose another --out")
        storage.write(INFO_NAME, encode_info(_summarize(Totals(), record, config, face_encoder, {})))
        return {}
    info = decode_info(there.decode("utf-8", "replace"), f"{storage.url}/{INFO_NAME}")
    names = {"face_encoder_sha256": "face network", "list_sha256": "list of videos"}
    if changed := [names.get(key, key) for key in record if info.request.get(key) != record[key]]:
        raise OutputError(
            f"{storage.url}: holds a data set made otherwise ({', '.join(changed)}); choose another --out, "
            "or the settings in its dataset.json"
        )
    return info.extra


def _count_retried(reasons: Sequence[str], before: Status) -> int:
    """Number of requests that are to be tried again.

    Raises:
        ConfigError: If no request failed for one of the reasons.
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
    record: dict[str, Any],
    config: VideosConfig,
    face_encoder: FaceEncoderInfo,
    extra: dict[str, Any],
) -> DatasetInfo:
    """The content of dataset.json, from the outcomes of all chunks, whatever range this run was asked for."""
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
        request=record,
        extra={
            **extra,
            **({"spectrogram": dict(config.spectrogram)} if config.spectrogram else {}),
            **({PRIVATE_KEY: True} if config.is_private else {}),
        },
    )


def _format_outcome(outcome: Outcome) -> str:
    """An outcome in a line."""
    what = f"{outcome.num_faces} faces, {len(outcome.clips)} clips"
    if not outcome.clips:
        what = f"{outcome.reason}: {outcome.message}"
    return f"row {outcome.row} {outcome.video_id}: {outcome.state}, {what}"


@contextmanager
def _stoppable() -> Iterator[tuple[threading.Event, list[signal.Signals]]]:
    """An event that SIGTERM and SIGINT set instead of ending the program, and the signals that came."""
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
