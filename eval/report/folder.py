"""The folder of a report on one model and split, to which each evaluation adds its part."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal, get_args

from data.files import write_file

Kind = Literal["retrieval", "verification", "image_quality"]
_KEYS = ("model", "dataset")


def write_report(out: Path, kind: Kind, content: dict[str, Any], text: str) -> None:
    """Write one evaluation's part, and the whole report from all parts.

    report.json has `results` (the results of all parts) and `parts` (each evaluation's content by kind). report.md
    joins the parts' texts, which are also kept in files of their own. Parts about another model or another split than
    this one's are dropped.

    Args:
        out: An existing folder.
        kind: Name of the evaluation.
        content: Numbers of the report; keys `model`, `dataset` and `results` at least.
        text: The report as Markdown.
    """
    parts = {name: part for name, part in read_parts(out).items() if _about(part) == _about(content)}
    parts[kind] = _plain(content)
    texts = {kind: text}
    for name in get_args(Kind):
        file = out / f"{name}.md"
        if name in parts and name != kind and file.is_file():
            texts[name] = file.read_text(encoding="utf-8")
        elif name not in parts:
            file.unlink(missing_ok=True)
    order = [name for name in get_args(Kind) if name in parts]
    report = {
        "format_version": 1,
        "results": [result for name in order for result in parts[name]["results"]],
        "parts": {name: parts[name] for name in order},
    }
    write_file(out / f"{kind}.md", text)
    write_file(out / "report.md", "\n".join(texts[name] for name in order if name in texts))
    write_file(out / "report.json", json.dumps(report, indent=1) + "\n")


def read_parts(out: Path) -> dict[str, dict[str, Any]]:
    """The parts of a folder's report by kind; empty where there is no readable report."""
    try:
        parts = json.loads((out / "report.json").read_text(encoding="utf-8"))["parts"]
        return {kind: parts[kind] for kind in get_args(Kind) if kind in parts}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _about(part: dict[str, Any]) -> Any:
    return _plain({key: part[key] for key in _KEYS})


def _plain(value: Any) -> Any:
    """Lists, dicts and numbers as JSON allows them: values that are not finite become None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
