"""Outcomes: what became of each request, in a file beside the shards of each chunk."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from data.errors import DatasetError
from data.store.clip import SPLITS, Split
from data.store.storage import Storage


@dataclass(frozen=True)
class Outcome:
    """What became of one request. The attributes are the keys of its line in the file.

    Attributes:
        row: Number of the request's row in the list.
        state: Word `published` or `failed`.
        video_id: Id of the video; empty if the row can't be read.
        reason: Reason of the failure, a `data.errors.Reason`.
        message: Explanation of the reason, in one line.
        identity: Identity of the published clips.
        split: Split of the published clips.
        clips: Ids of the published clips.
        num_faces: Number of their crops.
        known: Names of the attributes that are known of the person.
        flags: Words about the clips, separated by spaces.
    """

    row: int
    state: str
    video_id: str = ""
    reason: str = ""
    message: str = ""
    identity: str = ""
    split: Split | None = None
    clips: Sequence[str] = ()
    num_faces: int = 0
    known: Sequence[str] = ()
    flags: str = ""


@dataclass(frozen=True)
class Status:
    """Counts of outcomes.

    Attributes:
        rows: Number of requests.
        published: Number of requests with at least one clip in the data set.
        failures: Number of failed requests, by reason.
    """

    rows: int
    published: int
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """Number of requests that are still to be done."""
        return self.rows - self.published - sum(self.failures.values())

    def as_dict(self) -> dict[str, Any]:
        """The counts as `--status --json` prints them."""
        failures = dict(sorted(self.failures.items()))
        return {"rows": self.rows, "published": self.published, "pending": self.pending, "failures": failures}


@dataclass(frozen=True)
class ChunkNames:
    """Names of a chunk's files: a shard a split, and the outcomes of its requests."""

    number: int
    num_chunks: int

    def shard(self, split: Split) -> str:
        """The name of the shard of a split."""
        return f"{split}-{self._suffix}.parquet"

    @property
    def outcomes(self) -> str:
        """The name of the file of outcomes; it is written last, and clips that it does not name don't count."""
        return f"rows-{self._suffix}.jsonl"

    @property
    def _suffix(self) -> str:
        return f"{self.number:05d}-of-{self.num_chunks:05d}"


def read_outcomes(storage: Storage, names: ChunkNames) -> dict[int, Outcome]:
    """The outcomes of a chunk, by row; none if nothing of it has been done.

    Raises:
        DatasetError: If the file is damaged.
    """
    content = storage.read(names.outcomes)
    if content is None:
        return {}
    try:
        outcomes = [Outcome(**json.loads(line)) for line in content.decode().splitlines()]
    except (ValueError, TypeError) as error:
        message = f"{storage.url}/{names.outcomes}: damaged ({error}); remove it and run the same command again"
        raise DatasetError(message) from error
    return {outcome.row: outcome for outcome in outcomes}


def write_outcomes(storage: Storage, names: ChunkNames, outcomes: Iterable[Outcome]) -> None:
    """Write a chunk's outcomes, sorted by row; empty values are left out."""
    lines = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.row):
        filled = {key: value for key, value in asdict(outcome).items() if value or key == "row"}
        lines.append(json.dumps(filled, ensure_ascii=False) + "\n")
    storage.write(names.outcomes, "".join(lines))


def count_outcomes(outcomes: Iterable[Outcome], num_rows: int) -> Status:
    """The counts of outcomes of `num_rows` requests."""
    published, failures = 0, collections.Counter[str]()
    for outcome in outcomes:
        if outcome.state == "published":
            published += 1
        else:
            failures[outcome.reason] += 1
    return Status(num_rows, published, failures)


@dataclass
class Totals:
    """Sums over all published requests, for dataset.json."""

    num_clips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    num_faces: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    shards: dict[str, int] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    known: dict[str, set[str]] = field(default_factory=lambda: collections.defaultdict(set))

    def add(self, names: ChunkNames, outcomes: Iterable[Outcome]) -> None:
        """Add the outcomes of a chunk."""
        for outcome in outcomes:
            if outcome.split is None:
                continue
            num_clips, shard = len(outcome.clips), names.shard(outcome.split)
            self.num_clips[outcome.split] += num_clips
            self.num_faces[outcome.split] += outcome.num_faces
            self.shards[shard] = self.shards.get(shard, 0) + num_clips
            self.splits[outcome.identity] = outcome.split
            for attribute in outcome.known:
                self.known[attribute].add(outcome.identity)
