"""What the generator is trained on: faces, each with the feature that it is to be drawn from."""

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
    """Faces with conditions and all the randomness that a step spends on them.

    Attributes:
        images: [N, 3, S, S] in [-1, 1].
        condition: [N, D] what the generator is told.
        other_condition: [N, D] the condition of another person.
        true_feature: [N, D] T's unit feature of the image.
        from_voice: [N] bool, whether the condition was heard.
        noise: [N, 2, Z] standard normal, for the discriminator's and the generator's phase.
        numbers: [N, 2, ...] uniform in [0, 1) for augmentation, likewise.
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
        """Some rows of the batch."""
        return FaceBatch(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def predict_features(
    encoder: VoiceEncoder, dataset: ClipDataset, config: ConditionConfig, run: Run
) -> dict[int, Tensor]:
    """The face feature that each clip's voice suggests to an encoder that never met the speaker.

    The encoder foretells the faces of the people it was trained on better than those of strangers, and a generator
    trained on such features would believe details that no stranger's voice holds. So its regression is fitted again
    for each fold of people on the other folds (cross-fitting); the backbone stays. Each clip is heard once.

    Args:
        encoder: The trained encoder.
        dataset: The split that it was trained on.
        config: How many folds, and the ridge of their fits.
        run: Its processes share the work.

    Returns:
        Clip index -> [D] float32 on the CPU, the same in every process.
    """
    hidden = compute_hidden(encoder.to(run.device).eval(), dataset, 0, 0.0, run)
    pairs = Pairs(dataset, encoder.config.window_samples, hidden)
    features = _regress(encoder, hidden)
    voices, faces = pairs.mean_hidden(), pairs.prototypes()
    folds = torch.arange(len(pairs.people)) % max(1, config.num_folds)
    for fold in range(config.num_folds):
        stranger = copy.deepcopy(encoder)
        kept = folds != fold
        start_heads(
            stranger, voices[kept], faces[kept], pairs.features, CanonicalConfig(feature_ridge=config.feature_ridge)
        )
        left_out = {person for person, own in zip(pairs.people, folds.tolist(), strict=True) if own == fold}
        rows = torch.tensor([int(identity) in left_out for identity in dataset.identity_of])
        features[rows] = _regress(stranger, hidden[rows])
    return {int(clip): features[clip] for clip in np.flatnonzero(dataset.has_voice)}


@torch.no_grad()
def _regress(encoder: VoiceEncoder, hidden: Tensor) -> Tensor:
    return encoder.eval().head(hidden[:, 0].to(encoder.face_mean.device)).feature.cpu()


class ConditionedFaces(Dataset[dict[str, Tensor]]):
    """Draws a face of a person and the condition to draw it from; a pure function of the draw.

    Args:
        dataset: Where faces and true features come from.
        heard: Face feature of each clip's voice.
        config: What the generator is told.
        noise_size: Z.

    Raises:
        DatasetError: If no one in the data set can be drawn as the configuration asks.
    """

    def __init__(
        self, dataset: ClipDataset, heard: dict[int, Tensor], config: ConditionConfig, noise_size: int
    ) -> None:
        self.dataset = dataset
        self.heard = heard
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
                f"{dataset.root}: {len(self.identities)} people to draw for condition.source={config.source}, at "
                f"least two are needed"
            )
        features, _ = dataset.all_face_features()
        self.true_features = torch.from_numpy(features)
        centred = self.true_features - self.true_features.mean(0)
        self.feature_deviation = float(centred.square().mean().sqrt())

    def __getitem__(self, draw: PersonDraw) -> dict[str, Tensor]:
        """A face and its condition, without the batch dimension; the keys are `FaceBatch`'s."""
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
        feature = self.heard[voices[random.integers(len(voices))]] if from_voice else true_feature
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
    """Samples into a batch."""
    return FaceBatch(**default_collate(samples))
