"""Headlines and tables, as the templates of pages show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Headline:
    """A number that stands for much.

    Attributes:
        value: With its unit.
        name: What it is, in few words.
        note: What to hold beside it.
    """

    value: str
    name: str
    note: str


@dataclass(frozen=True)
class Table:
    """A table: the first column names the row, the others are numbers."""

    header: list[str]
    rows: list[list[str]]
