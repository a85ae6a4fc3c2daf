"""Tables of a page about groups of people, and about the geometry of their faces."""

from __future__ import annotations

from typing import Any

from eval.attributes.groups import TOO_SMALL
from eval.pages.parts.tables import Table
from eval.report.markdown import number_interval, percent, percent_interval


def show_groups(report: dict[str, Any]) -> Table | None:
    """Recall by group of people in one space, and the groups that are too small for it.

    Args:
        report: The retrieval part; parts of older reports don't name small groups.

    Returns:
        None without groups.
    """
    groups, small = report.get("groups", []), report.get("small_groups", [])
    space = groups[-1]["space"] if groups else None
    found = [row for row in groups if row["space"] == space and row["recall"]]
    if not found and not small:
        return None
    k = "10" if not found or "10" in found[0]["recall"] else max(found[0]["recall"], key=int)
    rows = [
        [
            f"{row['group']}: {row['value']}",
            percent_interval(row["recall"][k], row["ci95"][k]),
            f"{row['identities']:,}",
        ]
        for row in found
    ]
    rows += [[f"{row['group']}: {row['value']}", TOO_SMALL, f"{row['people']:,}"] for row in small]
    name = f"R@{k} in %, {space} space" if found else "recall"
    if found:
        name += f" (chance {percent(found[0]['chance'][k])})"
    return Table(["group", name, "people"], rows)


def show_craniofacial(report: dict[str, Any]) -> Table | None:
    """Correlation of the ratios of drawings and photographs; None where they were not measured.

    Args:
        report: The retrieval part; older ones have none.
    """
    measured = report["attributes"].get("craniofacial")
    if not measured or not measured["rows"]:
        return None
    rows = []
    for row in measured["rows"]:
        if row["too_small"]:
            value = TOO_SMALL
        else:
            value = "" if row["correlation"] is None else number_interval(row["correlation"], row["ci95"])
        bound = "" if row["photographs"] is None else f"{row['photographs']:.2f}"
        rows.append([row["measure"], value, bound, f"{row['people']:,}"])
    return Table(["ratio", "correlation with the photograph", "of two photographs", "people"], rows)
