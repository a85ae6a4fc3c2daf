"""What a data set of imported features says of itself in dataset.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data.errors import DatasetError

IMPORTED = "imported"
"""Key in the `extra` of dataset.json."""

VOICE_VECTOR = "voice_vector"
"""Column of the outputs of somebody else's network for recordings."""


@dataclass(frozen=True)
class ImportedInfo:
    """What was imported.

    Attributes:
        voice_network: Name of the network that gave the voice vectors.
        voice_size: Length of a voice vector.
    """

    voice_network: str
    voice_size: int


def read_imported(extra: dict[str, Any]) -> ImportedInfo | None:
    """What a data set says of its import; None for one with recordings and crops.

    Raises:
        DatasetError: If that can't be read.
    """
    if IMPORTED not in extra:
        return None
    try:
        return ImportedInfo(**extra[IMPORTED])
    except TypeError as error:
        raise DatasetError(f"dataset.json: {IMPORTED} is damaged ({error}); import the features again") from error
