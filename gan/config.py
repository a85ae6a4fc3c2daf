"""What `scripts/train_gan.py` can be told; every key is a dotted flag."""

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
    """What the generator is told of a face.

    Attributes:
        source: `voice` (only faces with a voice are drawn), `face` (true features only), or `mix`.
        voice_share: With `mix`, how often a face that has a voice is drawn from it instead of from its true feature.
        noise: Standard deviation of what is added to each condition, relative to that of the true features: keeps
            the networks from telling training people by the exact feature.
        num_folds: Training people are heard by encoders that never met them, fitted anew on the others in this many
            folds (see `gan.condition.predict_features`); 0 takes the encoder as it is.
        feature_ridge: Of these fits, as in the encoder's `canonical`.
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
    """What the drawing is judged by.

    The weights are shares of the gradient at the drawing relative to the first term that is not zero (see
    `gan.balancer`); 0 leaves a term, and its network, out.

    Attributes:
        adversarial: The discriminator's say.
        adversarial_start: Images seen before the discriminator joins. Until then the generator learns where a face is
            from the other terms, at a fraction of a step's cost.
        identity: One minus the cosine between T's features of the drawing and of the true face.
        perceptual: LPIPS, or the distance of T's inner maps, to the true face.
        pixel: Mean absolute difference to the true face at half the resolution.
        perceptual_network: `face_network` (T's maps), `lpips_alex` or `lpips_vgg`.
        judged_share: Share of each batch that T and the perceptual network see, one in so many: they cost more than a
            small generator.
        voice_judged: Whether perceptual and pixel terms also judge drawings made from a voice. A voice tells neither
            hair nor pose, so there they pull towards an average of the faces that it leaves open: with little training
            that is what makes a face of it, with much it costs variety. The identity term judges all drawings.
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
        encoder: Folder or hub id of the trained voice encoder; frozen here.
        face_encoder_path: Where T's file is, if not where dataset.json says.
        generator: Shape of the generator.
        discriminator: Shape of the discriminator.
        condition: What the generator is told.
        objective: What the drawing is judged by.
        augment: What real and drawn images go through on their way to the discriminator.
        total_images: Length of the training.
        batch_size: Images a step over all processes.
        micro_batch_size: Images that a process holds at a time, to save memory; by default its whole share.
        learning_rate: Adam's, of generator and discriminator, over the run.
        beta2: Adam's, over the run; its beta1 is 0. It starts low, because gradients change their size at first, and
            rises by a cosine as in R3GAN.
        ema_halflife_images: Half-life of the exponential moving average of the generator's weights, which is published.
        num_workers: Loader processes a training process; 0 reads in the training process.
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
        "learning_rate_end": "learning_rate.end, now the rate itself, no share of learning_rate.start",
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
