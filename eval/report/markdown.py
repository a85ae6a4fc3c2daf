"""Numbers as text: percents with intervals, and Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def percent(value: float) -> str:
    """A rate in [0, 1] in percent with one decimal."""
    return f"{100 * value:.1f}"


def percent_interval(value: float, interval: tuple[float, float]) -> str:
    """A rate in [0, 1] and its interval in percent: `31.2 (26.0 to 36.5)`."""
    return f"{percent(value)} ({percent(interval[0])} to {percent(interval[1])})"


def number_interval(value: float, interval: tuple[float, float], digits: int = 2) -> str:
    """A number and its interval."""
    return f"{value:.{digits}f} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], align: str = "") -> str:
    """A Markdown table.

    Args:
        header: Column titles.
        rows: Cells; None is left empty.
        align: One letter `l` or `r` for each column; by default only the first column is aligned to the left.

    Raises:
        ValueError: If a row has another length than the header.
    """
    align = align or "l" + "r" * (len(header) - 1)
    lines = [_line(header), "|" + "|".join({"l": " :-- ", "r": " --: "}[a] for a in align) + "|"]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{len(row)} cells for {len(header)} columns: {row}")
        lines.append(_line(row))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join("" if cell is None else str(cell).replace("|", "\\|") for cell in cells) + " |"


def provenance_section(provenance: dict[str, Any]) -> str:
    """The section about weights, data, split, code and settings, which all reports share."""
    model, dataset, code = provenance["model"], provenance["dataset"], provenance["code"]
    t, e = provenance["training_face_network"], provenance["judge"]
    commit = code["commit"] or "unknown (not a git checkout)"
    rows = [
        [
            "model",
            f"{model['source']}, {model['type']}, {model['backbone']}, {model['parameters']:,} parameters",
        ],
        ["model sha256", model["sha256"]],
        ["training face network T", f"{t['name']}, sha256 {t['sha256']}"],
        ["judge E", None if e is None else f"{e['name']}, sha256 {e['sha256']}"],
        *(["another judge", f"{judge['name']}, sha256 {judge['sha256']}"] for judge in provenance["other_judges"]),
        [
            "data",
            f"{dataset['root']}, {dataset['split']}: {dataset['identities']} people, "
            f"{dataset['clips_with_voice']} voices, {dataset['faces']} faces of {dataset['face_size']} px",
        ],
        ["split", f"seed {dataset['split_seed']}, sha256 {dataset['split_sha256']}"],
        ["code", f"commit {commit}{', with changes since' if code['changed_since'] else ''}"],
        ["environment", f"Python {code['python']}, torch {code['torch']}, numpy {code['numpy']}"],
        ["settings", ", ".join(f"{key} {value}" for key, value in provenance["settings"].items())],
    ]
    text = f"## Where this comes from\n\n{table(['', ''], rows, 'll')}"
    if model["training_config"] is not None:
        config = json.dumps(model["training_config"], indent=1, default=str)
        text += f"\n<details><summary>Training config</summary>\n\n```json\n{config}\n```\n\n</details>\n"
    return text
