"""What became of each row of a list: published or failed, and why; a side file beside the shards of each chunk."""

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
    """The state of one row.

    Attributes:
        row: Its place in the list.
        state: `published` or `failed`.
        video_id: Of a row that could be read.
        reason: Why it failed: a short slug, see docs/videos.md.
        message: What was wrong, in one line.
        identity: Whose clips they are, if published.
        split: Where they are.
        clips: Their ids.
        num_faces: How many crops they have in all.
        known: What is known of the person: names of attributes.
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
    """How far a list is.

    Attributes:
        rows: How many are asked for.
        published: Rows with at least one clip in the data set.
        failures: Rows by reason.
    """

    rows: int
    published: int
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """Rows that are still to be done."""
        return self.rows - self.published - sum(self.failures.values())

    def as_dict(self) -> dict[str, Any]:
        """As `--status --json` prints it."""
        failures = dict(sorted(self.failures.items()))
        return {"rows": self.rows, "published": self.published, "pending": self.pending, "failures": failures}


@dataclass(frozen=True)
class ChunkNames:
    """The files of a chunk: a shard a split, and the side file with its rows' states."""

    number: int
    num_chunks: int

    def shard(self, split: Split) -> str:
        """The name of the shard of a split."""
        return f"{split}-{self._place}.parquet"

    @property
    def states(self) -> str:
        """The name of the side file; it is written last, and what it does not say has not happened."""
        return f"rows-{self._place}.jsonl"

    @property
    def _place(self) -> str:
        return f"{self.number:05d}-of-{self.num_chunks:05d}"


def read_outcomes(storage: Storage, names: ChunkNames) -> dict[int, Outcome]:
    """The states of a chunk's rows, by row; none if nothing of it has been done.

    Raises:
        DatasetError: If the side file is damaged.
    """
    content = storage.read(names.states)
    if content is None:
        return {}
    try:
        states = [Outcome(**json.loads(line)) for line in content.decode().splitlines()]
    except (ValueError, TypeError) as error:
        message = f"{storage.url}/{names.states}: damaged ({error}); remove it and run the same command again"
        raise DatasetError(message) from error
    return {state.row: state for state in states}


def write_outcomes(storage: Storage, names: ChunkNames, states: Iterable[Outcome]) -> None:
    """Write a chunk's side file, sorted by row; what a state has nothing to say about is left out."""
    lines = []
    for state in sorted(states, key=lambda state: state.row):
        said = {key: value for key, value in asdict(state).items() if value or key == "row"}
        lines.append(json.dumps(said, ensure_ascii=False) + "\n")
    storage.write(names.states, "".join(lines))


def count_outcomes(states: Iterable[Outcome], num_rows: int) -> Status:
    """How far a list of which `num_rows` are asked for is."""
    published, failures = 0, collections.Counter[str]()
    for state in states:
        if state.state == "published":
            published += 1
        else:
            failures[state.reason] += 1
    return Status(num_rows, published, failures)


@dataclass
class Totals:
    """Sums over all rows that are published; what dataset.json says."""

    num_clips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    num_faces: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    shards: dict[str, int] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    known: dict[str, set[str]] = field(default_factory=lambda: collections.defaultdict(set))

    def add(self, names: ChunkNames, states: Iterable[Outcome]) -> None:
        """Count a chunk's rows."""
        for state in states:
            if state.split is None:
                continue
            num_clips, shard = len(state.clips), names.shard(state.split)
            self.num_clips[state.split] += num_clips
            self.num_faces[state.split] += state.num_faces
            self.shards[shard] = self.shards.get(shard, 0) + num_clips
            self.splits[state.identity] = state.split
            for attribute in state.known:
                self.known[attribute].add(state.identity)
