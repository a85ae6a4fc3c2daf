"""Losses of a voice encoder's training and their weights, over the batch of all processes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError
from encoder.losses import (
    am_softmax,
    cosine_distance,
    distillation,
    feature_l1,
    info_nce,
    normalised_l2,
    prototype_logits,
)
from encoder.voice_encoder import VoiceEncoder
from training.run import Run


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the losses (0 switches one off) and their settings.

    Speech2Face (Oh et al. 2019) has feature_l1 1, normalised_l2 0.025, distillation 200 and no other loss; its
    weights balance gradients for features of length 4096 and thousands of classes.

    Attributes:
        info_nce: Weight of the contrastive loss in the joint space.
        am_softmax: Weight of AM-softmax over training identities in the joint space, for voices and faces.
        speaker: Weight of AM-softmax over training identities on the backbone's output (speaker recognition). A
            backbone from random weights learns voices faster by it than from faces alone.
        cosine: Weight of 1 - cos between regressed and true feature.
        feature_l1: Weight of the sum of absolute differences of the features.
        normalised_l2: Weight of the squared distance of the normalised features.
        distillation: Weight of the cross entropy of soft identities, from cosines to the mean feature of each person.
        temperature: Temperature of info_nce.
        margin: Margin of am_softmax and speaker.
        scale: Scale of am_softmax and speaker.
    """

    info_nce: float = 1.0
    am_softmax: float = 0.0
    speaker: float = 0.0
    cosine: float = 1.0
    feature_l1: float = 0.0
    normalised_l2: float = 0.0
    distillation: float = 0.0
    temperature: float = 0.2
    margin: float = 0.2
    scale: float = 10.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 0:
                raise ConfigError(f"losses.{item.name} {getattr(self, item.name)} must not be negative")
        if self.temperature <= 0 or self.scale <= 0:
            raise ConfigError("losses.temperature and losses.scale must be greater than 0")
        if not (self.trains_embedding or self.trains_feature or self.speaker):
            raise ConfigError("all losses have weight 0: there is nothing to train")

    @property
    def trains_embedding(self) -> bool:
        """Whether a loss trains the joint space."""
        return self.info_nce > 0 or self.am_softmax > 0

    @property
    def trains_feature(self) -> bool:
        """Whether a loss trains the regressed feature."""
        return self.cosine > 0 or self.feature_l1 > 0 or self.normalised_l2 > 0 or self.distillation > 0


@dataclass(frozen=True)
class Outputs:
    """Outputs that the losses compare, one row for each pair.

    Attributes:
        feature: [N, D] features regressed from voices.
        voice: [N, E] unit vectors, embeddings of voices.
        face: [N, E] unit vectors, embeddings of faces.
        voice_classes: [N, C] cosines of voices to class centres.
        face_classes: [N, C] cosines of faces to class centres.
        speaker_classes: [N, C] cosines of the backbone's outputs to speakers' centres.
    """

    feature: Tensor
    voice: Tensor
    face: Tensor
    voice_classes: Tensor
    face_classes: Tensor
    speaker_classes: Tensor


