"""Training data of the generator: crops, each with the face feature that conditions its drawing."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from data.errors import DatasetError
from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw
from encoder.canonical import CanonicalConfig, start_heads
from encoder.pairs import Pairs, compute_hidden
from encoder.voice_encoder import VoiceEncoder
from gan.augment import NUMBERS
from gan.config import ConditionConfig
from training.run import Run


@dataclass(frozen=True)
class FaceBatch:
    """Crops with conditions and all random numbers of a step.

    Attributes:
        images: [N, 3, S, S] in [-1, 1].
        condition: [N, D] face features that condition the generator.
        other_condition: [N, D] conditions of other people.
        true_feature: [N, D] T's unit features of the images.
        from_voice: [N] bool, whether the condition was predicted from a voice.
        noise: [N, 2, Z] standard normal, for the discriminator's and the generator's phase.
        numbers: [N, 2, 7] uniform in [0, 1), for the augmentation in both phases.
    """

    images: Tensor
    condition: Tensor
    other_condition: Tensor
    true_feature: Tensor
    from_voice: Tensor
    noise: Tensor
    numbers: Tensor

    def to(self, device: torch.device) -> FaceBatch:
        """The batch on a device, images in channels_last."""
        moved = {field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        moved["images"] = moved["images"].contiguous(memory_format=torch.channels_last)
        return FaceBatch(**moved)

    def __getitem__(self, rows: slice) -> FaceBatch:
        """A slice of the batch."""
        return FaceBatch(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def predict_features(
    encoder: VoiceEncoder, dataset: ClipDataset, config: ConditionConfig, run: Run
) -> dict[int, Tensor]:
    """Predict the face feature of each clip's voice by cross-fitting.

    The encoder predicts faces of its training people better than those of others, and a generator trained on such
    predictions would rely on details that other people's voices lack. So the regression is fitted again for each fold
    of people on the other folds; the backbone stays. The backbone computes each clip once.

    Args:
        encoder: Trained encoder.
        dataset: Split that it was trained on.
        config: Number of folds, and ridge of the fits.
        run: Run whose processes share the work.

    Returns:
        Clip index -> [D] float32 on the CPU, the same in every process.
    """
    hidden = compute_hidden(encoder.to(run.device).eval(), dataset, 0, 0.0, run)
    pairs = Pairs(dataset, encoder.config.window_samples, hidden)
    features = _regress(encoder, hidden)
    voices, faces = pairs.mean_hidden(), pairs.prototypes()
    folds = torch.arange(len(pairs.people)) % max(1, config.num_folds)
    for fold in range(config.num_folds):
        refitted = copy.deepcopy(encoder)
        kept = folds != fold
        start_heads(
            refitted, voices[kept], faces[kept], pairs.features, CanonicalConfig(feature_ridge=config.feature_ridge)
        )
        left_out = {person for person, own in zip(pairs.people, folds.tolist(), strict=True) if own == fold}
        rows = torch.tensor([int(identity) in left_out for identity in dataset.identity_of])
        features[rows] = _regress(refitted, hidden[rows])
    return {int(clip): features[clip] for clip in np.flatnonzero(dataset.has_voice)}


@torch.no_grad()
def _regress(encoder: VoiceEncoder, hidden: Tensor) -> Tensor:
    return encoder.eval().head(hidden[:, 0].to(encoder.face_mean.device)).feature.cpu()


class ConditionedFaces(Dataset[dict[str, Tensor]]):
    """Chooses a crop of a person and a condition for it; a pure function of the draw.

    Args:
        dataset: Source of crops and true features.
        predicted: Face feature predicted from the voice of each clip, by clip.
        config: Kind of the conditions.
        noise_size: Z.

    Raises:
        DatasetError: If fewer than two people have what the configuration asks for.
    """

    def __init__(
        self, dataset: ClipDataset, predicted: dict[int, Tensor], config: ConditionConfig, noise_size: int
    ) -> None:
        self.dataset = dataset
        self.predicted = predicted
        self.config = config
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
        features, _ = dataset.all_face_features()
        self.true_features = torch.from_numpy(features)
        centred = self.true_features - self.true_features.mean(0)
        self.feature_deviation = float(centred.square().mean().sqrt())

    def __getitem__(self, draw: PersonDraw) -> dict[str, Tensor]:
        """A crop and its condition, without the batch dimension; keys as the fields of `FaceBatch`."""
        random = np.random.default_rng(draw.seed)
        clip, face = self._choose_face(draw.identity, random)
        true_feature = torch.from_numpy(self.dataset.face_features(clip)[face])
        condition, from_voice = self._condition(draw.identity, true_feature, random)
        other = self._someone_else(draw.identity, random)
        other_clip, other_face = self._choose_face(other, random)
        other_feature = torch.from_numpy(self.dataset.face_features(other_clip)[other_face])
        other_condition, _ = self._condition(other, other_feature, random)
        image = self.dataset.face(clip, face)
        if random.random() < 0.5:
            image = image[:, ::-1]
        return {
            "images": torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 127.5 - 1,
            "condition": condition,
            "other_condition": other_condition,
            "true_feature": true_feature,
            "from_voice": torch.tensor(from_voice),
            "noise": _normal(random, 2, self.noise_size),
            "numbers": torch.from_numpy(random.random((2, NUMBERS), dtype=np.float32)),
        }

    def _choose_face(self, identity: int, random: np.random.Generator) -> tuple[int, int]:
        faces = self.dataset.faces_of(identity)
        return faces[random.integers(len(faces))]

    def _condition(self, identity: int, true_feature: Tensor, random: np.random.Generator) -> tuple[Tensor, bool]:
        voices = self.dataset.voices_of(identity)
        from_voice = bool(voices) and bool(random.random() < self.voice_share)
        feature = self.predicted[voices[random.integers(len(voices))]] if from_voice else true_feature
        noise = _normal(random, *feature.shape) * (self.config.noise * self.feature_deviation)
        return feature + noise, from_voice

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
