"""Arithmetic of throughputs: clips a second in the steady state, compared within rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Measurement:
    """Results of one method.

    Attributes:
        name: Name in the printed table.
        rates: Clips a second, one value for each round.
        seconds: Seconds by step of the method, summed over rounds.
    """

    name: str
    rates: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, rate: float, seconds: Mapping[str, float]) -> None:
        """Add the results of one round."""
        self.rates.append(rate)
        for step, spent in seconds.items():
            self.seconds[step] = self.seconds.get(step, 0.0) + spent

    @property
    def rate(self) -> float:
        """Clips a second, the median over rounds."""
        return statistics.median(self.rates)


def shares_of(seconds: Mapping[str, float]) -> dict[str, float]:
    """Share of the time that each step takes; the sum is 1."""
    total = sum(seconds.values())
    return {step: spent / total for step, spent in seconds.items()} if total else {}


def steady_rate(moments: Sequence[float], num_first: int, num_last: int) -> float:
    """Clips a second without the start and the end of a run.

    Args:
        moments: Times at which clips were done, in seconds.
        num_first: Number of clips at the start that are left out: processes start and networks are loaded.
        num_last: Number of clips at the end that are left out: some workers have no work left.

    Raises:
        ValueError: If too few clips are left.
    """
    ordered = sorted(moments)
    first, last = num_first - 1, len(ordered) - 1 - num_last
    if first < 0 or last <= first:
        raise ValueError(f"{len(ordered)} clips leave nothing between {num_first} first and {num_last} last ones")
    return (last - first) / max(1e-9, ordered[last] - ordered[first])


def compare(one: Measurement, other: Measurement) -> list[float]:
    """Speed of `one` relative to `other` in each round: both are measured while the machine is equally busy."""
    return [a / b for a, b in zip(one.rates, other.rates, strict=True)]


def describe_ratios(ratios: Sequence[float]) -> str:
    """The median and, of several values, the range: `3.20 (3.00 .. 3.50)`."""
    median = statistics.median(ratios)
    return f"{median:.2f}" + (f" ({min(ratios):.2f} .. {max(ratios):.2f})" if len(ratios) > 1 else "")


def describe_shares(shares: Mapping[str, float]) -> str:
    """Steps with their share of the time: `decode 12 %, faces 70 %`."""
    return ", ".join(f"{step} {100 * share:.0f} %" for step, share in shares.items())
