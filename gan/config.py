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


@dataclass(frozen=True)
class ConditionConfig:
    """Face features that condition the generator.

    Attributes:
        source: `voice` (predicted from voices; only people with a voice are used), `face` (true features) or `mix`.
        voice_share: With `mix`, the share of conditions that are predicted from a voice, for people who have one.
        noise: Standard deviation of noise added to each condition, relative to that of the true features. It keeps the
            networks from recognising training people by their exact features.
        num_folds: Folds of the cross-fitting that predicts the features of training people (see
            `gan.condition.predict_features`); 0 takes the encoder's own predictions.
        feature_ridge: Ridge of these fits, as in the encoder's `canonical`.
    """

    source: Literal["voice", "face", "mix"] = "mix"
    voice_share: float = 0.5
    noise: float = 0.2
    num_folds: int = 5
    feature_ridge: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.voice_share <= 1:
            raise ConfigError(f"condition.voice_share {self.voice_share}: a share between 0 and 1 is needed")
        if self.noise < 0:
            raise ConfigError(f"condition.noise {self.noise}: it can't be negative")
        if self.num_folds < 0 or self.num_folds == 1:
            raise ConfigError(f"condition.num_folds {self.num_folds}: 0, or 2 and more, are possible")
        if self.feature_ridge <= 0:
            raise ConfigError(f"condition.feature_ridge {self.feature_ridge}: it must be above 0")


@dataclass(frozen=True)
class ObjectiveConfig:
    """Losses of the generator, and settings of the discriminator's.

    The weights are shares of the gradient at the drawing relative to the first loss that is not zero (see
    `gan.balancer`); 0 leaves out a loss and the network that it needs.

    Attributes:
        adversarial: Weight of the adversarial loss.
        adversarial_start: Images seen before the discriminator is trained and used. Until then the other losses teach
            the generator the layout of a face, at a fraction of a step's cost.
        identity: Weight of one minus the cosine between T's features of the drawing and of the true face.
        perceptual: Weight of the distance to the true face by LPIPS or by T's inner feature maps.
        pixel: Weight of the mean absolute difference to the true face at half the resolution.
        perceptual_network: `face_network` (T's feature maps), `lpips_alex` or `lpips_vgg`.
        judged_share: Share of each batch that the identity and perceptual losses see (every n-th drawing), because T
            and LPIPS cost more than a small generator.
        voice_judged: Whether perceptual and pixel losses also apply to drawings from a voice. A voice says nothing
            about hair or pose, so there they pull towards an average face: early in training that helps to form a face,
            later it reduces variety. The identity loss applies to all drawings.
        mismatched: Weight of real images with another person's condition, which count as fakes (Wav2Pix).
        gamma: Weight of the gradient penalty (R1 + R2) over the run.
        penalty_interval: Steps from one penalty to the next; the weight is multiplied by it.
    """

    adversarial: float = 1.0
    adversarial_start: int = 0
    identity: float = 0.15
    perceptual: float = 0.3
    pixel: float = 1.0
    perceptual_network: Literal["face_network", "lpips_alex", "lpips_vgg"] = "face_network"
    judged_share: float = 0.25
    voice_judged: bool = True
    mismatched: float = 0.5
    gamma: Schedule = field(default_factory=lambda: Schedule(start=2.0, end=0.2, shape="cosine"))
    penalty_interval: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.judged_share <= 1:
            raise ConfigError(f"objective.judged_share {self.judged_share}: above 0 and at most 1 is needed")
        if self.penalty_interval < 1:
            raise ConfigError(f"objective.penalty_interval {self.penalty_interval}: at least 1 is needed")
        if max(self.adversarial, self.identity, self.perceptual, self.pixel) <= 0:
            raise ConfigError("objective: one of adversarial, identity, perceptual, pixel must be above 0")


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
    }

    dataset: str = "datasets/real"
    encoder: str = "runs/real-encoder/model"
    face_encoder_path: str | None = None
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
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
