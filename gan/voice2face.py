"""The whole model: from a voice to drawings of faces that it suggests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from torch import Tensor
from tqdm import tqdm

from data.errors import ConfigError
from data.media.audio import load_speech, prepare_speech
from encoder.voice_encoder import VoiceEncoder, VoiceEncoderConfig
from gan.generator import GeneratorConfig, build_generator
from gan.images import to_pixels
from training.card import CardFacts, write_card
from training.pretrained import PretrainedModel

SYNTHETIC_NOTICE = (
    "Synthetic image drawn by wav2face from a voice recording. It shows a plausible face, not the speaker: a voice "
    "does not tell who someone is. Not for identification."
)
_DRAWN_AT_ONCE = 64  # bounds the memory


@dataclass(frozen=True)
class Voice2FaceConfig:
    """Shape of the whole model.

    Attributes:
        encoder: Shape of the voice encoder, and the face network whose features it predicts.
        generator: Shape of the generator.
        image_size: Side of the drawings in pixels.
    """

    encoder: VoiceEncoderConfig
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    image_size: int = 64


class Voice2Face(PretrainedModel):
    """Voice encoder and generator, for inference.

    `Voice2Face.from_pretrained(folder_or_hub_id)("me.wav", num_images=8, variety=1.0)` gives eight PIL images.

    Args:
        config: Shape of the model; weights are random until loaded.

    Example:
        >>> model = Voice2Face.from_pretrained(shipped_weights("model"))
        >>> [drawing.size for drawing in model("me.wav", num_images=2)]
        [(64, 64), (64, 64)]
    """

    model_type = "voice2face"
    config_class = Voice2FaceConfig
    config: Voice2FaceConfig

    def __init__(self, config: Voice2FaceConfig) -> None:
        super().__init__(config)
        self.encoder = VoiceEncoder(config.encoder)
        self.generator = build_generator(config.generator, self.encoder.condition_size, config.image_size)
        self.eval()

    @property
    def noise_size(self) -> int:
        """Length of the noise vector; 0 for a decoder without noise."""
        return self.generator.noise_size

    @property
    def image_size(self) -> int:
        """Side of the drawings in pixels."""
        return self.config.image_size

    @torch.no_grad()
    def draw(self, feature: Tensor, noise: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Draw faces from what conditions the generator: face features, true or predicted.

        Args:
            feature: [N, C].
            noise: [N, Z] standard normal; if None it is drawn on the CPU, so that a seed gives the same on all devices.
            generator: Random generator of that noise.

        Returns:
            [N, 3, S, S] float32 in [-1, 1].
        """
        if noise is None:
            noise = torch.randn(len(feature), self.noise_size, generator=generator)
        return self.generator(feature, noise.to(feature.device)).float().clamp(-1, 1)

    def __call__(
        self,
        voice: str | Path | NDArray[np.float32],
        num_images: int = 8,
        variety: float | None = None,
        seed: int = 0,
    ) -> list[Image.Image]:
        """Draw faces that a voice suggests. They differ as people with such a voice differ.

        Args:
            voice: A recording in any container that PyAV reads, or a [T] waveform in [-1, 1] at 16 kHz.
            num_images: Number of drawings.
            variety: How much of what the voice leaves open is sampled, in [0, 1]: 0 draws the most telling face (the
                regressed face feature, moved away from the mean by the sampler's guidance), and drawings differ by the
                generator's noise alone; 1 draws all faces that people with such a voice have. None means 1, or 0 for a
                model without a sampler.
            seed: Seed of samples and noise; the same seed gives the same drawings.

        Returns:
            RGB images of side `image_size`.

        Raises:
            ConfigError: If `num_images` is below 1, or `variety` is outside [0, 1].
            MediaError: If the recording can't be read or holds no speech.
            ModelError: If variety is above 0 and the model has no sampler.
        """
        if num_images < 1:
            raise ConfigError(f"num_images is {num_images}, at least 1 is needed")
        if variety is None:
            variety = 0.0 if self.encoder.sampler is None else 1.0
        speech = load_speech(voice) if isinstance(voice, str | Path) else prepare_speech(voice)
        generator = torch.Generator().manual_seed(seed)
        features = self.encoder.sample([speech], num_images, variety, generator)[0]
        noise = torch.randn(num_images, self.noise_size, generator=generator)
        pictures = []
        with tqdm(total=num_images, desc="drawing", unit="drawing", disable=None, delay=2, leave=False) as bar:
            for rows in zip(features.split(_DRAWN_AT_ONCE), noise.split(_DRAWN_AT_ONCE), strict=True):
                pictures += to_pictures(self.draw(*rows))
                bar.update(len(rows[0]))
        return pictures

    def model_card(self) -> str:
        """Text of the README.md in the model's folder."""
        variety = (
            "0 (the most telling face) to 1 (all faces that the voice leaves open)"
            if self.config.encoder.sampler
            else "0 alone; the voice encoder has no sampler"
        )
        return write_card(
            CardFacts(
                title=f"Voice to face, {self.config.image_size} px",
                introduction="Draws faces that a voice suggests, with wav2face.",
                facts=[
                    ("voice encoder", f"`{self.config.encoder.backbone}`"),
                    ("generator", f"`{self.config.generator.architecture}`"),
                    ("variety", variety),
                ],
                tags=["speech-to-face", "generative-adversarial-network"],
                face_network=self.config.encoder.face_encoder,
                training_data=self.training_data,
                templates=self.encoder.describe_templates(),
                example="from wav2face import Voice2Face, save_drawing\n\n"
                'drawings = Voice2Face.from_pretrained("this folder")("voice.wav", num_images=8)\n'
                'save_drawing(drawings[0], "face.png")',
            )
        )


def to_pictures(images: Tensor) -> list[Image.Image]:
    """[N, 3, S, S] in [-1, 1] to RGB pictures, rounded to the nearest grey level."""
    return [Image.fromarray(picture) for picture in to_pixels(images)]


def save_drawing(picture: Image.Image, path: str | Path | BinaryIO) -> None:
    """Save a drawing as PNG, to a path or an open file, with the notice that it is synthetic in its text chunks.

    Example:
        >>> model = Voice2Face.from_pretrained(shipped_weights("model"))
        >>> save_drawing(model("me.wav", num_images=1)[0], "me.png")
    """
    notice = PngImagePlugin.PngInfo()
    notice.add_itxt("Description", SYNTHETIC_NOTICE)
    notice.add_itxt("Software", "wav2face")
    picture.save(path, format="PNG", pnginfo=notice)
