"""What a data set holds, in numbers: tables and charts of people, clips, lengths and what is known."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from eval.pages.parts.charts import column_chart
from eval.pages.parts.tables import Headline, Table

_MAX_COLUMNS = 24
_AGES = range(0, 100, 10)
_SEXES: tuple[tuple[str | None, str], ...] = (("female", "c2"), ("male", "c1"), (None, "floor"))


@dataclass(frozen=True)
class Chart:
    """A chart with what is to be said of it.

    Attributes:
        title: What it shows.
        note: Beneath the title, in few words.
        drawing: As SVG.
        legend: Styles and names of its parts; empty where there is but one.
    """

    title: str
    note: str
    drawing: Markup
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Meter:
    """A name with how many there are of it.

    Attributes:
        name: Of a reason, a flag or a nation.
        count: How many.
        share: Of the most frequent, for the bar's length.
        example: One of them in words; may be empty.
    """

    name: str
    count: int
    share: float
    example: str = ""


def tell_hours(seconds: float) -> str:
    """A length of speech in a unit that fits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def headlines(dataset: ClipDataset, num_failures: int | None) -> list[Headline]:
    """The numbers that stand at the top."""
    seconds, num_faces = float(np.nansum(dataset.durations)), int(dataset.num_faces.sum())
    voices, num_people = int(dataset.has_voice.sum()), len(dataset.identities)
    both = sum(bool(dataset.voices_of(i)) and bool(dataset.faces_of(i)) for i in range(num_people))
    tiles = [
        Headline(f"{num_people:,}", "people", f"{both:,} of them with a voice and a face"),
        Headline(tell_hours(seconds), "of speech", f"in {voices:,} recordings"),
        Headline(f"{num_faces:,}", "faces", f"of {dataset.info.face_size} px"),
    ]
    if num_failures is not None:
        tiles.append(Headline(f"{num_failures:,}", "failures", "files or rows that could not be used"))
    return tiles


def table_of_splits(dataset: ClipDataset) -> Table:
    """People, clips, voices, speech and faces by split."""
    rows = []
    for split in SPLITS:
        own = dataset.split_of == SPLITS.index(split)
        if own.any():
            seconds = float(np.nansum(dataset.durations[own]))
            numbers = [len(set(dataset.identity_of[own].tolist())), own.sum(), dataset.has_voice[own].sum()]
            faces = dataset.num_faces[own].sum()
            rows.append([split, *(f"{number:,}" for number in numbers), tell_hours(seconds), f"{faces:,}"])
    return Table(["split", "people", "clips", "recordings", "speech", "faces"], rows)


def charts(dataset: ClipDataset) -> list[Chart]:
    """How long, how many and how old; those of which nothing is known are left out."""
    found = [_durations(dataset), _clips_a_person(dataset), _faces_a_clip(dataset), _ages(dataset)]
    return [chart for chart in found if chart is not None]


def _durations(dataset: ClipDataset) -> Chart | None:
    seconds = dataset.durations[dataset.has_voice]
    if not len(seconds):
        return None
    longest = float(np.quantile(seconds, 0.99))
    width = next(w for w in (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 600) if longest / w <= _MAX_COLUMNS or w == 600)
    num = min(_MAX_COLUMNS, int(longest / width) + 1)
    counts = np.bincount(np.minimum((seconds / width).astype(int), num), minlength=num + 1)
    columns = [(f"{i * width:g}" if i % 4 == 0 else "", [(float(counts[i]), "c1")]) for i in range(num)]
    if counts[num]:
        columns.append((f"{num * width:g}+", [(float(counts[num]), "c1")]))
    middle = float(np.median(seconds))
    drawing = column_chart(
        columns,
        x_label="seconds of speech",
        y_label="recordings",
        description=f"Lengths of recordings, median {middle:.1f} s",
    )
    return Chart("How long people speak", f"half of the recordings are longer than {middle:.1f} s", drawing)


