"""The card of a model: what its header says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml
from huggingface_hub import ModelCard

from data.errors import ModelError, one_line
from training.pretrained import find_model

CARD_NAME = "README.md"

Told = Literal["sex", "age"]
"""What may be told of a drawing beside showing it."""


@dataclass(frozen=True)
class Card:
    """The README.md in a model's folder.

    Attributes:
        header: Its YAML header.
        text: Its Markdown.
    """

    header: dict[str, Any]
    text: str

    @property
    def told(self) -> tuple[Told, ...]:
        """What `may_tell` in the header allows; nothing by default."""
        allowed = self.header.get("may_tell", ())
        return tuple(cast(Told, what) for what in get_args(Told) if isinstance(allowed, list) and what in allowed)


def read_card(folder_or_hub_id: str | Path) -> Card:
    """Read the card of a model; an empty one if it has none.

    Raises:
        ModelError: If the model is missing, or the card's header can't be read.
    """
    path = find_model(folder_or_hub_id) / CARD_NAME
    try:
        card = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
        return Card(dict(yaml.safe_load(card.data.to_yaml()) or {}), card.text.lstrip())
    except FileNotFoundError:
        return Card({}, "")
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{path}: the card can't be read: {one_line(error)[:300]}") from None
