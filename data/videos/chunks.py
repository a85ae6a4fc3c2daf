"""A chunk of requests, the unit of work: fetched, turned into clips, and published with its outcomes."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from data.errors import DatasetError, FetchStopped, MediaError, OutputError, Reason, one_line
from data.store.clip import SPLITS, Attributes, Row
from data.store.shards import clip_schema, encode_shard
from data.store.split import assign_split
from data.store.storage import Storage
from data.videos.download.config import FetchConfig
from data.videos.download.fetch import fetch, forget, wait_seconds
from data.videos.plan.outcomes import ChunkNames, Outcome, read_outcomes, write_outcomes
from data.videos.plan.requests import BadRequest, SourceFile, VideoRequest
from data.videos.watch.clips import ExtractedClips, VideoRecipe, extract_clips
from data.workers import WorkerDiedError, WorkerProcess, WorkerStoppedError, use_one_thread

TEXT_COLUMNS = ("flags",)


@dataclass(frozen=True)
class ChunkConfig:
    """Settings that all chunks of a run share.

    Attributes:
        out: Place of the shards, as `Storage` takes it.
        recipe: Settings by which videos become clips.
        fetch: Settings of downloads; None if all videos are files of this machine.
        seed: Seed of the split.
        split_fractions: Shares of train, val and test.
        feature_size: Length of a face feature.
        time_limit: Seconds that fetching a request may take, and as many again its clips.
        low_memory: Whether downloads are deleted as soon as their chunk is published.
    """

    out: str
    recipe: VideoRecipe
    fetch: FetchConfig | None
    seed: int
    split_fractions: tuple[float, float, float]
    feature_size: int
    time_limit: float
    low_memory: bool


@dataclass(frozen=True)
class Chunk:
    """Requests of a chunk that are to be done; others of it may have been done before."""

    names: ChunkNames
    requests: Sequence[VideoRequest | BadRequest]


@dataclass
class ChunkReport:
    """Outcomes of a chunk in this run.

    Attributes:
        outcomes: One for each request that was done.
        seconds: Seconds spent, by step.
        stopped: Error that stops the whole run; None as long as there is none.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    stopped: FetchStopped | None = None

    def add_seconds(self, step: str, seconds: float) -> None:
        """Add seconds spent on a step."""
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds


class ChunkWorker:
    """Does chunk after chunk; one process fetches a request while another one makes the clips of the request before."""

    def __init__(self, config: ChunkConfig) -> None:
        """Start nothing yet."""
        self._config = config
        self._storage = Storage(config.out)
        self._fetcher = WorkerProcess()
        self._extractor = WorkerProcess(use_one_thread)

    def prepare(
        self,
        chunk: Chunk,
        stop: threading.Event | None = None,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    ) -> ChunkReport:
        """Do a chunk's requests and publish their clips.

        Args:
            chunk: Requests, in their order.
            stop: Event that ends the work early: what is done is published, the rest is left.
            on_outcome: Function that is called with each outcome.

        Raises:
            OutputError: If the shards can't be written; nothing of the chunk is published then.
            ModelError: If a face network can't be loaded.
            DatasetError: If what an earlier run published is damaged.
        """
        stop = stop or threading.Event()
        report, rows_of = ChunkReport(), {}
        for request, source in self._fetched(chunk.requests, report, stop):
            if isinstance(request, BadRequest):
                outcome = Outcome(request.index, "failed", reason=request.reason, message=request.message)
            elif isinstance(source, MediaError):
                outcome = _failed(request, source.reason, str(source))
            else:
                try:
                    extracted = self._extract(request, source, stop)
                except WorkerStoppedError:
                    break
                for step, seconds in extracted.seconds.items():
                    report.add_seconds(step, seconds)
                outcome = self._outcome_of(request, extracted, source)
                rows_of[request.index] = extracted.rows
            report.outcomes.append(outcome)
            on_outcome(outcome)
        if report.outcomes:
            start = time.monotonic()
            publish_chunk(self._storage, chunk.names, report.outcomes, rows_of, self._config.feature_size)
            report.add_seconds("publish", time.monotonic() - start)
        if self._config.low_memory and self._config.fetch is not None:
            done = {outcome.row for outcome in report.outcomes}
            for request in chunk.requests:
                if isinstance(request, VideoRequest) and request.path is None and request.index in done:
                    forget(request, self._config.fetch)
        return report

    def close(self) -> None:
        """Kill both processes, whatever they do."""
        self._fetcher.kill()
        self._extractor.kill()

    def _fetched(
        self, requests: Sequence[VideoRequest | BadRequest], report: ChunkReport, stop: threading.Event
    ) -> Iterator[tuple[VideoRequest | BadRequest, SourceFile | MediaError]]:
        """Requests with their files; each is fetched while the caller is busy with the one before."""
        with ThreadPoolExecutor(1) as ahead:
            upcoming: Future[SourceFile | MediaError] | None = None
            try:
                for i, request in enumerate(requests):
                    source = (upcoming or ahead.submit(self._fetch, request, report, stop)).result()
                    if stop.is_set():
                        return
                    if i + 1 < len(requests):
                        upcoming = ahead.submit(self._fetch, requests[i + 1], report, stop)
                    yield request, source
            except WorkerStoppedError:
                return
            except FetchStopped as stopped:
                report.stopped = stopped

    def _fetch(
        self, request: VideoRequest | BadRequest, report: ChunkReport, stop: threading.Event
    ) -> SourceFile | MediaError:
        """The request's file, or why there is none."""
        if isinstance(request, BadRequest):
            return MediaError(request.reason, request.message)
        if request.path is not None:
            return SourceFile(request.path)
        config = self._config
        assert config.fetch is not None, request
        if stop.wait(wait_seconds(request, config.fetch)):
            raise WorkerStoppedError
        start = time.monotonic()
        try:
            return self._fetcher.call(fetch, request, config.fetch, time_limit=config.time_limit, stop=stop)
        except MediaError as error:
            return error
        except TimeoutError as error:
            return MediaError("timeout", f"the download was {error}")
        except WorkerDiedError as error:
            return MediaError("crashed", f"the download failed: {error}")
        except RuntimeError as error:
            return MediaError("unexpected", f"the download failed: {error}")
        finally:
            report.add_seconds("fetch", time.monotonic() - start)

    def _extract(self, request: VideoRequest, source: SourceFile, stop: threading.Event) -> ExtractedClips:
        """The clips of a request; one whose process died is tried once more, in a fresh process."""
        config, problem = self._config, ""
        for _ in range(2):
            try:
                return self._extractor.call(
                    extract_clips, request, source, config.recipe, time_limit=config.time_limit, stop=stop
                )
            except TimeoutError as error:
                return ExtractedClips([], "timeout", f"the work on it was {error}", {})
            except WorkerDiedError as error:
                problem = str(error)
            except RuntimeError as error:
                return ExtractedClips([], "unexpected", str(error), {})
        return ExtractedClips([], "crashed", f"a decoder crashed: {problem}", {})

    def _outcome_of(self, request: VideoRequest, extracted: ExtractedClips, source: SourceFile) -> Outcome:
        if extracted.reason is not None:
            # Paths of this machine are kept out of the data set.
            return _failed(request, extracted.reason, extracted.message.replace(source.path, Path(source.path).name))
        return Outcome(
            request.index,
            "published",
            request.video_id,
            identity=request.identity,
            split=assign_split(request.identity, self._config.seed, self._config.split_fractions),
            clips=[clip["clip_id"] for clip in extracted.rows],
            num_faces=sum(len(clip["images"]) for clip in extracted.rows),
            known=known_attributes(request.attributes),
            flags=" ".join(sorted({flag for clip in extracted.rows for flag in clip["flags"].split()})),
        )


