"""Configuration of `scripts/train_gan.py`; every key is a dotted flag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from data.errors import ConfigError
from gan.augment import AugmentConfig
from gan.discriminator import DiscriminatorConfig
from gan.generator import GeneratorConfig
from training.run import RunConfig
from training.schedule import Schedule

MIN_FACE_NETWORK_SIZE = 64
"""Smallest side in pixels of what T sees: below it face networks hardly tell people apart."""


@dataclass(frozen=True)
class ConditionConfig:
    """Face features that condition the generator.

    Attributes:
        source: `face` (true features: every face helps, voices are not needed), `voice` (predicted from voices; only
            people with a voice are used) or `mix`.
        random_share: Share of conditions that are random features with the covariance of the true ones. No photograph
            shows such a face: the identity loss and a discriminator without a condition judge it. They prepare the
            generator for samples and means of p(face feature | voice), which true features are not enough for.
        voice_share: With `mix`, the share of conditions that are predicted from a voice, for people who have one.
        noise: Standard deviation of noise added to each condition, relative to that of the true features.
        num_folds: Folds of the cross-fitting that predicts the features of training people (see
            `encoder.crossfit.predict_features`); 0 takes the encoder's own predictions.
        feature_ridge: Ridge of these fits, as in the encoder's `canonical`.
    """

    source: Literal["voice", "face", "mix"] = "face"
    random_share: float = 0.5
    voice_share: float = 0.5
    noise: float = 0.0
    num_folds: int = 5
    feature_ridge: float = 20.0

    def __post_init__(self) -> None:
        for name in ("voice_share", "random_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"condition.{name} {getattr(self, name)}: a share between 0 and 1 is needed")
        if self.noise < 0:
            raise ConfigError(f"condition.noise {self.noise}: it can't be negative")
        if self.num_folds < 0 or self.num_folds == 1:
            raise ConfigError(f"condition.num_folds {self.num_folds}: 0, or 2 and more, are possible")
        if self.feature_ridge <= 0:
            raise ConfigError(f"condition.feature_ridge {self.feature_ridge}: it must be above 0")


@dataclass(frozen=True)
class ObjectiveConfig:
    """Losses of the generator, and settings of the discriminator's.

    The weights are shares of the gradient at the drawings relative to the first loss that is not zero (see
    `gan.balancer`); 0 leaves out a loss and the network that it needs.

    Attributes:
        adversarial: Weight of the adversarial loss.
        adversarial_start: Images seen before the discriminator is trained and used. Until then the other losses teach
            the generator the layout of a face, at a fraction of a step's cost.
        adversarial_warmup: Images in which the discriminator's learning rate rises from 0, from where it joins.
        reconstruction_end: Images seen until which the perceptual and pixel losses are used; None for the whole run.
            A face feature says little of hair, pose or light: these losses pull towards their average.
        identity: Weight of one minus the centred cosine between T's feature of the drawing and that of the very crop
            which is to be drawn, or the condition itself where no photograph belongs to it.
        perceptual: Weight of the distance to the true face by LPIPS or by T's inner feature maps.
        pixel: Weight of the mean absolute difference to the true face at half the resolution.
        perceptual_network: `face_network` (T's feature maps), `lpips_alex` or `lpips_vgg`.
        face_network_size: Side in pixels of what T sees in these losses; None is T's own input size. T's cost falls
            with the square of the side, but it tells people apart less well; validation keeps T's own size.
        judged_share: Share of the drawings that the identity and perceptual losses see, because T and LPIPS may cost
            more than a small generator.
        voice_judged: Whether perceptual and pixel losses also apply to drawings from a voice.
        mismatched: Weight of real images with another person's condition, which count as fakes (Wav2Pix).
        gamma: Weight of the gradient penalty (R1 + R2) over the run.
        penalised_share: Share of the images at which the penalty is computed. Its expectation does not depend on the
            share, its cost does; a few images in every step disturb Adam's scale less than all of them in some steps.
    """

    adversarial: float = 1.0
    adversarial_start: int = 0
    adversarial_warmup: int = 2_000
    reconstruction_end: int | None = None
    identity: float = 0.3
    perceptual: float = 0.3
    pixel: float = 1.0
    perceptual_network: Literal["face_network", "lpips_alex", "lpips_vgg"] = "face_network"
    face_network_size: int | None = None
    judged_share: float = 0.5
    voice_judged: bool = True
    mismatched: float = 0.5
    gamma: Schedule = field(default_factory=lambda: Schedule(start=1.0, end=1.0, shape="cosine"))
    penalised_share: float = 0.125

    def __post_init__(self) -> None:
        for name in ("judged_share", "penalised_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"objective.{name} {getattr(self, name)}: above 0 and at most 1 is needed")
        if self.face_network_size is not None and self.face_network_size < MIN_FACE_NETWORK_SIZE:
            raise ConfigError(
                f"objective.face_network_size {self.face_network_size}: at least {MIN_FACE_NETWORK_SIZE} px are needed"
            )
        if max(self.adversarial, self.identity, self.perceptual, self.pixel) <= 0:
            raise ConfigError("objective: one of adversarial, identity, perceptual, pixel must be above 0")
        if self.reconstruction_end is not None and max(self.adversarial, self.identity) <= 0:
            raise ConfigError("objective.reconstruction_end: nothing would be trained after it")


@dataclass(frozen=True, kw_only=True)
class GanConfig(RunConfig):
    """A training of the generator. Lengths of time are counted in images seen.

    Attributes:
        dataset: Folder of the data set.
        encoder: Folder or hub id of the trained voice encoder, which stays frozen.
        face_encoder_path: Path of T's file, if it is not where dataset.json says.
        generator: Shape of the generator.
        discriminator: Shape of the discriminator.
        condition: Face features that condition the generator.
        objective: Losses.
        augment: Augmentation of real images and drawings before the discriminator.
        total_images: Length of the training.
        batch_size: Images in a step, over all processes.
        micro_batch_size: Images that a process computes at a time, to save memory; None takes its whole share.
        learning_rate: Learning rate of generator and discriminator (Adam).
        beta2: Adam's beta2; beta1 is 0. It starts low because the gradients' scale changes early, and rises by a cosine
            as in R3GAN.
        ema_halflife_images: Half-life of the exponential moving average of the generator's weights, which is published.
        num_workers: Loader processes of each training process; 0 loads in the training process itself.
        log_images: Images between lines in stats.jsonl.
        sample_images: Images between grids of samples.
        checkpoint_images: Images between checkpoints.
        keep_checkpoints: Number of newest checkpoints that are kept.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "log_every": "log_images",
        "sample_every": "sample_images",
        "checkpoint_every": "checkpoint_images",
        "ema_halflife": "ema_halflife_images",
        "learning_rate_end": "learning_rate.end (the rate itself, not a share of the start)",
        "warmup_images": "learning_rate.warmup_images",
        "beta2_end": "beta2.end",
        "objective.gamma_end": "objective.gamma.end",
        "objective.penalty_interval": "objective.penalised_share (a share of every batch, 1 / interval)",
    }

    dataset: str = "datasets/real"
    encoder: str = "runs/real-encoder/model"
    face_encoder_path: str | None = None
    generator: GeneratorConfig = field(default_factory=lambda: GeneratorConfig(conditioning="every_resolution"))
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    total_images: int = 200_000
    batch_size: int = 32
    micro_batch_size: int | None = None
    learning_rate: Schedule = field(
        default_factory=lambda: Schedule(start=4e-4, end=1e-4, shape="cosine", warmup_images=2_000)
    )
    beta2: Schedule = field(default_factory=lambda: Schedule(start=0.9, end=0.99, shape="cosine"))
    ema_halflife_images: float = 10_000
    num_workers: int = 0
    log_images: int = 2_000
    sample_images: int = 20_000
    checkpoint_images: int = 20_000
    keep_checkpoints: int = 2

    @property
    def changeable_keys(self) -> frozenset[str]:
        """Keys that may differ on a resume; of a training on faces alone the encoder too, as it has no influence."""
        return super().changeable_keys | {"encoder"} if self.condition.source == "face" else super().changeable_keys
