"""Training data of the published methods: a crop of a person, and a voice."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from data.errors import DatasetError
from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw
from encoder.pairs import random_crop
from gan.condition import CropReader, faces_by_identity

VOICES_IN_MEMORY_BYTES = 4 * 2**30
"""Largest size of all recordings together that are decoded once and kept in memory."""


@dataclass(frozen=True)
class VoicedBatch:
    """Crops and voices of a step.

    Attributes:
        images: [N, 3, S, S] in [-1, 1]; uint8 until `to` moves them to the device.
        flipped: [N] bool, whether the crop is mirrored; done by `to`.
        voices: [N, T] waveforms at 16 kHz, or [N, H] outputs of a frozen backbone.
        people: [N] number of the person in the crop, among the training people.
        speakers: [N] number of the person who speaks; equal to `people` in paired data.
        noise: [N, Z] standard normal, for the generator.
        condition_noise: [N, C] standard normal, for the condition.
    """

    images: Tensor
    flipped: Tensor
    voices: Tensor
    people: Tensor
    speakers: Tensor
    noise: Tensor
    condition_noise: Tensor

    def to(self, device: torch.device) -> VoicedBatch:
        """The batch on a device, images mirrored where they should be and in [-1, 1]."""
        moved = {field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        images = moved["images"].float() / 127.5 - 1
        moved["images"] = torch.where(moved["flipped"][:, None, None, None], images.flip(3), images)
        return replace(self, **moved)

    def pin_memory(self) -> VoicedBatch:
        """The batch in page-locked memory, for a DataLoader."""
        return VoicedBatch(**{field.name: getattr(self, field.name).pin_memory() for field in fields(self)})


class VoicedFaces(Dataset[dict[str, Tensor]]):
    """Chooses a crop of a person and a voice; a pure function of the draw.

    Attributes:
        people: Indices into the data set's identities of those who have both a voice and a face.
        window_samples: Length of the random crops of waveforms; it may be changed between epochs of a loader.
        noise_size: Z; 0 until it is set.

    Args:
        dataset: The split.
        window_samples: Length of the random crops of waveforms.
        condition_size: C.
        paired: Whether the voice is the person's own; else that of anybody.
        hidden: [num_clips, num_crops, H] outputs of a frozen backbone, to be drawn instead of waveforms.

    Raises:
        DatasetError: If fewer than two people have both voice and face.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        window_samples: int,
        condition_size: int,
        paired: bool = True,
        hidden: Tensor | None = None,
    ) -> None:
        self._dataset = dataset
        self.window_samples = window_samples
        self.noise_size, self._condition_size = 0, condition_size
        self._paired, self._hidden = paired, hidden
        _, owners = dataset.all_face_features()
        self._faces = faces_by_identity(dataset, owners)
        self._crops = CropReader(dataset, owners)
        self.people = [
            person
            for person in range(len(dataset.identities))
            if len(self._faces[person]) and dataset.voices_of(person)
        ]
        if len(self.people) < 2:
            raise DatasetError(
                f"{dataset.root}: {len(self.people)} people with voice and face in the {dataset.split} split, at least "
                f"two are needed"
            )
        self._number = {person: number for number, person in enumerate(self.people)}
        self._waveforms: dict[int, NDArray[np.int16]] = {}
        self._bytes = 0

    def __getitem__(self, draw: PersonDraw) -> dict[str, Tensor]:
        """A crop and a voice, without the batch dimension; keys as the fields of `VoicedBatch`."""
        random = np.random.default_rng(draw.seed)
        faces = self._faces[draw.identity]
        face = int(faces[random.integers(len(faces))])
        speaker = draw.identity if self._paired else self.people[random.integers(len(self.people))]
        clip = int(random.choice(self._dataset.voices_of(speaker)))
        if self._hidden is not None:
            voice = self._hidden[clip, random.integers(self._hidden.shape[1])]
        else:
            voice = torch.from_numpy(random_crop(self._waveform(clip), self.window_samples, random))
        normal = random.standard_normal(self.noise_size + self._condition_size, dtype=np.float32)
        return {
            "images": self._crops[face],
            "flipped": torch.tensor(bool(random.random() < 0.5)),
            "voices": voice,
            "people": torch.tensor(self._number[draw.identity]),
            "speakers": torch.tensor(self._number[speaker]),
            "noise": torch.from_numpy(normal[: self.noise_size]),
            "condition_noise": torch.from_numpy(normal[self.noise_size :]),
        }

    def _waveform(self, clip: int) -> NDArray[np.float32]:
        samples = self._waveforms.get(clip)
        if samples is None:
            samples = (self._dataset.waveform(clip).clip(-1, 1) * 32767).round().astype(np.int16)
            if self._bytes + samples.nbytes <= VOICES_IN_MEMORY_BYTES:
                self._bytes += samples.nbytes
                self._waveforms[clip] = samples
        return samples.astype(np.float32) / np.float32(32767)


def collate(samples: list[dict[str, Tensor]]) -> VoicedBatch:
    """Stack samples into a batch."""
    return VoicedBatch(**default_collate(samples))
