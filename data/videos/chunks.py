"""A chunk of rows, the unit of work: fetched, described, and published as shards with its rows' states."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from data.errors import DatasetError, FetchStopped, MediaError, OutputError, one_line
from data.store.clip import SPLITS, Attributes
from data.store.shards import Row, clip_schema, encode_shard
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
    """What all chunks of a run have in common.

    Attributes:
        out: Where shards go, as `Storage` takes it.
        recipe: How videos become rows.
        fetch: How they are fetched; None if all are files of this machine.
        seed: Of the split.
        split_fractions: Shares of train, val and test.
        feature_size: Length of a face feature.
        time_limit: Time limit of fetching a row, and of describing it.
        low_memory: Whether sources are deleted as soon as their chunk is published.
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
    """Rows of a chunk that are to be done; others of it may have been done before."""

    names: ChunkNames
    rows: Sequence[VideoRequest | BadRequest]


@dataclass
class ChunkReport:
    """What became of the rows of a chunk in this run.

    Attributes:
        states: A state for each row that was done.
        seconds: Spent, by stage.
        stopped: Why everything is to stop; None as long as it is not.
    """

    states: list[Outcome] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    stopped: FetchStopped | None = None

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Count what a stage took."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


class ChunkWorker:
    """Does chunk after chunk, fetching a row in one process while another describes the row before."""

    def __init__(self, config: ChunkConfig) -> None:
        """Start nothing yet."""
        self._config = config
        self._storage = Storage(config.out)
        self._fetcher = WorkerProcess()
        self._describer = WorkerProcess(use_one_thread)

    def prepare(
        self,
        chunk: Chunk,
        stop: threading.Event | None = None,
        on_outcome: Callable[[Outcome], None] = lambda state: None,
    ) -> ChunkReport:
        """Do a chunk's rows and publish them.

        Args:
            chunk: Rows, in their order.
            stop: Once it is set, what is done is published and the rest left.
            on_outcome: Told of each row that is done.

        Raises:
            OutputError: If the shards can't be written; nothing of the chunk is published then.
            ModelError: If a face network can't be loaded.
            DatasetError: If what an earlier run published is damaged.
        """
        stop = stop or threading.Event()
        report, rows_of = ChunkReport(), {}
        for row, source in self._fetched(chunk.rows, report, stop):
            if isinstance(row, BadRequest):
                state = Outcome(row.index, "failed", reason=row.reason, message=row.message)
            elif isinstance(source, MediaError):
                state = _failed(row, source.reason, str(source))
            else:
                try:
                    described = self._describe(row, source, stop)
                except WorkerStoppedError:
                    break
                for stage, seconds in described.seconds.items():
                    report.add_seconds(stage, seconds)
                state = self._state_of(row, described, source)
                rows_of[row.index] = described.rows
            report.states.append(state)
            on_outcome(state)
        if report.states:
            start = time.monotonic()
            publish_chunk(self._storage, chunk.names, report.states, rows_of, self._config.feature_size)
            report.add_seconds("publish", time.monotonic() - start)
        if self._config.low_memory and self._config.fetch is not None:
            done = {state.row for state in report.states}
            for row in chunk.rows:
                if isinstance(row, VideoRequest) and row.path is None and row.index in done:
                    forget(row, self._config.fetch)
        return report

    def close(self) -> None:
        """End both processes."""
        self._fetcher.close()
        self._describer.close()

    def _fetched(
        self, rows: Sequence[VideoRequest | BadRequest], report: ChunkReport, stop: threading.Event
    ) -> Iterator[tuple[VideoRequest | BadRequest, SourceFile | MediaError]]:
        """Rows with their sources; each is fetched while its caller is busy with the one before."""
        with ThreadPoolExecutor(1) as ahead:
            upcoming: Future[SourceFile | MediaError] | None = None
            try:
                for place, row in enumerate(rows):
                    source = (upcoming or ahead.submit(self._fetch, row, report, stop)).result()
                    if stop.is_set():
                        return
                    if place + 1 < len(rows):
                        upcoming = ahead.submit(self._fetch, rows[place + 1], report, stop)
                    yield row, source
            except WorkerStoppedError:
                return
            except FetchStopped as stopped:
                report.stopped = stopped

    def _fetch(
        self, row: VideoRequest | BadRequest, report: ChunkReport, stop: threading.Event
    ) -> SourceFile | MediaError:
        """The row's source, or why there is none."""
        if isinstance(row, BadRequest):
            return MediaError(row.reason, row.message)
        if row.path is not None:
            return SourceFile(row.path, 0.0)
        config = self._config
        assert config.fetch is not None, row
        if stop.wait(wait_seconds(row, config.fetch)):
            raise WorkerStoppedError
        start = time.monotonic()
        try:
            return self._fetcher.call(fetch, row, config.fetch, seconds=config.time_limit, stop=stop)
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

    def _describe(self, row: VideoRequest, source: SourceFile, stop: threading.Event) -> ExtractedClips:
        """What the describing process says; a row over which it died is tried once more, alone with a fresh one."""
        problem = ""
        for _ in range(2):
            try:
                return self._describer.call(
                    extract_clips, row, source, self._config.recipe, seconds=self._config.time_limit, stop=stop
                )
            except TimeoutError as error:
                return ExtractedClips([], "timeout", f"describing it was {error}", {})
            except WorkerDiedError as error:
                problem = str(error)
            except RuntimeError as error:
                return ExtractedClips([], "unexpected", str(error), {})
        return ExtractedClips([], "crashed", f"a decoder crashed: {problem}", {})

    def _state_of(self, row: VideoRequest, described: ExtractedClips, source: SourceFile) -> Outcome:
        if not described.rows:
            # Where files of this machine lie is of no interest in a data set.
            return _failed(row, described.reason, described.message.replace(source.path, Path(source.path).name))
        return Outcome(
            row.index,
            "published",
            row.video_id,
            identity=row.identity,
            split=assign_split(row.identity, self._config.seed, self._config.split_fractions),
            clips=[clip["clip_id"] for clip in described.rows],
            num_faces=sum(len(clip["images"]) for clip in described.rows),
            known=known_attributes(row.attributes),
            flags=" ".join(sorted({flag for clip in described.rows for flag in clip["flags"].split()})),
        )