def _clips_a_person(dataset: ClipDataset) -> Chart | None:
    counts = np.bincount(dataset.identity_of, minlength=1)
    if counts.min() == counts.max():
        return None
    middle = f"{counts.mean():.1f} on average, {counts.max():,} at most"
    return Chart("Clips a person", middle, _numbers(counts, "clips", "people", f"Clips a person: {middle}"))


def _faces_a_clip(dataset: ClipDataset) -> Chart | None:
    if dataset.num_faces.min() == dataset.num_faces.max():
        return None
    without = int((dataset.num_faces == 0).sum())
    middle = f"{dataset.num_faces.mean():.1f} on average" + (f"; {without:,} clips have none" if without else "")
    return Chart("Faces a clip", middle, _numbers(dataset.num_faces, "faces", "clips", f"Faces a clip: {middle}"))


def _numbers(values: NDArray[np.int64], x_label: str, y_label: str, description: str) -> Markup:
    """How often each small number comes; large ones are taken together."""
    last = min(int(values.max()), 12)
    counts = np.bincount(np.minimum(values, last), minlength=last + 1)
    first = 0 if counts[0] else 1
    names = [str(i) for i in range(last + 1)]
    if values.max() > last:
        names[last] += "+"
    columns = [(names[i], [(float(counts[i]), "c1")]) for i in range(first, last + 1)]
    return column_chart(columns, x_label=x_label, y_label=y_label, description=description)


def _ages(dataset: ClipDataset) -> Chart | None:
    """Ages by sex, or sexes alone where no age is known."""
    known = [dataset.attributes(person) for person in range(len(dataset.identities))]
    sexes: collections.Counter[str | None] = collections.Counter(attributes.sex for attributes in known)
    with_age = [attributes for attributes in known if attributes.age is not None]
    if not with_age and not sexes.keys() - {None}:
        return None
    words = {"female": "women", "male": "men", None: "not known"}
    legend = [(style, words[sex]) for sex, style in _SEXES if any(attributes.sex == sex for attributes in with_age)]
    note = (
        f"of {len(known):,} people: age known of {len(with_age):,}, sex of {len(known) - sexes[None]:,} "
        f"({sexes['female']:,} women, {sexes['male']:,} men)"
    )
    if not with_age:
        columns = [(words[sex], [(float(sexes[sex]), style)]) for sex, style in _SEXES if sexes[sex]]
        return Chart(
            "Women and men", note, column_chart(columns, x_label="", y_label="people", description=note), legend
        )
    bands: collections.Counter[tuple[int, str | None]] = collections.Counter(
        (min(int(attributes.age or 0) // 10 * 10, _AGES[-1]), attributes.sex) for attributes in with_age
    )
    used = [band for band in _AGES if any(bands[band, sex] for sex, _ in _SEXES)]
    columns = [
        (f"{band}-{band + 9}", [(float(bands[band, sex]), style) for sex, style in _SEXES])
        for band in range(used[0], used[-1] + 10, 10)
    ]
    return Chart(
        "How old they are", note, column_chart(columns, x_label="years", y_label="people", description=note), legend
    )


def nationalities(dataset: ClipDataset, most: int = 12) -> list[Meter]:
    """The most frequent nationalities; none where they are not known."""
    known = (dataset.attributes(person).nationality for person in range(len(dataset.identities)))
    return meters(collections.Counter(nation for nation in known if nation), most)


def meters(counts: collections.Counter[str], most: int, examples: dict[str, str] | None = None) -> list[Meter]:
    """The most frequent names with their counts; the rest is taken together."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return []
    longest, rest = ranked[0][1], sum(count for _, count in ranked[most:])
    found = [Meter(name, count, count / longest, (examples or {}).get(name, "")) for name, count in ranked[:most]]
    if rest:
        found.append(Meter(f"{len(ranked) - most} others", rest, min(1.0, rest / longest)))
    return found
