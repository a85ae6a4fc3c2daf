"""The section about attributes of a report, as Markdown."""

from __future__ import annotations

from typing import Any

from eval.attributes.groups import TOO_SMALL
from eval.report.markdown import number_interval, percent, percent_interval, table


def attribute_section(attributes: dict[str, Any]) -> str:
    """The section about sex, age and craniofacial ratios.

    Args:
        attributes: Result of `eval.attributes.measure.measure_attributes`; of an encoder alone without `craniofacial`.
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
    return text + (
        "Sex and age are predicted by linear models on face features, fitted to labelled training people "
        f"({labelled['sex']} with a sex, {labelled['age']} with an age). The pitch threshold between the sexes is "
        f"{attributes['pitch_threshold_hz']:.0f} Hz, {measured_by}. AUC does not depend on a threshold; guessing has "
        "an AUC of .5. “Common look removed”: the mean of the drawings over training voices is moved to the mean of "
        "training photographs, because a classifier of photographs takes a look that all drawings share for a sex or "
        "an age.\n"
    )