def known_attributes(attributes: Attributes) -> list[str]:
    """Names of the attributes that are known."""
    return [name for name in ("sex", "age", "nationality") if getattr(attributes, name) is not None]


def _failed(row: VideoRequest, reason: str, message: str) -> Outcome:
    return Outcome(row.index, "failed", row.video_id, reason=reason, message=one_line(message))


def publish_chunk(
    storage: Storage,
    names: ChunkNames,
    new: Sequence[Outcome],
    rows_of: Mapping[int, Sequence[Row]],
    feature_size: int,
) -> None:
    """Add rows to what is there of a chunk: its shards first, then the states, which make it valid.

    A run that was killed in between leaves rows that no state knows; they are dropped here.

    Args:
        storage: Where.
        names: Of the chunk.
        new: States of rows that were done; they replace older ones.
        rows_of: The clips of each row of the list that is published.
        feature_size: Length of a face feature.

    Raises:
        OutputError: If the place can't be written to.
        DatasetError: If what is there is damaged.
    """
    states = {**read_outcomes(storage, names), **{state.row: state for state in new}}
    schema = clip_schema(feature_size, texts=TEXT_COLUMNS)
    is_new = {state.row for state in new}
    try:
        for split in SPLITS:
            members = sorted((state for state in states.values() if state.split == split), key=lambda state: state.row)
            old_ids = {clip for state in members if state.row not in is_new for clip in state.clips}
            old = _read_rows(storage, names.shard(split), old_ids)
            clips = [
                clip
                for state in members
                for clip in (rows_of[state.row] if state.row in is_new else [old[clip] for clip in state.clips])
            ]
            if clips:
                storage.write(names.shard(split), encode_shard(clips, schema))
            else:
                storage.remove(names.shard(split))
        write_outcomes(storage, names, states.values())
    except OSError as error:
        raise OutputError(
            f"{storage.url}: can't be written to: {error.strerror or error}; "
            "free some space, then run the same command again to go on"
        ) from error


def _read_rows(storage: Storage, name: str, wanted: set[str]) -> dict[str, Row]:
    """Rows of a shard by clip id.

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
