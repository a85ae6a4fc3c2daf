"""Configuration of `scripts/train_baseline.py`; every key is a dotted flag."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from data.errors import ConfigError
from encoder.backbones import check_training
from encoder.voice_encoder import EncoderDesign
from gan.generator import GeneratorConfig
from gan.losses import AdversarialLoss
from training.run import RunConfig


@dataclass(frozen=True)
class BaselineLosses:
    """Losses with plain weights, as the published methods sum them; 0 leaves a loss out.

    Attributes:
        adversarial_loss: Kind of the adversarial losses, as in `gan.losses`.
        adversarial: Weight of the generator's adversarial loss; without it there is no discriminator.
        real_label: What the discriminator should say of a real image, for `bce` and `lsgan`.
        wrong_face: Weight of real images with another person's voice, which count as fakes.
        identity: Weight of the cross-entropy of the drawing's identity, in the generator's loss; where the classifier
            scores real against drawn too (SF2F), also of that. The classifier learns from real images with weight 1.
        speaker: Weight of the cross-entropy of the speaker, read from the condition by a small classifier.
        pixel: Weight of the mean absolute difference to the person's crop.
        feature_matching: Weight of the squared difference between the discriminator's mean inner maps of drawings and
            of real images (Salimans et al. 2016).
        face_maps: Weight of the mean absolute difference of T's inner maps.
    """

    adversarial_loss: AdversarialLoss = "bce"
    adversarial: float = 1.0
    real_label: float = 1.0
    wrong_face: float = 0.0
    identity: float = 0.0
    speaker: float = 0.0
    pixel: float = 0.0
    feature_matching: float = 0.0
    face_maps: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.real_label <= 1:
            raise ConfigError(f"losses.real_label {self.real_label}: above 0 and at most 1 is needed")
        if self.adversarial <= 0 and max(self.wrong_face, self.identity, self.feature_matching) > 0:
            raise ConfigError(
                "losses.wrong_face, identity and feature_matching need a discriminator: set losses.adversarial"
            )
        if max(self.adversarial, self.pixel, self.face_maps) <= 0:
            raise ConfigError("losses: one of adversarial, pixel, face_maps must be above 0")


@dataclass(frozen=True)
class AdamConfig:
    """One network's optimizer.

    Attributes:
        learning_rate: Learning rate of Adam.
        beta1: Decay of the mean of gradients.
        beta2: Decay of the mean of their squares.
    """

    learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(RunConfig):
    """A training of a published method: discriminator, then generator (and voice encoder), with plain weights.

    The condition is the voice backbone's own output, not a face feature. Lengths of time are counted in images seen.

    Attributes:
        dataset: Folder of the data set.
        voice: Shape of the voice encoder; its `condition` is always `voice_embedding`.
        encoder: Folder of a trained voice encoder whose backbone is taken, of the same shape; None starts from random
            weights, or published ones where the backbone has some.
        train_encoder: Whether the voice encoder is trained with the generator; else it is frozen.
        generator: Shape of the generator.
        discriminator: Published discriminator.
        losses: Losses.
        paired: Whether voice and face in a step are of one person. Unpaired, only the identity classifier connects
            them.
        condition_noise: Standard deviation of normal noise that is added to the condition, which then gets its length
            back.
        fuser_images: Images at the end of the run in which only the fuser of the voice's segments is trained, on
            longer crops; the backbone needs a fuser.
        fuser_seconds: Length of these crops.
        face_encoder_path: Path of T's file, for `losses.face_maps`, if it is not where dataset.json says.
        generator_adam: The generator's optimizer.
        discriminator_adam: The discriminator's optimizer.
        encoder_adam: The voice encoder's optimizer.
        total_images: Length of the training.
        batch_size: Images in a step, over all processes.
        num_workers: Loader processes of each training process.
        log_images: Images between lines in stats.jsonl.
        sample_images: Images between grids of samples.
        checkpoint_images: Images between checkpoints.
        keep_checkpoints: Number of newest checkpoints that are kept.
    """

    dataset: str = "datasets/real"
    voice: EncoderDesign = field(default_factory=EncoderDesign)
    encoder: str | None = None
    train_encoder: bool = True
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: Literal["wen", "wav2pix", "sf2f"] = "wen"
    losses: BaselineLosses = field(default_factory=BaselineLosses)
    paired: bool = True
    condition_noise: float = 0.0
    fuser_images: int = 0
    fuser_seconds: float = 6.0
    face_encoder_path: str | None = None
    generator_adam: AdamConfig = field(default_factory=AdamConfig)
    discriminator_adam: AdamConfig = field(default_factory=AdamConfig)
    encoder_adam: AdamConfig = field(default_factory=AdamConfig)
    total_images: int = 200_000
    batch_size: int = 32
    num_workers: int = 0
    log_images: int = 2_000
    sample_images: int = 20_000
    checkpoint_images: int = 20_000
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        if self.train_encoder:
            check_training(self.voice.backbone, self.voice.backbone_options, freeze=False)
        if not self.paired and self.losses.pixel + self.losses.feature_matching + self.losses.face_maps > 0:
            raise ConfigError("paired: false leaves no crop to compare a drawing with: set those losses to 0")
        if self.losses.identity > 0 and self.discriminator == "wav2pix":
            raise ConfigError(
                "losses.identity: the discriminator wav2pix has no classifier of identities, wen and sf2f do"
            )
        if self.losses.feature_matching > 0 and self.discriminator != "wav2pix":
            raise ConfigError("losses.feature_matching: of the discriminators wav2pix alone gives its inner maps")
        if self.fuser_images and not (self.train_encoder and self.voice.backbone_options.get("fuser")):
            raise ConfigError("fuser_images needs train_encoder and a backbone with the option fuser: true")
        if self.condition_noise < 0:
            raise ConfigError(f"condition_noise {self.condition_noise}: it can't be negative")