class TrainedParts(nn.Module):
    """All modules with weights that a step uses, behind one `forward` that DDP can wrap."""

    def __init__(self, encoder: VoiceEncoder, num_classes: int, losses: LossConfig, freeze_backbone: bool) -> None:
        """Freeze parts that no loss trains: DDP would wait for their gradients.

        Args:
            encoder: Encoder, trained in place.
            num_classes: Number of people in the training split.
            losses: Weights of the losses, which decide which heads are trained.
            freeze_backbone: Whether the backbone is frozen; voices are given as its outputs [N, H] then.
        """
        super().__init__()
        self.encoder = encoder
        self._from_hidden = freeze_backbone
        encoder.backbone.requires_grad_(not freeze_backbone)
        encoder.feature_head.requires_grad_(losses.trains_feature)
        encoder.voice_head.requires_grad_(losses.trains_embedding)
        encoder.face_head.requires_grad_(losses.trains_embedding)
        self.class_centres = _centres(num_classes if losses.am_softmax > 0 else 0, encoder.config.embedding_size)
        self.speaker_centres = _centres(num_classes if losses.speaker > 0 else 0, encoder.backbone.hidden_size)

    def train(self, mode: bool = True) -> TrainedParts:
        """Set the mode; a frozen backbone stays in eval mode."""
        super().train(mode)
        if self._from_hidden:
            self.encoder.backbone.eval()
        return self

    def forward(self, voices: Tensor, face_features: Tensor) -> Outputs:
        """Compute the outputs for this process's share of the batch.

        Args:
            voices: [N, T] waveforms, or [N, H] outputs of a frozen backbone.
            face_features: [N, D] unit features of T.
        """
        hidden = voices if self._from_hidden else self.encoder.hidden(voices)
        encoding = self.encoder.head(hidden)
        face = self.encoder.face(face_features)
        centres = F.normalize(self.class_centres, dim=1)
        return Outputs(
            feature=encoding.feature,
            voice=encoding.embedding,
            face=face,
            voice_classes=encoding.embedding @ centres.T,
            face_classes=face @ centres.T,
            speaker_classes=F.normalize(hidden, dim=1) @ F.normalize(self.speaker_centres, dim=1).T,
        )


def _centres(num_classes: int, size: int) -> nn.Parameter:
    # A generator of its own, so that these draws don't change the other random numbers.
    centres = torch.randn(num_classes, size, generator=torch.Generator().manual_seed(0))
    return nn.Parameter(centres, requires_grad=num_classes > 0)


def gather_rows(run: Run, rows: Tensor) -> Tensor:
    """Gather the rows of all processes in order of rank; gradients flow into this process's own rows.

    Every process then computes the loss of the whole batch, and its gradient is the part of the whole gradient that
    passes through its rows: summed over processes they are the gradient of a single process. (DDP averages them, so the
    loss is multiplied by the number of processes.)

    Args:
        run: Run whose processes have equally many rows.
        rows: [N, ...].

    Returns:
        [num_processes * N, ...].
    """
    if run.num_processes == 1:
        return rows
    parts = list(run.accelerator.gather(rows.detach().contiguous()).split(len(rows)))
    parts[run.rank] = rows
    return torch.cat(parts)


def loss_terms(
    outputs: Outputs, face_features: Tensor, classes: Tensor, prototypes: Tensor, config: LossConfig
) -> dict[str, Tensor]:
    """Compute the losses with a weight above 0, unweighted, by name.

    Args:
        outputs: Outputs for the whole batch.
        face_features: [N, D] true features.
        classes: [N] int64, index of each person in `prototypes`.
        prototypes: [C, D] mean feature of each training identity.
        config: Weights and settings.
    """
    terms: dict[str, Tensor] = {}
    if config.info_nce:
        terms["info_nce"] = info_nce(outputs.voice, outputs.face, config.temperature, classes)
    if config.am_softmax:
        both = [
            am_softmax(cosines, classes, config.margin, config.scale)
            for cosines in (outputs.voice_classes, outputs.face_classes)
        ]
        terms["am_softmax"] = (both[0] + both[1]) / 2
    if config.speaker:
        terms["speaker"] = am_softmax(outputs.speaker_classes, classes, config.margin, config.scale)
    if config.cosine:
        terms["cosine"] = cosine_distance(outputs.feature, face_features)
    if config.feature_l1:
        terms["feature_l1"] = feature_l1(outputs.feature, face_features)
    if config.normalised_l2:
        terms["normalised_l2"] = normalised_l2(outputs.feature, face_features)
    if config.distillation:
        terms["distillation"] = distillation(
            prototype_logits(outputs.feature, prototypes), prototype_logits(face_features, prototypes)
        )
    return terms
