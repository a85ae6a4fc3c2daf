"""The section about attributes of a report, as Markdown."""

from __future__ import annotations

from typing import Any

from eval.attributes.groups import TOO_SMALL
from eval.report.markdown import number_interval, percent, percent_interval, table


def attribute_section(attributes: dict[str, Any]) -> str:
    """The section about sex, age and craniofacial ratios.

    Args:
        attributes: `attributes` of report.json.
    """
    text = "## Attributes\n\n"
    if attributes["sex"]:
        rows = [
            [
                row["said_by"],
                row["compared_with"],
                f"{row['num']} / {row['people']}",
                *(
                    [TOO_SMALL, None, None]
                    if row["too_small"]
                    else [
                        percent_interval(row["agreement"], row["ci95"]),
                        percent(row["majority"]),
                        f"{row['area_under_curve']:.3f}",
                    ]
                ),
            ]
            for row in attributes["sex"]
        ]
        header = [
            "sex predicted from",
            "compared with",
            "voices / people",
            "agreement % (95 %)",
            "majority %",
            "AUC",
        ]
        text += table(header, rows, "llrrrr") + "\n"
    if attributes["age"]:
        rows = [
            [
                row["said_by"],
                f"{row['num']} / {row['people']}",
                *(
                    [TOO_SMALL, None]
                    if row["too_small"]
                    else [
                        number_interval(row["mean_absolute_error"], row["ci95"], 1),
                        f"{row['mean_age_for_everybody']:.1f}",
                    ]
                ),
            ]
            for row in attributes["age"]
        ]
        header = ["age predicted from", "voices / people", "mean error, years (95 %)", "error of the mean age"]
        text += table(header, rows) + "\n"
    labelled = attributes["labelled_training_people"]
    measured_by = "measured on labelled training voices" if attributes["pitch_threshold_measured"] else "assumed"
    text += (
        "Sex and age are predicted by linear models on face features, fitted to labelled training people "
        f"({labelled['sex']} with a sex, {labelled['age']} with an age). The pitch threshold between the sexes is "
        f"{attributes['pitch_threshold_hz']:.0f} Hz, {measured_by}. AUC does not depend on a threshold; guessing has "
        "an AUC of .5. “Common look removed”: the mean of the drawings over training voices is moved to the mean of "
        "training photographs, because a classifier of photographs takes a look that all drawings share for a sex or "
        "an age.\n"
    )
    return text + craniofacial_section(attributes["craniofacial"])


def craniofacial_section(measured: dict[str, Any] | None) -> str:
    """The section about craniofacial ratios; empty for a model that does not draw.

    Args:
        measured: Result of `eval.attributes.craniofacial.measure_craniofacial`.
    """
    if measured is None:
        return ""
    title = "\n## Craniofacial ratios\n\n"
    if measured["missing"] is not None:
        return f"{title}Craniofacial ratios were not measured: {measured['missing']}\n"
    rows = [
        [
            row["measure"],
            row["landmarks"],
            row["people"],
            *([TOO_SMALL, None] if row["too_small"] else _correlation_cells(row)),
            *(None if row[key] is None else f"{row[key]:.2f}" for key in ("within_sex", "photographs")),
        ]
        for row in measured["rows"]
    ]
    header = ["measure", "landmarks (Farkas, iBUG)", "people", "r (95 %)", "p", "r within a sex"]
    header.append("r of two photographs")
    return (
        f"{title}{table(header, rows, 'llrrrrr')}\n"
        "Pearson's r over people of a ratio in a drawing of variety 0 and in a photograph of the speaker: the measures "
        "of Speech2Face, table 1, which compares drawings from voices with drawings from true faces. People are left "
        f"out where dlib finds no face in either; {measured['num_people']} were looked at. “Within a sex”: the mean of "
        "each sex is subtracted first. “Two photographs” of one person are the bound. By chance alone about half of "
        "all reports have a measure with p < .05; p < .004 allows for twelve measures.\n"
    )


def _correlation_cells(row: dict[str, Any]) -> list[str | None]:
    if row["correlation"] is None:  # all drawings, or all photographs, have the same ratio
        return [None, None]
    return [number_interval(row["correlation"], row["ci95"]), f"{row['p_value']:.2g}"]
