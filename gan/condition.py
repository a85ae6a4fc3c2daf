"""Training data of the generator: crops, each with the face feature that conditions its drawing."""

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
from gan.augment import NUMBERS
from gan.config import ConditionConfig, ObjectiveConfig

CROPS_IN_MEMORY_BYTES = 4 * 2**30
"""Largest size of all crops together that are decoded once and kept in memory; loader processes share it."""


@dataclass(frozen=True)
class FaceBatch:
    """Crops with conditions and all random numbers of a step.

    Attributes:
        images: [N, 3, S, S] in [-1, 1]; uint8 until `to` moves them to the device.
        flipped: [N] bool, whether the crop is mirrored; done by `to`.
        condition: [N, D] face features that condition the generator.
        other_condition: [N, D] conditions of other people.
        from_voice: [N] bool, whether the condition was predicted from a voice.
        pictured: [N] bool, whether the condition belongs to the crop. Other conditions are random features; no
            photograph shows such a face.
        judged: [N] bool, whether the frozen networks see the drawing; on the CPU, so that choosing them needs no
            synchronisation with the device.
        penalised: [N] bool, whether the gradient penalty is computed at crop and drawing; on the CPU.
        noise: [N, Z] standard normal.
        numbers: [N, 8] uniform in [0, 1), for the augmentation.
    """

    images: Tensor
    flipped: Tensor
    condition: Tensor
    other_condition: Tensor
    from_voice: Tensor
    pictured: Tensor
    judged: Tensor
    penalised: Tensor
    noise: Tensor
    numbers: Tensor

    def to(self, device: torch.device) -> FaceBatch:
        """The batch on a device, images mirrored where they should be, in [-1, 1] and channels_last."""
        moved = {
            field.name: getattr(self, field.name).to(device, non_blocking=True)
            for field in fields(self)
            if field.name not in ("judged", "penalised")
        }
        images = moved["images"].float() / 127.5 - 1
        images = torch.where(moved["flipped"][:, None, None, None], images.flip(3), images)
        moved["images"] = images.contiguous(memory_format=torch.channels_last)
        return replace(self, **moved)

    def pin_memory(self) -> FaceBatch:
        """The batch in page-locked memory; a DataLoader calls this method, as it can't look into other classes."""
        return FaceBatch(**{field.name: getattr(self, field.name).pin_memory() for field in fields(self)})

    def __getitem__(self, rows: slice) -> FaceBatch:
        """A slice of the batch."""
        return FaceBatch(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class CropReader:
    """Crops of a split, decoded once and kept in memory where they fit.

    Attributes:
        in_memory: Whether they are kept.

    Args:
        dataset: The split.
        owners: [M, 2] clip and number of each face, as `ClipDataset.all_face_features` gives them.
    """

    def __init__(self, dataset: ClipDataset, owners: NDArray[np.int64]) -> None:
        self._dataset, self._owners = dataset, owners
        size = dataset.info.face_size
        self._crops: NDArray[np.uint8] | None = None
        if len(owners) * size * size * 3 <= CROPS_IN_MEMORY_BYTES:
            # Decoding JPEG and Parquet takes longer than a step on a GPU.
            self._crops = np.empty((len(owners), size, size, 3), np.uint8)
            for row, (clip, face) in enumerate(owners):
                self._crops[row] = dataset.face(int(clip), int(face))
        self.in_memory = self._crops is not None

    def __getitem__(self, row: int) -> Tensor:
        """[3, S, S] uint8 crop of a row of `owners`."""
        if self._crops is not None:
            return torch.from_numpy(self._crops[row]).permute(2, 0, 1)
        clip, number = self._owners[row]
        crop = self._dataset.face(int(clip), int(number)).copy()  # decoded pictures are read-only
        return torch.from_numpy(crop).permute(2, 0, 1)


def faces_by_identity(dataset: ClipDataset, owners: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of `owners` ([M, 2] clip and number of each face) of each person of the split."""
    identities = dataset.identity_of[owners[:, 0]]
    order = np.argsort(identities, kind="stable")
    bounds = np.searchsorted(identities[order], np.arange(len(dataset.identities) + 1))
    return np.split(order, bounds[1:-1])


class ConditionedFaces(Dataset[dict[str, Tensor]]):
    """Chooses a crop of a person and a condition for it; a pure function of the draw.

    Args:
        dataset: Source of crops and true features.
        predicted: Face feature predicted from the voice of each clip, by clip.
        config: Kind of the conditions.
        objective: Shares of the drawings that are judged and penalised.
        noise_size: Z.

    Raises:
        DatasetError: If fewer than two people have what the configuration asks for.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        predicted: dict[int, Tensor],
        config: ConditionConfig,
        objective: ObjectiveConfig,
        noise_size: int,
    ) -> None:
        self.dataset = dataset
        self.predicted = predicted
        self.config = config
        self.objective = objective
        self.noise_size = noise_size
        self.voice_share = {"voice": 1.0, "face": 0.0, "mix": config.voice_share}[config.source]
        self.identities = [
            identity
            for identity in range(len(dataset.identities))
            if dataset.faces_of(identity) and (config.source != "voice" or dataset.voices_of(identity))
        ]
        if len(self.identities) < 2:
            raise DatasetError(
                f"{dataset.root}: {len(self.identities)} people usable with condition.source={config.source}, at "
                f"least two are needed"
            )
        features, owners = dataset.all_face_features()
        self.true_features = torch.from_numpy(features)
        self.mean = self.true_features.mean(0)
        self.feature_deviation = float((self.true_features - self.mean).square().mean().sqrt())
        variances, self._directions = torch.linalg.eigh(torch.cov(self.true_features.T))
        self._variances = variances.clamp_min(0)
        self._faces = faces_by_identity(dataset, owners)
        self._crops = CropReader(dataset, owners)

    def __getitem__(self, draw: PersonDraw) -> dict[str, Tensor]:
        """A crop and its condition, without the batch dimension; keys as the fields of `FaceBatch`."""
        random = np.random.default_rng(draw.seed)
        face = self._choose_face(draw.identity, random)
        pictured = bool(random.random() >= self.config.random_share)
        condition, from_voice = self._condition(draw.identity, face, random)
        other = self._someone_else(draw.identity, random)
        other_condition, _ = self._condition(other, self._choose_face(other, random), random)
        return {
            "images": self._crops[face],
            "flipped": torch.tensor(bool(random.random() < 0.5)),
            "condition": condition if pictured else self._random_feature(random),
            "other_condition": other_condition,
            "from_voice": torch.tensor(from_voice and pictured),
            "pictured": torch.tensor(pictured),
            "judged": torch.tensor(draw.falls_into(self.objective.judged_share)),
            "penalised": torch.tensor(draw.falls_into(self.objective.penalised_share)),
            "noise": _normal(random, self.noise_size),
            "numbers": torch.from_numpy(random.random(NUMBERS, dtype=np.float32)),
        }

    def _choose_face(self, identity: int, random: np.random.Generator) -> int:
        faces = self._faces[identity]
        return int(faces[random.integers(len(faces))])

    def _condition(self, identity: int, face: int, random: np.random.Generator) -> tuple[Tensor, bool]:
        voices = self.dataset.voices_of(identity) if self.voice_share else []
        from_voice = bool(voices) and bool(random.random() < self.voice_share)
        feature = self.predicted[voices[random.integers(len(voices))]] if from_voice else self.true_features[face]
        if self.config.noise:
            feature = feature + _normal(random, *feature.shape) * (self.config.noise * self.feature_deviation)
        return feature, from_voice

    def _random_feature(self, random: np.random.Generator) -> Tensor:
        """A normal feature at any distance from the mean face, with the covariance of true features to a power.

        With power 1 it is what a sampler gives at variety 1; with 3 it lies in the few main directions, as features
        that are regressed from voices do.
        """
        spread = self._variances ** (random.uniform(1, 3) / 2)
        # Where all faces are equal, nothing is divided by zero.
        total = spread.square().sum().clamp_min(torch.finfo(spread.dtype).tiny)
        spread = spread * (self._variances.sum() / total).sqrt()
        distance = 1 - 0.8 * random.random() ** 2
        return self.mean + distance * (self._directions @ (spread * _normal(random, len(spread))))

    def _someone_else(self, identity: int, random: np.random.Generator) -> int:
        other = identity
        while other == identity:
            other = self.identities[random.integers(len(self.identities))]
        return other


def _normal(random: np.random.Generator, *shape: int) -> Tensor:
    values: NDArray[np.float32] = random.standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(values)


def collate(samples: list[dict[str, Tensor]]) -> FaceBatch:
    """Stack samples into a batch."""
    return FaceBatch(**default_collate(samples))