def known_attributes(attributes: Attributes) -> list[str]:
    """Names of the attributes that are known."""
    return [name for name in ("sex", "age", "nationality") if getattr(attributes, name) is not None]


def _failed(request: VideoRequest, reason: Reason, message: str) -> Outcome:
    return Outcome(request.index, "failed", request.video_id, reason=reason, message=one_line(message))


def publish_chunk(
    storage: Storage,
    names: ChunkNames,
    new: Sequence[Outcome],
    rows_of: Mapping[int, Sequence[Row]],
    feature_size: int,
) -> None:
    """Add clips to those that are there of a chunk: its shards first, then the outcomes, which make them count.

    A run that was killed in between leaves clips that no outcome names; they are dropped here.

    Args:
        storage: Place of the shards.
        names: Names of the chunk's files.
        new: Outcomes of this run; they replace older ones.
        rows_of: Clips of each published request as rows of a shard, by the request's index.
        feature_size: Length of a face feature.

    Raises:
        OutputError: If the place can't be written to.
        DatasetError: If what is there is damaged.
    """
    outcomes = {**read_outcomes(storage, names), **{outcome.row: outcome for outcome in new}}
    schema = clip_schema(feature_size, texts=TEXT_COLUMNS)
    is_new = {outcome.row for outcome in new}
    try:
        for split in SPLITS:
            members = sorted((own for own in outcomes.values() if own.split == split), key=lambda own: own.row)
            old_ids = {clip for own in members if own.row not in is_new for clip in own.clips}
            old = _read_rows(storage, names.shard(split), old_ids)
            clips = [
                clip
                for own in members
                for clip in (rows_of[own.row] if own.row in is_new else [old[clip] for clip in own.clips])
            ]
            if clips:
                storage.write(names.shard(split), encode_shard(clips, schema))
            else:
                storage.remove(names.shard(split))
        write_outcomes(storage, names, outcomes.values())
    except OSError as error:
        raise OutputError(
            f"{storage.url}: can't be written to: {error.strerror or error}; "
            "free some space, then run the same command again to go on"
        ) from error


def _read_rows(storage: Storage, name: str, wanted: set[str]) -> dict[str, Row]:
    """Wanted rows of a shard by clip id.

    Raises:
        DatasetError: If one of them is missing or the file is damaged.
    """
    if not wanted:
        return {}
    content = storage.read(name)
    problem = "missing"
    if content is not None:
        try:
            rows = pq.read_table(io.BytesIO(content), use_threads=False).to_pylist()
            found = {row["clip_id"]: row for row in rows if row["clip_id"] in wanted}
            if len(found) == len(wanted):
                return found
            problem = f"lacks {len(wanted) - len(found)} clips that were published"
        except (OSError, ValueError) as error:  # Arrow's errors are among these
            problem = f"damaged ({str(error).splitlines()[0]})"
    raise DatasetError(
        f"{storage.url}/{name}: {problem}; remove it and the rows-... file of the same number, "
        "then run the same command again"
    )
