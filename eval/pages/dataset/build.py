"""The page about a data set: people, counts, failures, duplicates, provenance."""

from __future__ import annotations

from pathlib import Path

from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from data.store.shards import DatasetInfo
from eval.pages.dataset.counts import charts, headlines, nationalities, table_of_splits
from eval.pages.dataset.duplicates import compare_faces, find_repeated
from eval.pages.dataset.failures import count_flags, read_outcomes
from eval.pages.dataset.people import show_people
from eval.pages.parts.cards import ASSETS
from eval.pages.parts.rendering import render_page


def write_inspection(out: Path, dataset: ClipDataset, num_people: int) -> Path:
    """Write `index.html` with its pictures and recordings into an existing folder, which needs no other file.

    Args:
        out: The folder.
        dataset: A data set with all of its splits.
        num_people: Number of people shown, at most.

    Returns:
        The page's path.

    Raises:
        DatasetError: If the data set is damaged.
    """
    (out / ASSETS).mkdir(exist_ok=True)
    info, outcomes = dataset.info, read_outcomes(dataset.root)
    context = {
        "name": dataset.root.resolve().name,
        "are_personas": "population" in info.extra,
        "are_videos": any(video is not None for video in dataset.video_ids),
        "headlines": headlines(dataset, None if outcomes is None else outcomes.num_failed),
        "splits": table_of_splits(dataset),
        "people": show_people(out, dataset, num_people),
        "charts": charts(dataset),
        "nationalities": nationalities(dataset),
        "outcomes": outcomes,
        "flags": count_flags(dataset),
        "repeated": find_repeated(dataset),
        "faces": compare_faces(out, dataset),
        "facts": _facts(dataset),
        "needs_note_on_weights": info.face_encoder.name.startswith("insightface:"),
    }
    return render_page(out, Path(__file__).parent / "page.html", context)


def _facts(dataset: ClipDataset) -> list[tuple[str, str]]:
    info = dataset.info
    size = sum((dataset.root / name).stat().st_size for name in info.shards)
    network = info.face_encoder
    shares = ", ".join(f"{split} {share:g}" for split, share in zip(SPLITS, info.split.fractions, strict=True))
    facts = [
        ("shards", f"{len(info.shards):,} files, {size / 2**20:,.0f} MiB, schema version {info.schema_version}"),
        ("recordings", f"FLAC, mono, {info.sample_rate:,} Hz"),
        ("faces", f"{info.face_size} px, aligned by five points"),
        ("face features", f"{network.name}, {network.feature_size} numbers, sha256 {network.sha256[:16]}"),
        ("split by identity", f"seed {info.split.seed}, {shares}, sha256 {info.split.sha256[:16]}"),
    ]
    return facts + _how_made(info)


def _how_made(info: DatasetInfo) -> list[tuple[str, str]]:
    """The settings that the data set was made with, and the other entries of its dataset.json."""
    shown_elsewhere = {"face_encoder_sha256", "seed", "split_fractions", "face_size", "files_sha256"}
    plain = {
        key: value
        for key, value in info.request.items()
        if key not in shown_elsewhere and not isinstance(value, (dict, list))
    }
    facts = [("made with", ", ".join(f"{key} {value}" for key, value in plain.items()))] if plain else []
    for key, value in info.extra.items():
        text = ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)
        facts.append((key, text))
    return facts
