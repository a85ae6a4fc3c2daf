"""Which split a person belongs to: decided by a hash of the name alone, so the same on every machine."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence

from data.errors import ConfigError
from data.store.clip import Split

DEFAULT_FRACTIONS = (0.75, 0.05, 0.20)
"""Shares of train, val and test."""


def normalise_identity(name: str) -> str:
    """The name in Unicode's form NFC: file systems and spreadsheets write the same name in different forms."""
    return unicodedata.normalize("NFC", name)


def assign_split(identity: str, seed: int = 0, fractions: Sequence[float] = DEFAULT_FRACTIONS) -> Split:
    """The split of a person: SHA-256 of "seed:identity", read as a number in [0, 1), against the fractions'
    sums.

    Raises:
        ConfigError: If the fractions are not three non-negative numbers that sum to 1.
    """
    if len(fractions) != 3 or not (min(fractions) >= 0 and abs(sum(fractions) - 1) < 1e-6):
        raise ConfigError(f"split fractions {list(fractions)}: train, val and test must be >= 0 and sum to 1")
    digest = hashlib.sha256(f"{seed}:{normalise_identity(identity)}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < fractions[0]:
        return "train"
    # A share of nothing gets nobody, also where rounding leaves a gap before 1.
    if position < fractions[0] + fractions[1] or not fractions[2]:
        return "val" if fractions[1] else "train"
    return "test"


def hash_assignment(splits: Mapping[str, Split]) -> str:
    """SHA-256 of the sorted lines "identity<tab>split": the same hash, the same people held out."""
    lines = "".join(f"{identity}\t{split}\n" for identity, split in sorted(splits.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
