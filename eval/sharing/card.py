"""The card of a model: what its header says, and what a report adds to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index

from data.errors import ModelError, one_line
from eval.sharing.metrics import Metric, ReportedMetrics
from training.card import SECTIONS
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
        return parse_card(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Card({}, "")
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{path}: the card can't be read: {one_line(error)[:300]}") from None


def complete_card(card: Card, generated: Card, name: str, metrics: Sequence[ReportedMetrics]) -> Card:
    """The card that goes out.

    Args:
        card: The card in the model's folder. Its header's keys are kept, and its text if it has all sections.
        generated: The card that the model writes of itself.
        name: Name of the model for the hub's list of results.
        metrics: Numbers of reports.
    """
    is_whole = all(f"\n## {section}\n" in card.text for section in SECTIONS)
    header, text = {**generated.header, **card.header}, card.text if is_whole else generated.text
    if "license" in card.header and "license_name" not in card.header:
        header.pop("license_name", None)  # the generated one names a licence that isn't this one
    if not metrics:
        return Card(header, text)
    groups = [metric for measured in metrics for metric in measured.groups]
    small = " ".join(dict.fromkeys(measured.small_groups for measured in metrics))
    text = _replace_section(text, "Groups", f"{_table(groups)}\n\n{small}".rstrip())
    origins = " ".join(dict.fromkeys(measured.origin for measured in metrics))
    results = [metric for measured in metrics for metric in measured.results]
    text = _replace_section(text, "Results", f"{origins}\n\n{_table(results)}")
    return Card({**header, "model-index": eval_results_to_model_index(name, [*map(_to_eval_result, results)])}, text)


def parse_card(text: str) -> Card:
    """A card from the text of a README.md."""
    card = ModelCard(text, ignore_metadata_errors=True)
    return Card(dict(yaml.safe_load(card.data.to_yaml()) or {}), card.text.lstrip())


def format_card(card: Card) -> str:
    """The text of a README.md."""
    return f"---\n{yaml.safe_dump(card.header, sort_keys=False, allow_unicode=True)}---\n{card.text}"


def _replace_section(text: str, name: str, content: str) -> str:
    return re.sub(rf"(\n## {name}\n).*?(?=\n## |\Z)", lambda found: f"{found[1]}\n{content}\n", text, flags=re.DOTALL)


def _table(metrics: Sequence[Metric]) -> str:
    if not metrics:
        return "The report holds none."
    rows = ["| measured | of | value | 95 % interval | chance |", "|---|---|---|---|---|"]
    rows += [
        f"| {metric.name} | {metric.what} | {metric.value:.3g} | "
        f"{'to'.join(f' {end:.3g} ' for end in metric.interval).strip() if metric.interval else ''} | "
        f"{'' if metric.chance is None else f'{metric.chance:.3g}'} |"
        for metric in metrics
    ]
    return "\n".join(rows)


def _to_eval_result(metric: Metric) -> EvalResult:
    return EvalResult(
        task_type=metric.task,
        task_name=metric.task.replace("-", " "),
        dataset_type=metric.dataset,
        dataset_name=metric.dataset,
        dataset_split=metric.split,
        metric_type=re.sub(r"\W+", "_", metric.name.replace("@", " at ").lower()),
        metric_name=f"{metric.name}: {metric.what}",
        metric_value=metric.value,
    )
