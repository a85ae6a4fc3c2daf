"""A sample of the people of a data set, with their faces and voices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.files import write_file
from data.media.audio import encode_flac
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from eval.pages.dataset.counts import format_duration
from eval.pages.parts.cards import ASSETS, Picture, choose_people, describe, save_picture, spread

_FACES = 3


@dataclass(frozen=True)
class PersonCard:
    """One person on the data set's page.

    Attributes:
        name: Identity.
        about: Sex and age as far as they are known; may be empty.
        holds: Split, number of clips and duration of speech.
        faces: Up to three pictures of the person.
        voice: Path of a recording relative to the page; empty without one.
    """

    name: str
    about: str
    holds: str
    faces: list[Picture]
    voice: str


def show_people(out: Path, dataset: ClipDataset, num_people: int) -> list[PersonCard]:
    """Choose people evenly over the data set, and write their pictures and recordings to `out/assets`."""
    chosen = choose_people(dataset, num_people)
    others = sorted(set(range(len(dataset.identities))) - set(chosen))
    chosen += spread(others, num_people - len(chosen))
    return [_show(out, dataset, person, number) for number, person in enumerate(chosen, start=1)]


def _show(out: Path, dataset: ClipDataset, person: int, number: int) -> PersonCard:
    card, name = f"{ASSETS}/person-{number:03d}", dataset.identities[person]
    faces = [
        save_picture(out, f"{card}-face-{i}.png", dataset.face(*key), f"Face {i} of {name}")
        for i, key in enumerate(spread(dataset.faces_of(person), _FACES), start=1)
    ]
    voices, voice = dataset.voices_of(person), ""
    if voices:
        clip = sorted(voices, key=lambda clip: dataset.durations[clip])[len(voices) // 2]
        voice = f"{card}-voice.flac"
        write_file(out / voice, encode_flac(dataset.waveform(clip)))
    seconds = float(np.nansum(dataset.durations[voices])) if voices else 0.0
    clips = np.flatnonzero(dataset.identity_of == person)
    splits = " and ".join(SPLITS[split] for split in np.unique(dataset.split_of[clips]))
    parts = [
        splits,
        f"{len(clips)} clip{'s' if len(clips) > 1 else ''}",
        format_duration(seconds) if voices else "no voice",
    ]
    return PersonCard(name, describe(dataset, person), ", ".join(parts), faces, voice)
