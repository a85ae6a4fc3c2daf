"""Headlines and tables for the templates of pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Headline:
    """A number at the top of a page.

    Attributes:
        value: Value with its unit.
        name: Name in few words.
        note: Values to compare it with, or details.
    """

    value: str
    name: str
    note: str


@dataclass(frozen=True)
class Table:
    """A table: the first column names the row, the others are numbers."""

    header: list[str]
    rows: list[list[str]]
