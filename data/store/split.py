"""Split of a person: decided by a hash of the identity alone, so the same on every machine."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence

from data.errors import ConfigError
from data.store.clip import Split

DEFAULT_FRACTIONS = (0.75, 0.05, 0.20)
"""Shares of train, val and test."""


def normalise_identity(name: str) -> str:
    """Unicode's form NFC of a name, because file systems and spreadsheets use different forms of the same name."""
    return unicodedata.normalize("NFC", name)


def assign_split(identity: str, seed: int = 0, fractions: Sequence[float] = DEFAULT_FRACTIONS) -> Split:
    """Split of a person: SHA-256 of "seed:identity" (NFC) as a number in [0, 1), compared with cumulative fractions.

    Args:
        identity: Name of the person.
        seed: Seed of the split.
        fractions: Shares of train, val and test.

    Raises:
        ConfigError: If the fractions are not three non-negative numbers that sum to 1.
    """
    if len(fractions) != 3 or not (min(fractions) >= 0 and abs(sum(fractions) - 1) < 1e-6):
        raise ConfigError(f"split fractions {list(fractions)}: train, val and test must be >= 0 and sum to 1")
    digest = hashlib.sha256(f"{seed}:{normalise_identity(identity)}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < fractions[0]:
        return "train"
    # A split with fraction 0 stays empty, also if the sum is below 1 by rounding.
    if position < fractions[0] + fractions[1] or not fractions[2]:
        return "val" if fractions[1] else "train"
    return "test"


def hash_assignment(splits: Mapping[str, Split]) -> str:
    """SHA-256 of the sorted lines "identity<tab>split": equal hashes mean equal test sets."""
    lines = "".join(f"{identity}\t{split}\n" for identity, split in sorted(splits.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
