"""The numbers of a report.json that a model's card shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ConfigError, one_line
from eval.retrieval.metrics import PRIMARY_METRICS

_SPACES = {
    "joint": "voices to faces, in the joint space",
    "feature": "voices to faces, by the regressed feature",
    "image": "drawings to faces, by the judge",
}
_IMAGE_QUALITY = {
    "frechet_distance": "Frechet distance",
    "kid": "KID",
    "improved_precision": "improved precision",
    "improved_recall": "improved recall",
}
_K = "10"


@dataclass(frozen=True)
class Metric:
    """One number.

    Attributes:
        task: `retrieval`, `verification` or `image-quality`.
        name: Name of the measure.
        what: What it was measured of, in words.
        value: The number.
        interval: 95 % interval over people; None where the report has none.
        chance: Value of guessing; None where there is none.
        dataset: Name of the data set.
        split: Its split.
    """

    task: str
    name: str
    what: str
    value: float
    interval: tuple[float, float] | None
    chance: float | None
    dataset: str
    split: str


@dataclass(frozen=True)
class ReportedMetrics:
    """What a card takes from a report.

    Attributes:
        origin: Sentence on data, judge and commit.
        results: Numbers of the whole split.
        groups: Numbers of groups of people.
        small_groups: Sentence on groups that are too small to be measured; may be empty.
        model_sha256: Hash of the weights that were measured.
    """

    origin: str
    results: tuple[Metric, ...]
    groups: tuple[Metric, ...]
    small_groups: str
    model_sha256: str


def read_metrics(report: Path) -> ReportedMetrics:
    """Read a report.

    Args:
        report: A report.json, or the folder that holds it.

    Raises:
        ConfigError: If it is no report.
    """
    path = report / "report.json" if report.is_dir() else report
    try:
        parts = list(json.loads(path.read_text(encoding="utf-8"))["parts"].values())
        first = parts[0]
        results = tuple(metric for part in parts for metric in _results(part))
        groups = tuple(metric for part in parts for metric in _groups(part))
        small = {f"{g['group']} {g['value']} ({g['people']})": None for p in parts for g in p.get("small_groups", ())}
        judge = first["judge"]["name"] if first.get("judge") else "none"
        data, code = first["dataset"], first["code"]
        origin = (
            f"On {data['identities']} people of the split `{data['split']}` of `{Path(data['root']).name}`, judged by "
            f"`{judge}`; code of commit {str(code['commit'])[:12]}{' with changes' if code['changed_since'] else ''}."
        )
        sentence = f"Too few people to be measured: {', '.join(small)}." if small else ""
        return ReportedMetrics(origin, results, groups, sentence, str(first["model"]["sha256"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(f"{path}: no report that one of the evaluation commands wrote: {one_line(error)}") from None


def _results(part: Mapping[str, Any]) -> Iterator[Metric]:
    dataset, split = Path(part["dataset"]["root"]).name, part["dataset"]["split"]
    retrieval = [r for r in part["results"] if r["task"] == "retrieval" and _is_primary(r)]
    largest = {r["space"]: r["gallery"] for r in sorted(retrieval, key=lambda r: r["gallery"]) if r["gallery"] <= 100}
    for r in retrieval:
        if largest.get(r["space"]) == r["gallery"]:
            yield _recall(r, f"{_SPACES.get(r['space'], r['space'])}, galleries of {r['gallery']}", dataset, split)
    for r in part["results"]:
        if r["task"] == "verification" and r["system"] == "model" and r.get("others") == "all":
            what, interval = f"pairs of voice and face, {r['identities']} people", tuple(r["equal_error_rate_ci95"])
            rate = r["equal_error_rate"]
            yield Metric("verification", "equal error rate", what, rate, interval, r["chance"], dataset, split)
        if r["task"] == "image_quality":
            yield from _image_quality(r, f"{r['system']}, space of {r['feature_space']}", dataset, split)


def _groups(part: Mapping[str, Any]) -> Iterator[Metric]:
    dataset, split = Path(part["dataset"]["root"]).name, part["dataset"]["split"]
    for r in part.get("groups", ()):
        people = f"{r['group']} {r['value']}, {r.get('people', r.get('identities'))} people"
        if r["task"] == "retrieval" and _is_primary(r):
            what = f"{people}: {_SPACES.get(r['space'], r['space'])}, galleries of {r['gallery']}"
            yield _recall(r, what, dataset, split)
        if r["task"] == "image_quality":
            yield from _image_quality(r, f"{people}: {r['system']}", dataset, split)


def _is_primary(result: Mapping[str, Any]) -> bool:
    return (
        result["system"] == "model"
        and result["gallery_kind"] == "random"
        and PRIMARY_METRICS.get(result["space"]) == result["metric"]
        and _K in result["recall"]
    )


def _recall(r: Mapping[str, Any], what: str, dataset: str, split: str) -> Metric:
    interval, chance = tuple(r["ci95"][_K]), r["chance"][_K]
    return Metric("retrieval", f"R@{_K}", what, r["recall"][_K], interval, chance, dataset, split)


def _image_quality(r: Mapping[str, Any], what: str, dataset: str, split: str) -> Iterator[Metric]:
    for key, name in _IMAGE_QUALITY.items():
        if isinstance(r.get(key), int | float):
            yield Metric(
                "image-quality",
                name,
                f"{what}, variety {r['variety']:g}",
                r[key],
                None,
                None,
                dataset,
                split,
            )
