"""The verification part of a report: JSON, Markdown and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from eval.report.figures import CHANCE, INK, MUTED, RIGHT, save_figure, tidy_axes
from eval.report.folder import write_report
from eval.report.markdown import number_interval, percent, percent_interval, provenance_section, table
from eval.retrieval.baselines import SHUFFLED
from eval.verification.measure import (
    DIRECTIONS,
    OTHERS_NAMES,
    MatchingResult,
    VerificationMeasurement,
    VerificationResult,
)
from eval.verification.trials import Direction

DIRECTION_NAMES: dict[Direction, str] = {"voice_to_face": "voice to face", "face_to_voice": "face to voice"}
_FIGURE = "verification.png"
_COLOURS = {"all": RIGHT, "same_sex": INK, "same_nationality": MUTED}


def write_verification_report(out: Path, measured: VerificationMeasurement, provenance: dict[str, Any]) -> None:
    """Write the whole report into an existing folder.

    Args:
        out: The folder.
        measured: The numbers.
        provenance: As from `eval.report.provenance.collect_provenance`.
    """
    _save_figure(out / _FIGURE, measured)
    pairs, matching = measured.verification, measured.matching
    content = {
        **provenance,
        "results": [result.as_json() for result in pairs] + [result.as_json() for result in matching],
        "floors": [floor.as_json() for floor in measured.floors],
        "notes": measured.notes,
        "pictures": {"verification": _FIGURE},
    }
    write_report(out, "verification", content, _as_markdown(measured, provenance))


def _as_markdown(measured: VerificationMeasurement, provenance: dict[str, Any]) -> str:
    model, dataset = provenance["model"], provenance["dataset"]
    parts = [f"# Verification and matching: {model['source']} on {dataset['root']} ({dataset['split']})\n"]
    parts += [f"- **{line}**\n" for line in summarize(measured)[:1]]
    parts.append(
        f"![verification]({_FIGURE})\n\n*Left: false and true acceptances of pairs of a voice and a face, over all "
        "thresholds. Right: how often the right one of N candidates has the highest score. Dotted: chance.*\n"
    )
    floors = [floor for floor in measured.floors if isinstance(floor, VerificationResult)]
    rows = [_pair_row(result) for result in (*measured.verification, *floors)]
    header = ["system", "second person", "pairs: one person, two", "people", "EER % (95 %)", "chance", "AUC (95 %)"]
    header.append("chance")
    parts.append(f"## Verification: are these voice and face of one person?\n\n{table(header, rows, 'llrrrrrr')}")
    parts += [_matching_section(measured), provenance_section(provenance), _method_section(measured)]
    return "\n".join(part for part in parts if part)


def summarize(measured: VerificationMeasurement) -> list[str]:
    """The headline, and the lists, in a sentence each."""
    lines = []
    for result in measured.verification:
        if result.others in ("all", "list"):
            what = _second_person(result)
            unit = result.extra.get("unit", "people")
            num_pairs = f"{result.pairs_same} pairs of one person, {result.pairs_different} of two"
            lines.append(
                f"{what}: EER {percent_interval(result.equal_error_rate, result.equal_error_rate_ci95)} %, "
                f"AUC {number_interval(result.area_under_curve, result.area_under_curve_ci95, 3)} "
                f"({num_pairs}; {result.identities} {unit})"
            )
    return lines


def _second_person(result: VerificationResult) -> str:
    if "list" in result.extra:
        return f"list {result.extra['list']}"
    name = OTHERS_NAMES[result.others]
    if "language" in result.extra:
        heard = "heard" if result.extra["heard"] else "unheard"
        return f"{name}, voices in {result.extra['language']} ({heard})"
    return name


def _pair_row(result: VerificationResult) -> list[Any]:
    return [
        "**model**" if result.system == "model" else result.system,
        _second_person(result),
        f"{result.pairs_same}, {result.pairs_different}",
        f"{result.identities} files" if result.extra.get("unit") == "files" else result.identities,
        percent_interval(result.equal_error_rate, result.equal_error_rate_ci95),
        "50.0",
        number_interval(result.area_under_curve, result.area_under_curve_ci95, 3),
        ".5",
    ]


def _matching_section(measured: VerificationMeasurement) -> str:
    floors = {_key(floor): floor for floor in measured.floors if isinstance(floor, MatchingResult)}
    rows = [
        [
            DIRECTION_NAMES[result.direction],
            OTHERS_NAMES[result.others],
            result.candidates,
            f"{result.trials} / {result.identities}",
            percent_interval(result.accuracy, result.ci95),
            percent(result.chance),
            percent(floors[_key(result)].accuracy),
        ]
        for result in measured.matching
    ]
    if not rows:
        return ""
    header = ["direction", "wrong candidates", "N", "questions / people", "right % (95 %)", "chance %", "shuffled %"]
    text = table(header, rows, "llrrrrr")
    return f"## Matching: which of N candidates is it?\n\n{text}"


def _key(result: MatchingResult) -> tuple[str, str, int]:
    return result.direction, result.others, result.candidates


def _method_section(measured: VerificationMeasurement) -> str:
    lines = [
        "The score of a pair is the cosine of the embeddings of a voice and of a face, in the joint space.",
        "Pairs of one person are spread evenly over the people. Each has a counterpart: the same voice with the face "
        "of another person, who is of the same sex or nationality where the table says so; people whose own is not "
        "known, or who are alone with it, take no part there.",
        "EER: the error where false acceptances and false refusals are equally frequent, on the straight line between "
        "two thresholds. AUC: the probability that a pair of one person scores above a pair of two. Pairs of equal "
        "score count as in random order, so that one score for all gives 50 % and .5.",
        "Matching: for each pair of one person, the right answer among N - 1 of other people, each with one voice or "
        "face; ties count as their expectation.",
        "Intervals are bootstraps over people (95 %); a pair of two people depends on both. They do not cover the "
        "randomness of training.",
        f"“{SHUFFLED}”: the embeddings of the voices, each assigned to a voice of another person; ten shuffles.",
        *measured.notes,
    ]
    return "## How verification was measured\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def _save_figure(path: Path, measured: VerificationMeasurement) -> None:
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], ":", color=CHANCE)
    for others, (false, true) in measured.curves.items():
        result = next(row for row in measured.verification if row.others == others)
        label = f"{OTHERS_NAMES[others]}: EER {percent(result.equal_error_rate)} %"
        left.plot(false, true, color=_COLOURS[others], label=label)
    left.set(xlabel="pairs of two people accepted", ylabel="pairs of one person accepted", xlim=(0, 1), ylim=(0, 1))
    for others, colour in _COLOURS.items():
        for direction, style in zip(DIRECTIONS, ("-", "--"), strict=True):
            rows = [r for r in measured.matching if (r.others, r.direction) == (others, direction)]
            _plot_matching(right, rows, colour, style, f"{DIRECTION_NAMES[direction]}, {OTHERS_NAMES[others]}")
    chances = sorted({(row.candidates, row.chance) for row in measured.matching})
    if chances:
        right.plot(*zip(*chances, strict=True), ":", color=CHANCE)
    right.set(xlabel="candidates", ylabel="share of right answers", ylim=(0, 1))
    for axes in (left, right):
        tidy_axes(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def _plot_matching(axes: Any, rows: Sequence[MatchingResult], colour: str, style: str, label: str) -> None:
    if rows:
        errors = [[row.accuracy - row.ci95[0] for row in rows], [row.ci95[1] - row.accuracy for row in rows]]
        numbers = [row.candidates for row in rows]
        axes.errorbar(numbers, [row.accuracy for row in rows], errors, fmt=style, color=colour, label=label, capsize=2)
