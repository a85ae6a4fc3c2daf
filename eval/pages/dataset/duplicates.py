"""Duplicates in a data set: equal recordings, pictures and videos, and the same face under two names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import DatasetError
from data.faces.registry import same_person_threshold
from data.sources.grouping import cosine_blocks, read_mean_features
from data.store.dataset import ClipDataset
from data.store.inventory import read_light_columns
from eval.pages.parts.cards import ASSETS, Picture, save_picture

MAX_COMPARED = 50_000
"""Most clips whose faces are compared with each other; of larger data sets, evenly spaced ones."""

_SHOWN = 8
_KEPT = 256  # nearest pairs of clips, from which the pairs of people are taken
_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Repeated:
    """Counts of one kind of duplicates.

    Attributes:
        what: Kind, such as "the same recording".
        num: Number of contents that occur more than once.
        across_people: Number of those under more than one identity.
        across_splits: Number of those in more than one split.
        example: Identities that share one; may be empty.
    """

    what: str
    num: int
    across_people: int
    across_splits: int
    example: str


@dataclass(frozen=True)
class Lookalikes:
    """Two people whose faces are similar.

    Attributes:
        names: The two identities.
        faces: A picture of each.
        cosine: Cosine between the face features of their two nearest clips.
        across_splits: Whether they are in two splits.
        is_same: Whether the cosine reaches the network's threshold for the same person.
    """

    names: tuple[str, str]
    faces: tuple[Picture, Picture]
    cosine: float
    across_splits: bool
    is_same: bool


@dataclass(frozen=True)
class FaceComparison:
    """Similarity of faces of different identities.

    Attributes:
        num_clips: Number of clips compared.
        threshold: Cosine from which two faces count as the same person's; None if unknown for the data set's network.
        num_pairs: Number of pairs of people at or above the threshold.
        num_across: Number of those pairs that are in two splits.
        nearest: The nearest pairs of people.
    """

    num_clips: int
    threshold: float | None
    num_pairs: int
    num_across: int
    nearest: list[Lookalikes]


def find_repeated(dataset: ClipDataset) -> list[Repeated]:
    """Count recordings and pictures with equal bytes, and videos under several names."""
    recordings, pictures, videos = [], [], []
    first_clip = 0
    with tqdm(total=len(dataset), unit="clip", desc="reading", disable=None, delay=2) as progress:
        for name in dataset.info.shards:
            path = dataset.root / name
            clip = first_clip
            for batch in _media(path):
                for audio, images in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                    if audio and audio["bytes"]:
                        recordings.append((_digest(audio["bytes"]), clip))
                    pictures += [(_digest(image["bytes"]), clip) for image in images or () if image["bytes"]]
                    clip += 1
                progress.update(batch.num_rows)
            ids = read_light_columns(path)["video_id"].to_pylist()
            videos += [(video, first_clip + row) for row, video in enumerate(ids) if video is not None]
            first_clip = clip
    found = [
        _count(dataset, "the same recording, byte for byte", recordings),
        _count(dataset, "the same picture, byte for byte", pictures),
    ]
    if videos:
        found.append(_count(dataset, "one video under several names", videos, only_people=True))
    return found


def _media(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS_AT_ONCE, columns=["audio", "images"], use_threads=False)
    except (OSError, pa.ArrowException) as error:
        message = str(error).splitlines()[0]
        raise DatasetError(f"{path}: damaged ({message}); prepare the data set again") from error


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=12).digest()


def _count(
    dataset: ClipDataset,
    what: str,
    owners: list[tuple[bytes, int]] | list[tuple[str, int]],
    *,
    only_people: bool = False,
) -> Repeated:
    """Count keys that several clips share; with `only_people`, only those shared by several people or splits."""
    clips_of: dict[bytes | str, list[int]] = {}
    for key, clip in owners:
        clips_of.setdefault(key, []).append(clip)
    num = across_people = across_splits = 0
    examples: list[str] = []
    for clips in clips_of.values():
        people = sorted({dataset.identities[dataset.identity_of[clip]] for clip in clips})
        splits = {int(dataset.split_of[clip]) for clip in clips}
        if len(people) > 1 or len(splits) > 1 or (len(clips) > 1 and not only_people):
            num += 1
            across_people += len(people) > 1
            across_splits += len(splits) > 1
            if not examples or (len(people) > 1 and across_people == 1):
                examples.append(", ".join(people[:3]) + (" ..." if len(people) > 3 else ""))
    return Repeated(what, num, across_people, across_splits, examples[-1] if examples else "")


def compare_faces(out: Path, dataset: ClipDataset) -> FaceComparison | None:
    """Find the most similar faces of different people and write them to `out/assets`; None without faces."""
    with_face = np.flatnonzero(dataset.num_faces)
    if not len(with_face):
        return None
    num_clips = min(len(with_face), MAX_COMPARED)
    clips = with_face[np.arange(num_clips) * len(with_face) // num_clips]
    info = dataset.info
    features = read_mean_features([dataset.root / name for name in info.shards], info.face_encoder.feature_size)[clips]
    threshold = same_person_threshold(info.face_encoder)
    people = dataset.identity_of[clips]
    nearest, alike = _nearest_strangers(features, people, threshold)
    split_of_person = np.zeros(len(dataset.identities), np.int64)
    split_of_person[dataset.identity_of] = dataset.split_of
    shown = []
    for number, (cosine, one, other) in enumerate(nearest, start=1):
        pair = tuple(
            save_picture(
                out,
                f"{ASSETS}/alike-{number}-{side}.png",
                dataset.face(int(clips[row]), 0),
                f"Face of {dataset.identities[people[row]]}",
            )
            for side, row in (("a", one), ("b", other))
        )
        shown.append(
            Lookalikes(
                names=(dataset.identities[people[one]], dataset.identities[people[other]]),
                faces=(pair[0], pair[1]),
                cosine=cosine,
                across_splits=bool(split_of_person[people[one]] != split_of_person[people[other]]),
                is_same=threshold is not None and cosine >= threshold,
            )
        )
    num_across = sum(bool(split_of_person[one] != split_of_person[other]) for one, other in alike)
    return FaceComparison(len(clips), threshold, len(alike), num_across, shown)


def _nearest_strangers(
    features: NDArray[np.float32], people: NDArray[np.int64], threshold: float | None
) -> tuple[list[tuple[float, int, int]], list[tuple[int, int]]]:
    """The nearest pairs of clips, one for each pair of people, and all pairs of people at or above the threshold."""
    kept = np.zeros((0, 3))
    alike: set[tuple[int, int]] = set()
    least = -1.0
    for start, other_start, cosines in cosine_blocks(features):
        own, others = people[start : start + len(cosines)], people[other_start : other_start + cosines.shape[1]]
        # A block on the diagonal holds each pair twice.
        strangers = own[:, None] < others if start == other_start else own[:, None] != others
        first, second = np.nonzero((cosines > least) & strangers)
        values = cosines[first, second]
        if threshold is not None:
            near = values >= threshold
            pairs = np.sort(np.stack([own[first[near]], others[second[near]]], axis=1), axis=1)
            alike.update(map(tuple, np.unique(pairs, axis=0).tolist()))
        if len(values) > _KEPT:
            best = np.argpartition(-values, _KEPT)[:_KEPT]
            first, second, values = first[best], second[best], values[best]
        found = np.stack([values, first + start, second + other_start], axis=1)
        kept = np.concatenate([kept, found])
        kept = kept[np.lexsort((kept[:, 2], kept[:, 1], -kept[:, 0]))][:_KEPT]
        if len(kept) == _KEPT:
            least = min(float(kept[-1, 0]), threshold if threshold is not None else 1.0)
    nearest: dict[tuple[int, int], tuple[float, int, int]] = {}
    for cosine, one, other in kept.tolist():
        key = (int(min(people[int(one)], people[int(other)])), int(max(people[int(one)], people[int(other)])))
        nearest.setdefault(key, (cosine, int(one), int(other)))
    return list(nearest.values())[:_SHOWN], sorted(alike)
