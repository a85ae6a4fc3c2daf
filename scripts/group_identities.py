"""Give clips that show the same face one identity, so that nobody is in two splits under two names."""

from __future__ import annotations

from pathlib import Path

from data.sources.grouping import Group
from data.sources.regroup import GroupConfig, Grouped, group_dataset
from training.command import CommandParser, run_command

_SHOWN = 10
_MAX_SHARE, _MAX_NUMBER = 0.02, 20


def parse(argv: list[str]) -> GroupConfig:
    """The command line as a config."""
    parser = CommandParser(prog="group_identities.py", description=__doc__)
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="folder of a prepared data set; changed in place")
    add(
        "--threshold",
        type=float,
        help="least cosine of two clips' mean face features for one person; by default the one that was measured for "
        "the data set's face network, where it was",
    )
    add("--dry-run", action="store_true", help="print the groups and change nothing")
    given = parser.parse_args(argv)
    return GroupConfig(given.dataset, given.threshold, given.dry_run)


def summarize(config: GroupConfig, grouped: Grouped) -> str:
    """The groups, what changes, and warnings of what looks wrong."""
    groups, after = grouped.groups, grouped.num_people
    joined = sum(len(group.members) for group in groups)
    after += len(groups) - joined
    lines = [
        f"{config.dataset}: {grouped.num_people:,} people in {grouped.num_clips:,} clips; the same from a cosine of "
        f"{grouped.threshold:g} of {grouped.info.face_encoder.name}",
    ]
    if not groups:
        return "\n".join([*lines, "nobody is in it under two names: nothing to do"])
    lines += [
        f"{joined:,} of these names belong to {len(groups):,} people: {after:,} people are left",
        f"in more than one split were {grouped.num_leaks:,} of them; {grouped.num_moved:,} clips change theirs",
        "the largest groups (names joined, clips, least cosine of a member to the group):",
    ]
    lines += [f"  {len(g.members):>6}{g.num_clips:>8}{g.least_similarity:>8.3f}  {g.identity}" for g in groups[:_SHOWN]]
    lines += _warnings(grouped)
    lines.append("nothing was changed (--dry-run)" if config.dry_run else f"{config.dataset} is rewritten")
    return "\n".join(lines)


def _warnings(grouped: Grouped) -> list[str]:
    lines = []
    if _is_too_large(grouped.groups[0], grouped.num_people):
        largest = grouped.groups[0]
        lines.append(
            f"warning: one group joins {len(largest.members):,} names, {len(largest.members) / grouped.num_people:.0%} "
            "of all: single linkage has chained dissimilar faces; use a higher --threshold"
        )
    if grouped.num_contradictions:
        lines.append(
            f"warning: {grouped.num_contradictions:,} groups hold people of both sexes by the data set's own "
            "attributes: a wrong link or a wrong attribute each"
        )
    return lines


def _is_too_large(group: Group, num_people: int) -> bool:
    return len(group.members) > max(_MAX_NUMBER, _MAX_SHARE * num_people)


def main(argv: list[str]) -> None:
    """Group, and print the groups."""
    config = parse(argv)
    print(summarize(config, group_dataset(config)))


if __name__ == "__main__":
    run_command(main)
