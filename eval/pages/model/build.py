"""The page about a model: voices and drawings, results, training, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.store.dataset import ClipDataset
from eval.model_under_test import ModelUnderTest
from eval.pages.model.groups import show_craniofacial, show_groups
from eval.pages.model.numbers import (
    headlines,
    show_attributes,
    show_distances,
    show_recall,
    show_sensitivity,
    show_varieties,
)
from eval.pages.model.people import show_voices
from eval.pages.model.runs import show_run
from eval.pages.parts.rendering import render_page
from eval.pages.parts.tables import Headline
from eval.report.folder import read_parts
from eval.report.provenance import describe_code, describe_dataset, describe_machine, describe_model, describe_network
from gan.voice2face import Voice2Face
from training.pipeline import StepRecord
from training.pipeline_progress import format_seconds

_COLOURS = 4  # colours of steps, used in turn


@dataclass(frozen=True)
class PageOptions:
    """What the page shows besides the model.

    Attributes:
        reports: Folders of reports on this model, each with one part or more; none for a page without numbers.
        runs: Run folders whose curves are shown, in this order.
        steps: Records of the pipeline that made the model.
        note: Sentence under the title, such as that this is a short version.
        num_people: Number of people shown.
        seed: Seed of gallery and noise.
        beside: Another model that draws the same voices, for comparison.
        beside_name: Name of that model on the page.
    """

    reports: Sequence[Path] = ()
    runs: Sequence[Path] = ()
    steps: Sequence[StepRecord] = ()
    note: str = ""
    num_people: int = 8
    seed: int = 0
    beside: Voice2Face | None = None
    beside_name: str = "another model"


def write_page(out: Path, model: ModelUnderTest, dataset: ClipDataset, options: PageOptions) -> Path:
    """Write `index.html` with its pictures and recordings into an existing folder, which needs no other file.

    Args:
        out: The folder.
        model: The model.
        dataset: A split whose people the model was not trained on.
        options: Settings of the page.

    Returns:
        The page's path.
    """
    parts = {kind: part for folder in options.reports for kind, part in read_parts(folder).items()}
    retrieval, images = parts.get("retrieval"), parts.get("image_quality")
    population = dataset.info.extra.get("population")
    cards = show_voices(out, model, dataset, options.num_people, options.seed, options.beside)
    runs = [run for run in (show_run(out, folder) for folder in options.runs) if run is not None]
    tiles = headlines(retrieval, images, parts.get("verification"))
    seconds = sum(step.seconds for step in options.steps)
    if seconds:
        tiles.append(
            Headline(format_seconds(seconds), "for everything on this page, data included", describe_machine())
        )
    context = {
        "note": options.note,
        "are_personas": population is not None,
        "headlines": tiles,
        "cards": cards,
        "has_sampler": model.voice2face is not None and model.sampler is not None,
        "beside_name": options.beside_name,
        "recall": show_recall(retrieval) if retrieval is not None else None,
        "varieties": show_varieties(retrieval) if retrieval is not None else None,
        "attributes": show_attributes(retrieval, "labels") if retrieval is not None else None,
        "all_attributes": show_attributes(retrieval) if retrieval is not None else None,
        "groups": show_groups(retrieval) if retrieval is not None else None,
        "craniofacial": show_craniofacial(retrieval) if retrieval is not None else None,
        "missing": (images or {}).get("missing", []),
        "sensitivity": show_sensitivity(retrieval) if retrieval is not None else None,
        "faces_found": (retrieval or {}).get("faces_found"),
        "distances": show_distances(images) if images is not None else None,
        "notes": list(dict.fromkeys(note for part in parts.values() for note in part["notes"])),
        "steps": options.steps,
        "num_colours": _COLOURS,
        "total_seconds": seconds,
        "runs": runs,
        "facts": _facts(model, dataset, parts, options),
        "commands": [command for step in options.steps for command in step.commands],
    }
    return render_page(out, Path(__file__).parent / "page.html", context)


def _facts(
    model: ModelUnderTest, dataset: ClipDataset, parts: dict[str, dict[str, Any]], options: PageOptions
) -> list[tuple[str, str]]:
    """The provenance of the page, as names and values."""
    code, about = describe_code(), describe_model(model)
    data = describe_dataset(dataset, dataset.split)
    network = describe_network(model.face_encoder)
    judge = next((part["judge"] for part in parts.values() if part.get("judge")), None)
    commit = "unknown" if code["commit"] is None else str(code["commit"])[:12]
    facts = [
        ("model", f"{about['source']}, {about['parameters'] / 1e6:.2f} M weights, sha256 {_short(about['sha256'])}"),
        ("voice encoder", about["backbone"]),
        (
            "data",
            f"{data['root']}, split {data['split']}: {data['identities']:,} people, "
            f"{data['clips_with_voice']:,} voices, {data['faces']:,} faces of {data['face_size']} px",
        ),
        ("split by identity", f"seed {data['split_seed']}, sha256 {_short(data['split_sha256'])}"),
    ]
    population = dataset.info.extra.get("population")
    if isinstance(population, dict):
        facts.append(("population", ", ".join(f"{key} {value}" for key, value in population.items())))
    if network is not None:
        facts.append(("training face network", f"{network['name']}, sha256 {_short(network['sha256'])}"))
    if judge is not None:
        facts.append(("judge", f"{judge['name']}, sha256 {_short(judge['sha256'])}"))
    changed = " with changes since" if code["changed_since"] else ""
    seed = f"seed {options.seed}" if not parts else f"page {options.seed}, reports {_seeds(parts)}"
    return [
        *facts,
        ("seeds", seed),
        ("code", f"commit {commit}{changed}"),
        ("software", f"Python {code['python']}, torch {code['torch']}, numpy {code['numpy']}"),
        ("machine", describe_machine()),
    ]


def _seeds(parts: dict[str, dict[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(part["settings"]["seed"]) for part in parts.values()))


def _short(sha256: str | None) -> str:
    return "unknown" if sha256 is None else sha256[:16]
