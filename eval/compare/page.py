"""The page, the table and the numbers of a comparison."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.files import write_file
from data.store.dataset import ClipDataset
from eval.compare.plan import Comparison, has_sampler
from eval.compare.table import Row, Value
from eval.model_under_test import draw_faces, encode_voices, load_model_under_test, sample_features, sample_noise
from eval.pages.parts.cards import ASSETS, Picture, choose_people, save_picture
from eval.pages.parts.rendering import render_page
from eval.pages.parts.tables import Table
from eval.report import markdown
from eval.report.provenance import describe_code, describe_machine

NUM_PEOPLE = 12

_TEMPLATE = Path(__file__).with_name("page.html")
_HEADER = [
    "method",
    "variety",
    "recall (%)",
    "Frechet distance",
    "faces found (%)",
    "sex right (%)",
    "two drawings, cosine",
    "drawing and photograph",
    "training, minutes",
    "training, ms an image",
    "images",
    "drawing, ms an image",
    "weights",
]


def write_comparison(comparison: Comparison, rows: Sequence[Row]) -> Path:
    """Write `index.html`, `compare.md`, `compare.json` and the pictures.

    Returns:
        Path of the page.
    """
    out = comparison.out
    settings = {
        "data set": str(comparison.dataset),
        "training": "a few steps each" if comparison.minutes is None else f"{comparison.minutes:g} minutes each",
        "seeds": ", ".join(str(seed) for seed in comparison.seeds),
        "judge (E)": comparison.judge,
        "machine": describe_machine(),
        "code": str(describe_code()["commit"]),
    }
    cells = [_cells(row) for row in rows]
    text = markdown.table(_HEADER, cells, "lr" + "r" * (len(_HEADER) - 2))
    facts = "\n".join(f"- {name}: {value}" for name, value in settings.items())
    chance = (
        f"Galleries of {rows[0].gallery} people, where chance is an R@{rows[0].k} (recall) of "
        f"{markdown.percent(rows[0].chance)} %."
    )
    write_file(
        out / "compare.md", f"# Comparison\n\n{facts}\n\n{chance} {_INTERVALS[len(comparison.seeds) > 1]}\n\n{text}"
    )
    content = {"settings": settings, "rows": [asdict(row) for row in rows]}
    write_file(out / "compare.json", json.dumps(content, indent=1) + "\n")
    context = {
        "settings": list(settings.items()),
        "table": Table(_HEADER, cells),
        "chance": chance,
        "intervals": _INTERVALS[len(comparison.seeds) > 1],
        "strips": _draw_strips(comparison),
        "are_personas": ClipDataset(comparison.dataset, "test").info.face_encoder.name.startswith("personas"),
    }
    return render_page(out, _TEMPLATE, context)


_INTERVALS = {
    False: "Intervals (95 %) are over people, by bootstrap, for one training each.",
    True: "Means over seeds with 95 % intervals (Student's t).",
}


def _cells(row: Row) -> list[str]:
    return [
        row.title,
        "" if row.variety is None else f"{row.variety:g}",
        _text(row.recall, markdown.percent),
        _text(row.frechet_distance, lambda value: f"{value:.3f}"),
        _text(row.faces_found, markdown.percent),
        _text(row.sex, markdown.percent),
        _text(row.two_drawings, lambda value: f"{value:.2f}"),
        _text(row.photograph, lambda value: f"{value:.2f}"),
        f"{row.minutes:.1f}",
        f"{row.training_ms:.1f}",
        f"{row.images:,}",
        f"{row.drawing_ms:.1f}",
        f"{row.parameters / 1e6:.2f} M",
    ]


def _text(value: Value | None, show: Callable[[float], str]) -> str:
    if value is None:
        return "unknown"
    if value.low is None or value.high is None:
        return show(value.mean)
    return f"{show(value.mean)} ({show(value.low)} to {show(value.high)})"


def _draw_strips(comparison: Comparison) -> list[tuple[str, Picture]]:
    """Drawings of the same voices by all methods: a name and a row of pictures each, true faces first."""
    (comparison.out / ASSETS).mkdir(exist_ok=True)
    dataset, seed = ClipDataset(comparison.dataset, "test"), comparison.seeds[0]
    people = choose_people(dataset, NUM_PEOPLE)
    clips = [dataset.voices_of(person)[0] for person in people]
    faces = np.stack([dataset.face(*dataset.faces_of(person)[0]) for person in people])
    strips = [("true face", save_picture(comparison.out, f"{ASSETS}/true.png", _row(faces), "true faces"))]
    for method in comparison.methods:
        model = load_model_under_test(str(comparison.model(seed, method)))
        assert model.voice2face is not None
        features, _ = encode_voices(model, dataset, clips)
        keys = [f"compare/{dataset.clip_ids[clip]}" for clip in clips]
        noise = sample_noise(keys, model.voice2face.noise_size)
        for variety in (0.0, 1.0) if has_sampler(method) else (0.0,):
            drawn = draw_faces(model.voice2face, sample_features(model, features, keys, variety), noise)
            name = f"{method.title}, variety {variety:g}" if has_sampler(method) else method.title
            file = f"{ASSETS}/{method.name}-{variety:g}.png"
            strips.append((name, save_picture(comparison.out, file, _row(drawn), f"drawings by {name}")))
    return strips


def _row(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate(list(pictures), axis=1)
