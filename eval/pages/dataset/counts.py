"""Tables and charts that count a data set's people, clips, durations and attributes."""

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
    """A chart with its texts.

    Attributes:
        title: Title.
        note: Short text under the title.
        svg: The chart itself.
        legend: Style and name of each part; empty for a single part.
    """

    title: str
    note: str
    svg: Markup
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Meter:
    """One bar of a list of counts.

    Attributes:
        name: Name of a reason, a flag or a nation.
        count: Number of its occurrences.
        share: Count relative to that of the most frequent name: the bar's length.
        example: Text of one occurrence; may be empty.
    """

    name: str
    count: int
    share: float
    example: str = ""


def format_duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours: "12 s", "10 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def headlines(dataset: ClipDataset, num_failures: int | None) -> list[Headline]:
    """The numbers at the top of the page."""
    seconds, num_faces = float(np.nansum(dataset.durations)), int(dataset.num_faces.sum())
    voices, num_people = int(dataset.has_voice.sum()), len(dataset.identities)
    both = sum(bool(dataset.voices_of(i)) and bool(dataset.faces_of(i)) for i in range(num_people))
    tiles = [
        Headline(f"{num_people:,}", "people", f"{both:,} of them with a voice and a face"),
        Headline(format_duration(seconds), "of speech", f"in {voices:,} recordings"),
        Headline(f"{num_faces:,}", "faces", f"of {dataset.info.face_size} px"),
    ]
    if num_failures is not None:
        tiles.append(Headline(f"{num_failures:,}", "failures", "files or requests that could not be used"))
    return tiles


def table_of_splits(dataset: ClipDataset) -> Table:
    """Numbers of people, clips, recordings, hours of speech and faces by split."""
    rows = []
    for split in SPLITS:
        own = dataset.split_of == SPLITS.index(split)
        if own.any():
            seconds = float(np.nansum(dataset.durations[own]))
            numbers = [len(set(dataset.identity_of[own].tolist())), own.sum(), dataset.has_voice[own].sum()]
            faces = dataset.num_faces[own].sum()
            rows.append([split, *(f"{number:,}" for number in numbers), format_duration(seconds), f"{faces:,}"])
    return Table(["split", "people", "clips", "recordings", "speech", "faces"], rows)


def charts(dataset: ClipDataset) -> list[Chart]:
    """Charts of durations, counts and ages; those without known values are left out."""
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
    median = float(np.median(seconds))
    svg = column_chart(
        columns,
        x_label="seconds of speech",
        y_label="recordings",
        description=f"Durations of recordings, median {median:.1f} s",
    )
    return Chart("Durations", f"half of the recordings are longer than {median:.1f} s", svg)


def _clips_a_person(dataset: ClipDataset) -> Chart | None:
    counts = np.bincount(dataset.identity_of, minlength=1)
    if counts.min() == counts.max():
        return None
    note = f"{counts.mean():.1f} on average, {counts.max():,} at most"
    return Chart("Clips a person", note, _count_chart(counts, "clips", "people", f"Clips a person: {note}"))


def _faces_a_clip(dataset: ClipDataset) -> Chart | None:
    if dataset.num_faces.min() == dataset.num_faces.max():
        return None
    without = int((dataset.num_faces == 0).sum())
    note = f"{dataset.num_faces.mean():.1f} on average" + (f"; {without:,} clips have none" if without else "")
    svg = _count_chart(dataset.num_faces, "faces", "clips", f"Faces a clip: {note}")
    return Chart("Faces a clip", note, svg)


def _count_chart(values: NDArray[np.int64], x_label: str, y_label: str, description: str) -> Markup:
    """Frequencies of small numbers; 12 and above share a column."""
    last = min(int(values.max()), 12)
    counts = np.bincount(np.minimum(values, last), minlength=last + 1)
    first = 0 if counts[0] else 1
    names = [str(i) for i in range(last + 1)]
    if values.max() > last:
        names[last] += "+"
    columns = [(names[i], [(float(counts[i]), "c1")]) for i in range(first, last + 1)]
    return column_chart(columns, x_label=x_label, y_label=y_label, description=description)


def _ages(dataset: ClipDataset) -> Chart | None:
    """Ages by sex, or the sexes alone if no age is known."""
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
    return Chart("Ages", note, column_chart(columns, x_label="years", y_label="people", description=note), legend)


def nationalities(dataset: ClipDataset, most: int = 12) -> list[Meter]:
    """The most frequent nationalities; empty if none is known."""
    known = (dataset.attributes(person).nationality for person in range(len(dataset.identities)))
    return meters(collections.Counter(nation for nation in known if nation), most)


def meters(counts: collections.Counter[str], most: int, examples: dict[str, str] | None = None) -> list[Meter]:
    """The most frequent names with their counts, then one entry for all others."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return []
    longest, rest = ranked[0][1], sum(count for _, count in ranked[most:])
    found = [Meter(name, count, count / longest, (examples or {}).get(name, "")) for name, count in ranked[:most]]
    if rest:
        found.append(Meter(f"{len(ranked) - most} others", rest, min(1.0, rest / longest)))
    return found
