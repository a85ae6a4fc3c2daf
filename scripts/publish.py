"""Publish a model on the Hugging Face hub: python scripts/publish.py --model MODEL --repo OWNER/NAME [--dry-run]."""

from __future__ import annotations

import re
from pathlib import Path

from data.errors import ConfigError
from eval.sharing.publish import plan_publication, upload
from training.command import CommandParser, run_command


def main(argv: list[str]) -> None:
    """Parse, collect and check, then show or upload."""
    parser = CommandParser(
        prog="publish.py",
        description="Publish a model on the Hugging Face hub, with a card. A model of a private data set is refused.",
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, help="folder of a trained model")
    add("--repo", help="OWNER/NAME on the hub; created if missing")
    add(
        "--report",
        type=Path,
        nargs="+",
        default=[],
        help="folders of reports on the model, for the numbers in its card",
    )
    add(
        "--dataset",
        type=Path,
        nargs="+",
        default=[],
        help="data sets that the model was trained on, where it keeps no record of them",
    )
    add("--license", help="licence of the model by the hub's name, such as cc-by-4.0 (default: as its card says)")
    add("--private", action="store_true", help="create the repository for its owner's eyes alone")
    add("--dry-run", action="store_true", help="show what would go out, and send nothing")
    arguments = parser.parse_args(argv)
    if arguments.repo is None and not arguments.dry_run:
        raise ConfigError("--repo OWNER/NAME is needed, or --dry-run")
    if arguments.repo is not None and not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", arguments.repo):
        raise ConfigError(f"--repo {arguments.repo}: OWNER/NAME is expected")
    publication = plan_publication(
        arguments.model, arguments.dataset, arguments.report, arguments.license, arguments.repo
    )
    for name, size in publication.sizes().items():
        print(f"{name:<20}{size:>12,} bytes")
    for warning in publication.warnings:
        print(f"warning: {warning}")
    if arguments.dry_run:
        print(f"\n{publication.card}\ndry run: nothing was sent")
        return
    print(f"published: {upload(publication, arguments.repo, is_private=arguments.private)}")


if __name__ == "__main__":
    run_command(main)
