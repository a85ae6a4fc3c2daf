"""What was run to get here, and how long it took: the record that scripts/demo.py leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from data.errors import ConfigError
from data.files import write_file


@dataclass(frozen=True)
class Stage:
    """A command that was run.

    Attributes:
        title: What it did.
        seconds: How long it took; 0 if that is not known.
        command: As one would type it.
        rates: Such as "98 images/s".
    """

    title: str
    seconds: float
    command: str
    rates: tuple[str, ...] = ()


def write_stages(path: Path, stages: Sequence[Stage]) -> None:
    """Write the record as JSON."""
    write_file(path, json.dumps({"stages": [asdict(stage) for stage in stages]}, indent=1) + "\n")


def read_stages(path: Path) -> list[Stage]:
    """Read the record.

    Raises:
        ConfigError: If it is missing or not such a record.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["stages"]
        return [
            Stage(str(e["title"]), float(e["seconds"]), str(e["command"]), tuple(str(rate) for rate in e["rates"]))
            for e in entries
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no record of stages ({type(error).__name__}: {error})") from None


def tell_time(seconds: float) -> str:
    """Seconds in words: "48 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
