"""The voice encoder: from a waveform to a predicted face feature and an embedding in the joint space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError, MediaError, ModelError
from data.faces.protocol import FaceEncoderInfo
from data.media.audio import fit_duration
from data.media.waveform import MIN_SPEECH_SECONDS, SAMPLE_RATE, check_finite
from encoder.backbones import build_backbone, complete_backbone
from encoder.kernel import KernelMap
from encoder.sampler import FeatureSampler, SamplerConfig
from training.card import CardFacts, write_card
from training.pretrained import PretrainedModel

DEFAULT_WINDOW_SECONDS = 6.0

_WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class EncoderDesign:
    """The settings of a voice encoder that a user chooses; the others follow from the data set.

    Attributes:
        backbone: `ge2e`, `conv1d`, `inception1d`, `segan`, `speech2face`, `tdnn`, `hf:<id or folder>`, `onnx:<file>`
            or `concat:[<backbone>,<backbone>]`.
        backbone_options: `width` and `hidden_size` of those without published weights, `window`, `stride`, `fft_length`
            and `amp_norm` of speech2face (else as the data set recorded them), `fuser` and `segment_seconds` of
            inception1d, `layers` (`last` or `mix`) and the transformers configuration of hf, `frontend` and `output` of
            onnx, `parts` of `concat`, each with `name` and `options`.
        embedding_size: Length of an embedding in the joint space.
        voice_dropout: Dropout rate of the backbone's outputs before each head.
        face_dropout: Dropout rate of the face feature before its head.
        num_landmarks: Landmarks of the face head's kernel map (`encoder.kernel.KernelMap`); 0 for a linear head.
            Training people are the landmarks, all of them if they are fewer: their mean features are part of the model.
        window_seconds: Length of the backbone's input: longer recordings are cut into overlapping windows, shorter
            ones are repeated. None takes the duration that the data set recorded, else 6 s.
        sampler: Shape of the sampler of p(face feature | voice); None for an encoder without one.
        condition: Vector that conditions a generator: the regressed `face_feature`, or the backbone's own
            `voice_embedding`, as in methods that never regress one (configs/baselines). Such an encoder has no heads
            and no joint space.
    """

    backbone: str = "ge2e"
    backbone_options: dict[str, Any] = field(default_factory=dict)
    embedding_size: int = 12
    voice_dropout: float = 0.9
    face_dropout: float = 0.0
    num_landmarks: int = 0
    window_seconds: float | None = None
    sampler: SamplerConfig | None = None
    condition: Literal["face_feature", "voice_embedding"] = "face_feature"

    def __post_init__(self) -> None:
        if self.embedding_size < 1:
            raise ConfigError(f"embedding_size {self.embedding_size} must be 1 or more")
        if self.num_landmarks < 0:
            raise ConfigError(f"num_landmarks {self.num_landmarks} must not be negative")
        for name in ("voice_dropout", "face_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be in [0, 1)")
        if self.condition == "voice_embedding" and self.sampler is not None:
            raise ConfigError("a sampler needs condition: face_feature")
        if self.window_seconds is not None and self.window_seconds < MIN_SPEECH_SECONDS:
            raise ConfigError(f"window_seconds {self.window_seconds} must be {MIN_SPEECH_SECONDS} or more")

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        return round((self.window_seconds or DEFAULT_WINDOW_SECONDS) * SAMPLE_RATE)

    def with_face_encoder(self, face_encoder: FaceEncoderInfo) -> VoiceEncoderConfig:
        """The settings that an encoder of this design is built from.

        Args:
            face_encoder: T.
        """
        chosen = {field.name: getattr(self, field.name) for field in fields(EncoderDesign)}
        chosen["window_seconds"] = self.window_seconds or DEFAULT_WINDOW_SECONDS
        return VoiceEncoderConfig(**chosen, face_encoder=face_encoder)


@dataclass(frozen=True, kw_only=True)
class VoiceEncoderConfig(EncoderDesign):
    """Settings that a voice encoder is built from.

    Attributes:
        face_encoder: T, the network whose features are regressed.
    """

    window_seconds: float = DEFAULT_WINDOW_SECONDS
    face_encoder: FaceEncoderInfo

    @property
    def feature_size(self) -> int:
        """D, the length of T's feature."""
        return self.face_encoder.feature_size


