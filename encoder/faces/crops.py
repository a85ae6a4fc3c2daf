"""Training crops of a face encoder, in memory if they fit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from data.errors import DatasetError
from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw

_LOOKS_SIDE = 32

_LARGEST_SIDE = 128
"""Side to which larger crops are reduced; the network's square of 112 px then has 88 px."""


class FaceCrops(Dataset[tuple[Tensor, int]]):
    """Random access to the crops of a split by person; a map-style data set over `PersonDraw`s.

    Attributes:
        people: Identities with a face, as indices into the data set's; a class is an index into this list.
        num_faces: Number of crops of all of them.
    """

    def __init__(self, clips: ClipDataset, memory_bytes: int) -> None:
        """List the crops, and decode all of them if they fit into memory.

        Args:
            clips: Split with the crops.
            memory_bytes: Largest size of all decoded crops; otherwise each is decoded on every access.

        Raises:
            DatasetError: If nobody in the split has a face, or a crop is damaged.
        """
        self._clips = clips
        faces = {person: clips.faces_of(person) for person in range(len(clips.identities))}
        self.people = [person for person, own in faces.items() if own]
        if not self.people:
            raise DatasetError(f"{clips.root}: nobody in the {clips.split} split has a face; prepare more")
        self._places = [place for person in self.people for place in faces[person]]
        self._ends = np.cumsum([len(faces[person]) for person in self.people])
        self.num_faces = len(self._places)
        self._class_of = {person: number for number, person in enumerate(self.people)}
        self._crops: NDArray[np.uint8] | None = None
        side = min(clips.info.face_size, _LARGEST_SIDE)
        if self.num_faces * side * side * 3 <= memory_bytes:
            progress = tqdm(range(self.num_faces), desc=f"reading {clips.split} faces", disable=None, delay=2)
            self._crops = np.stack([self.crop(number) for number in progress])

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, draw: PersonDraw) -> tuple[Tensor, int]:
        """A random crop [S, S, 3] uint8 RGB of a person, and the person's class."""
        own = self._class_of[draw.identity]
        first = int(self._ends[own - 1]) if own else 0
        number = int(np.random.default_rng(draw.seed).integers(first, self._ends[own]))
        return torch.from_numpy(self.crop(number).copy()), own

    def crop(self, number: int) -> NDArray[np.uint8]:
        """Crop `number` of `num_faces`, ordered by person: [S, S, 3] uint8 RGB, S at most 128."""
        if self._crops is not None:
            return self._crops[number]
        crop = self._clips.face(*self._places[number])
        if len(crop) <= _LARGEST_SIDE:
            return crop
        size = (_LARGEST_SIDE, _LARGEST_SIDE)
        return np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BOX))

    def classes(self) -> NDArray[np.int64]:
        """[num_faces] int64: class of each crop."""
        counts = np.diff(self._ends, prepend=0)
        return np.repeat(np.arange(len(self.people)), counts)

    def known_attributes(self) -> Tensor:
        """Known attributes of all people, scaled to zero mean and unit variance: sex, age and personas' face traits.

        Returns:
            [num_people, A] float32, NaN for unknown values; A is 0 if nothing is known of anybody.
        """
        known = [self._clips.attributes(person) for person in self.people]
        sex = [{"female": -1.0, "male": 1.0, None: np.nan}[own.sex] for own in known]
        age = [np.nan if own.age is None else own.age for own in known]
        columns = np.array([sex, age], np.float32).T
        traits = self._clips.person_vectors("face_traits")
        if traits is not None:
            columns = np.concatenate([columns[:, :1], traits[self.people]], axis=1)
        columns = columns[:, ~np.isnan(columns).all(axis=0)]
        spread = np.nanstd(columns, axis=0)
        return torch.from_numpy((columns - np.nanmean(columns, axis=0)) / np.where(spread > 0, spread, 1))

    def mean_looks(self, num_components: int) -> Tensor:
        """Principal components of each person's mean crop, over crops and their mirror images.

        Components are scaled to equal variance, so that small regions such as the chin count as much as hair (whitened
        eigenfaces; Turk and Pentland 1991).

        Returns:
            [num_people, K] float32, zero mean and unit variance over people; K is `num_components`, or one less than
            the number of people.
        """
        side = _LOOKS_SIDE
        sums = np.zeros((len(self.people), side, side, 3), np.float32)
        for number, person in enumerate(self.classes().tolist()):
            crop = self.crop(number)
            sums[person] += crop.reshape(side, len(crop) // side, side, len(crop) // side, 3).mean(axis=(1, 3))
        means = sums / np.diff(self._ends, prepend=0)[:, None, None, None].astype(np.float32)
        looks = torch.from_numpy(means + means[:, :, ::-1]).flatten(1)
        looks = looks - looks.mean(dim=0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # svd_lowrank starts from random directions
            scores = torch.svd_lowrank(looks, q=min(num_components, len(looks) - 1), niter=4)[0]
        # The sign of a component is arbitrary; all processes must have the same.
        largest = scores.gather(0, scores.abs().argmax(dim=0, keepdim=True))
        return scores * largest.sign() * len(looks) ** 0.5
