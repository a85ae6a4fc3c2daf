"""Arithmetic of paces: clips a second in the steady state, compared within rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Measured:
    """What one way of doing the work took, round by round.

    Attributes:
        name: In the printed table.
        paces: Clips a second, one a round.
        seconds: By stage, summed over rounds.
    """

    name: str
    paces: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, pace: float, seconds: Mapping[str, float]) -> None:
        """Note a round."""
        self.paces.append(pace)
        for stage, spent in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    @property
    def pace(self) -> float:
        """Clips a second: the median round."""
        return statistics.median(self.paces)


def shares_of(seconds: Mapping[str, float]) -> dict[str, float]:
    """Part of the time that each stage takes; their sum is 1."""
    total = sum(seconds.values())
    return {stage: spent / total for stage, spent in seconds.items()} if total else {}


def steady_pace(moments: Sequence[float], num_first: int, num_last: int) -> float:
    """Ends a second between the start of the machinery and its running dry.

    Args:
        moments: When each clip was done, in seconds.
        num_first: Clips at the beginning that only tell that everything has started.
        num_last: Clips at the end, of which some are done while other workers have nothing left to do.
    """
    ordered = sorted(moments)
    first, last = num_first - 1, len(ordered) - 1 - num_last
    if first < 0 or last <= first:
        raise ValueError(f"{len(ordered)} clips leave nothing between {num_first} first and {num_last} last ones")
    return (last - first) / max(1e-9, ordered[last] - ordered[first])


def compare(one: Measured, other: Measured) -> list[float]:
    """How many times as fast `one` was as `other` in each round, so that a slow minute was slow to both."""
    return [a / b for a, b in zip(one.paces, other.paces, strict=True)]


def describe_ratios(ratios: Sequence[float]) -> str:
    """The median, and the range where there is one: `3.2 (3.0 .. 3.5)`."""
    median = statistics.median(ratios)
    return f"{median:.2f}" + (f" ({min(ratios):.2f} .. {max(ratios):.2f})" if len(ratios) > 1 else "")


def describe_shares(shares: Mapping[str, float]) -> str:
    """Stages with their part of the time: `decode 12 %, faces 70 %`."""
    return ", ".join(f"{stage} {100 * share:.0f} %" for stage, share in shares.items())