@dataclass(frozen=True)
class VoiceEncoding:
    """Predictions for voices.

    Attributes:
        feature: [N, C] what conditions a generator: regressed features of T (C = D), of which only the directions have
            a meaning, or the backbone's outputs in an encoder with `condition: voice_embedding`.
        embedding: [N, E] unit vectors in the joint space; E is 0 in such an encoder.
    """

    feature: Tensor
    embedding: Tensor


class VoiceEncoder(PretrainedModel):
    """A backbone and linear heads: voice -> feature, voice -> joint space, face feature -> joint space.

    Attributes:
        sampler: Sampler of the face features that people with such a voice have; None in models without one.
        condition_size: C, length of the vector that conditions a generator.

    Example:
        >>> encoder = Voice2Face.from_pretrained(shipped_weights("model")).encoder
        >>> encoding = encoder.encode([load_speech("me.wav"), load_speech("another.wav")])
        >>> encoding.feature.shape, encoding.embedding.shape
        (torch.Size([2, 128]), torch.Size([2, 5]))
    """

    config_class = VoiceEncoderConfig
    model_type = "voice_encoder"
    config: VoiceEncoderConfig

    face_mean: Tensor
    hidden_mean: Tensor
    hidden_scale: Tensor

    def __init__(self, config: VoiceEncoderConfig) -> None:
        """Build the network with random weights; `create` also reads the backbone's published ones.

        Raises:
            ConfigError: If there is no such backbone.
            ModelError: If a library that the backbone needs is missing.
        """
        super().__init__(config)
        self.backbone = build_backbone(config.backbone, config.backbone_options)
        hidden_size, feature_size = self.backbone.hidden_size, config.feature_size
        self.condition_size = feature_size if self.regresses_face_features else hidden_size
        if self.regresses_face_features:
            self.feature_head = nn.Linear(hidden_size, feature_size)
            self.voice_head = nn.Linear(hidden_size, config.embedding_size)
            self.kernel_map = KernelMap(feature_size, config.num_landmarks) if config.num_landmarks else None
            self.face_head = nn.Linear(config.num_landmarks or feature_size, config.embedding_size)
            self.voice_dropout = nn.Dropout(config.voice_dropout)
            self.face_dropout = nn.Dropout(config.face_dropout)
        self.register_buffer("hidden_mean", torch.zeros(hidden_size))
        self.register_buffer("hidden_scale", torch.ones(()))
        self.register_buffer("face_mean", torch.zeros(feature_size))
        self.sampler = FeatureSampler(config.sampler, feature_size) if config.sampler else None

    @property
    def regresses_face_features(self) -> bool:
        """Whether the condition is a face feature of T; else the encoder is its backbone alone."""
        return self.config.condition == "face_feature"

    @classmethod
    def create(cls, config: VoiceEncoderConfig) -> VoiceEncoder:
        """A new encoder whose backbone has its published weights, if there are any.

        Raises:
            ConfigError: If there is no such backbone.
            ModelError: If the weights are not at hand; the message says how to get them.
        """
        backbone, options = complete_backbone(config.backbone, config.backbone_options)
        model = cls(replace(config, backbone=backbone, backbone_options=options))
        model.backbone.load_pretrained()
        return model

    def describe_templates(self) -> str:
        """What the model holds of its training people, for its card; empty if nothing."""
        if not self.config.num_landmarks:
            return ""
        return (
            f"**Face features of {self.config.num_landmarks} people it was trained on** (its landmarks): treat the "
            "file as their biometric data, and publish it only if they agree."
        )

    def model_card(self) -> str:
        """Text of the README.md in the model's folder."""
        sampler = (
            " Its sampler gives other face features that people with such a voice have: the regressed one plus noise "
            "with the covariance of what voices leave open, shaped by a small network. "
            "It stores means, covariances and the network's weights, and no feature of a person."
            if self.config.sampler
            else ""
        )
        return write_card(
            CardFacts(
                title=f"Voice encoder, {self.config.backbone}",
                introduction="Regresses a face feature from a voice, and embeds voices and faces in one space."
                + sampler,
                facts=[("backbone", f"`{self.config.backbone}`")],
                tags=["speech-to-face"],
                face_network=self.config.face_encoder,
                training_data=self.training_data,
                templates=self.describe_templates(),
                example="from wav2face import VoiceEncoder\n\n"
                'VoiceEncoder.from_pretrained("this folder").encode([waveform])  # [T] float32 at 16 kHz',
            )
        )

    @torch.no_grad()
    def set_input_statistics(self, hidden: Tensor | None, face_features: Tensor) -> None:
        """Set centre (and, for voices, scale) of the heads' inputs from the training set.

        Args:
            hidden: [N, H] outputs of a frozen backbone; None if the backbone is trained, because its outputs change.
            face_features: [M, D] features of T, one row for each person; the first rows are the landmarks, if any.
        """
        self.face_mean.copy_(face_features.mean(dim=0))
        if self.kernel_map is not None:
            self.kernel_map.fit(face_features[: self.config.num_landmarks].to(self.face_mean.device))
        if hidden is not None:
            self.hidden_mean.copy_(hidden.mean(dim=0))
            # One scale for all outputs: a scale for each gave too much weight to outputs that hardly vary.
            spread = (hidden - hidden.mean(dim=0)).square().mean().sqrt()
            self.hidden_scale.copy_(spread.clamp_min(1e-6).reciprocal())

    def hidden(self, waveform: Tensor) -> Tensor:
        """Outputs of the backbone.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz.

        Returns:
            [N, H].
        """
        hidden: Tensor = self.backbone(waveform)
        return hidden

    def head(self, hidden: Tensor) -> VoiceEncoding:
        """Apply the heads.

        Args:
            hidden: [N, H] outputs of the backbone.
        """
        if not self.regresses_face_features:
            return VoiceEncoding(hidden, hidden.new_zeros(len(hidden), 0))
        standard = self.standard_voice(hidden)
        feature = self.feature_head(self.voice_dropout(standard)) + self.face_mean
        embedding = F.normalize(self.voice_head(self.voice_dropout(standard)), dim=-1)
        return VoiceEncoding(feature, embedding)

    def forward(self, waveform: Tensor) -> VoiceEncoding:
        """Encode recordings of one length.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz, T of 0.5 s or more.
        """
        return self.head(self.hidden(waveform))

    def face(self, face_feature: Tensor) -> Tensor:
        """Embed faces in the joint space.

        Args:
            face_feature: [N, D] unit features of T.

        Returns:
            [N, E] unit vectors.
        """
        return F.normalize(self.face_head(self.face_dropout(self.standard_face(face_feature))), dim=-1)

    def standard_voice(self, hidden: Tensor) -> Tensor:
        """Inputs of the heads from [N, H]: centred, entries of about 1."""
        return (hidden - self.hidden_mean) * self.hidden_scale

    def standard_face(self, face_feature: Tensor) -> Tensor:
        """Input of the face head from [N, D]: centred, entries of about 1 (a unit vector's are about D^-1/2)."""
        if self.kernel_map is not None:
            components: Tensor = self.kernel_map(face_feature)
            return components
        return (face_feature - self.face_mean) * self.config.feature_size**0.5

    @torch.no_grad()
    def hidden_of(self, waveforms: Sequence[NDArray[np.float32]]) -> Tensor:
        """Outputs of the backbone for whole recordings, each the mean over its windows.

        Args:
            waveforms: Each [T] float32 in [-1, 1] at 16 kHz, of any length from 0.5 s.

        Returns:
            [N, H].

        Raises:
            MediaError: If a recording is too short or has values that are not finite.
        """
        windows, counts = [], []
        for waveform in waveforms:
            _check(waveform)
            cut = cut_windows(waveform, self.config.window_samples)
            windows += cut
            counts.append(len(cut))
        batches = [windows[i : i + _WINDOWS_AT_ONCE] for i in range(0, len(windows), _WINDOWS_AT_ONCE)]
        rows = [self.hidden(torch.from_numpy(np.stack(batch)).to(self.face_mean.device)) for batch in batches]
        return torch.stack([part.mean(dim=0) for part in torch.cat(rows).split(counts)])

    @torch.no_grad()
    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> VoiceEncoding:
        """Encode whole recordings, without gradients and in eval mode.

        Args:
            waveforms: Each [T] float32 in [-1, 1] at 16 kHz, of any length from 0.5 s.

        Raises:
            MediaError: If a recording is too short or has values that are not finite.
        """
        was_training = self.training
        self.eval()
        try:
            return self.head(self.hidden_of(waveforms))
        finally:
            self.train(was_training)

    def require_sampler(self) -> FeatureSampler:
        """The sampler.

        Raises:
            ModelError: If this model has none.
        """
        if self.sampler is None:
            raise ModelError(
                "this model has no sampler, so variety must be 0: train its encoder with model.sampler "
                "(configs/personas/encoder.yaml has it)"
            )
        return self.sampler

    @torch.no_grad()
    def sample(
        self,
        waveforms: Sequence[NDArray[np.float32]],
        num: int,
        variety: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sample face features that people with such voices have.

        Args:
            waveforms: As `encode` takes them.
            num: Number of samples of each voice.
            variety: 0 repeats the most telling face (`most_telling`), 1 samples all faces that a voice leaves open;
                between them, samples are this share of the way from the most telling face.
            generator: Random generator of the noise, which is drawn on the CPU, so that a seed gives the same on all
                devices.

        Returns:
            [N, num, D].

        Raises:
            ConfigError: If variety is outside [0, 1].
            MediaError: As `encode`.
            ModelError: If variety is above 0 and the model has no sampler.
        """
        self._check_variety(variety)
        return self.sample_around(self.encode(waveforms).feature, num, variety, generator)

    @torch.no_grad()
    def sample_around(
        self, features: Tensor, num: int, variety: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Sample face features around those that were regressed from voices, as `sample` does.

        Args:
            features: [N, D] regressed features.
            num: Number of samples of each.
            variety: As `sample` takes it.
            generator: As `sample` takes it.

        Returns:
            [N, num, D].

        Raises:
            ConfigError: If variety is outside [0, 1].
            ModelError: If variety is above 0 and the model has no sampler.
        """
        self._check_variety(variety)
        if variety == 0:
            return self.most_telling(features)[:, None].expand(-1, num, -1)
        sampler = self.require_sampler()
        repeated = features.repeat_interleave(num, dim=0)
        noise = torch.randn(len(repeated), sampler.noise_size, generator=generator).to(features.device)
        return sampler(repeated, noise, variety).unflatten(0, (-1, num))

    @torch.no_grad()
    def most_telling(self, features: Tensor) -> Tensor:
        """What variety 0 draws: regressed features [N, D], guided where the model has a sampler."""
        return features if self.sampler is None else self.sampler.guide(features)

    def _check_variety(self, variety: float) -> None:
        if not 0 <= variety <= 1:
            raise ConfigError(f"variety {variety} must be between 0 and 1")
        if variety > 0:
            self.require_sampler()


def cut_windows(waveform: NDArray[np.float32], num_samples: int) -> list[NDArray[np.float32]]:
    """Cut a recording into windows of one length at even distances; a shorter recording is repeated.

    Args:
        waveform: [T].
        num_samples: Length of a window.

    Returns:
        ceil(T / num_samples) windows, overlapping as little as that allows.
    """
    count = max(1, -(-len(waveform) // num_samples))
    starts = np.linspace(0, max(0, len(waveform) - num_samples), count).round().astype(int)
    return [fit_duration(waveform, num_samples, int(start)) for start in starts]


def _check(waveform: NDArray[np.float32]) -> None:
    if waveform.ndim != 1 or len(waveform) < MIN_SPEECH_SECONDS * SAMPLE_RATE:
        raise MediaError("too-short", f"a voice needs {MIN_SPEECH_SECONDS} s or more of mono sound at 16 kHz")
    check_finite(waveform, "the recording")
