"""The model that a report is about, what it predicts, and the judge."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import ConfigError, ModelError
from data.faces.dlib import DlibRecognizer
from data.faces.protocol import FaceEncoderInfo, FaceRecognizer
from data.faces.registry import load_recognizer
from data.files import sha256_of_file
from data.store.dataset import ClipDataset
from data.workers import count_threads
from encoder.pairs import imported_vectors
from encoder.sampler import FeatureSampler
from encoder.voice_encoder import VoiceEncoder
from gan.images import to_pixels
from gan.voice2face import Voice2Face
from training.pretrained import read_model_type

_BATCH = 64

VARIETIES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Varieties that reports measure where a model has a sampler."""


@dataclass(frozen=True)
class ModelUnderTest:
    """A trained model that is evaluated.

    Attributes:
        encoder: The voice encoder.
        voice2face: The encoder with its generator; None where the model is an encoder alone.
        source: Folder or hub id that it was loaded from.
        sha256: SHA-256 of its weights; None where they came from the hub.
    """

    encoder: VoiceEncoder
    voice2face: Voice2Face | None
    source: str
    sha256: str | None

    @property
    def face_encoder(self) -> FaceEncoderInfo:
        """The training face network T whose features the encoder regresses."""
        return self.encoder.config.face_encoder

    @property
    def sampler(self) -> FeatureSampler | None:
        """The sampler of face features that a voice leaves open; None where the model has none."""
        return self.encoder.sampler

    @property
    def draws_face_features(self) -> bool:
        """Whether the generator is conditioned by T's features, so that it can draw true faces too (F2F)."""
        return self.voice2face is not None and self.encoder.regresses_face_features

    @property
    def device(self) -> torch.device:
        """The device that the model runs on."""
        weights = next(self.encoder.parameters(), None)
        return next(self.encoder.buffers()).device if weights is None else weights.device  # an ONNX backbone has none


def load_model_under_test(source: str, device: str = "cpu", guidance: float | None = None) -> ModelUnderTest:
    """Load a voice encoder, alone or with its generator.

    Args:
        source: Folder made by a training, or a hub id.
        device: Device to run on.
        guidance: Guidance of the drawings in place of the model's own (`encoder.sampler.SamplerConfig`).

    Raises:
        ConfigError: If the guidance is below 1.
        ModelError: If it is missing, damaged, or neither of the two, or guidance is asked for without a sampler.
    """
    model_type = read_model_type(source)
    weights = Path(source) / "model.safetensors"
    sha256 = sha256_of_file(weights) if weights.is_file() else None
    if model_type == "voice_encoder":
        encoder = VoiceEncoder.from_pretrained(source)
        model = ModelUnderTest(encoder.eval().to(device), None, source, sha256)
    elif model_type == "voice2face":
        voice2face = Voice2Face.from_pretrained(source).eval().to(device)
        model = ModelUnderTest(voice2face.encoder, voice2face, source, sha256)
    else:
        raise ModelError(f"{source}: a '{model_type}' can't be evaluated, only a voice_encoder or a voice2face")
    if guidance is not None:
        sampler, config = model.sampler, model.encoder.config.sampler
        if sampler is None or config is None:
            raise ModelError(f"{source}: it has no sampler, which guidance belongs to")
        sampler.guidance = replace(config, guidance=guidance).guidance
    return model


def choose_varieties(model: ModelUnderTest, asked: Sequence[float] | None) -> tuple[float, ...]:
    """The varieties that a report measures, in rising order.

    Args:
        model: The model.
        asked: Varieties that the user asks for; None for `VARIETIES` with a sampler, and 0 alone without.

    Raises:
        ConfigError: If one is outside [0, 1].
        ModelError: If one is above 0 and the model has no sampler.
    """
    if asked is None:
        return VARIETIES if model.sampler is not None else (0.0,)
    for variety in asked:
        if not 0 <= variety <= 1:
            raise ConfigError(f"--varieties {variety:g}: a variety lies between 0 and 1")
        if variety > 0:
            model.encoder.require_sampler()
    return tuple(sorted(set(asked)))


def check_same_training_network(model: ModelUnderTest, dataset: ClipDataset) -> None:
    """Refuse a data set whose features were made by another T than the model's.

    Raises:
        ModelError: If the two differ; the message names both.
    """
    ours, theirs = model.face_encoder, dataset.info.face_encoder
    if ours.sha256 != theirs.sha256:
        raise ModelError(
            f"{model.source}: trained on features of {ours.name} ({ours.sha256[:12]}), but the data set "
            f"holds those of {theirs.name} ({theirs.sha256[:12]}); prepare it with the model's face network"
        )


def load_judge(name: str, root: str | None, training_network: FaceEncoderInfo) -> FaceRecognizer:
    """The judging face network E, which must not be the training network T.

    Args:
        name: As `data.faces.registry.load_recognizer` takes it.
        root: Folder that holds `models/<pack>`, for insightface packs.
        training_network: The training face network T.

    Raises:
        ConfigError: If both are the same file of weights.
        ModelError: If the judge's files are missing.
    """
    judge = DlibRecognizer(count_threads()) if name == "dlib" else load_recognizer(name, root)
    if judge.info.sha256 == training_network.sha256:
        raise ConfigError(
            f"--judge {name}: the same weights as the training face network {training_network.name} "
            f"({training_network.sha256[:12]}), which would score its own training; choose another judge"
        )
    return judge


def load_judges(names: Sequence[str], root: str | None, training_network: FaceEncoderInfo) -> list[FaceRecognizer]:
    """The headline's judge E and other judges, as `load_judge` loads each.

    Raises:
        ConfigError: If one is T, or two are the same.
        ModelError: If a judge's files are missing.
    """
    judges = [load_judge(name, root, training_network) for name in names]
    if len({judge.info.sha256 for judge in judges}) < len(judges):
        raise ConfigError(f"--judge {' '.join(names)}: the same network twice; give each judge once")
    return judges


def load_training_network(info: FaceEncoderInfo, root: str | None) -> FaceRecognizer | None:
    """T itself, where its file is at hand; None where it is not.

    Args:
        info: T as the model names it.
        root: Folder that holds `models/<pack>`, for insightface packs.
    """
    stored = Path(info.path).expanduser()
    roots = [root, *([str(stored.parents[2])] if stored.is_file() and len(stored.parents) > 2 else [])]
    for folder in roots:
        try:
            network = load_recognizer(info.name, folder)
        except (ConfigError, ModelError):
            continue  # a report can do without it
        if network.info.sha256 == info.sha256:
            return network
    return None


def batches(rows: Sequence[int], size: int = _BATCH, doing: str = "") -> Iterator[list[int]]:
    """Split row numbers into lists, and show how far the caller is with them.

    Args:
        rows: Row numbers.
        size: Length of a list at most.
        doing: Title of a progress bar, shown on a terminal after two seconds; without one there is no bar.
    """
    disable = None if doing else True
    with tqdm(total=len(rows), desc=doing, disable=disable, delay=2, leave=False, dynamic_ncols=True) as bar:
        for start in range(0, len(rows), size):
            yield list(rows[start : start + size])
            bar.update(len(rows[start : start + size]))


def encode_voices(
    model: ModelUnderTest, dataset: ClipDataset, clips: Sequence[int], max_samples: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Encode the voices of clips.

    Args:
        model: The model.
        dataset: Holds the clips.
        clips: Clips with a voice.
        max_samples: Samples that are used from the beginning of each clip; all by default.

    Returns:
        Conditions [N, C] of a generator (regressed features where C = D) and joint embeddings [N, E]; E is 0 in an
        encoder without a joint space.

    Raises:
        ModelError: If the encoder gives values that are not finite.
    """
    encoder = model.encoder
    features = [np.zeros((0, encoder.condition_size), np.float32)]
    embeddings = [np.zeros((0, encoder.config.embedding_size if encoder.regresses_face_features else 0), np.float32)]
    for rows in batches(clips, doing="hearing voices"):
        if not dataset.has_media:
            with torch.no_grad():
                encoding = encoder.head(imported_vectors(encoder, dataset, rows).to(model.device))
        else:
            encoding = encoder.encode([dataset.waveform(row)[:max_samples] for row in rows])
        features.append(encoding.feature.float().cpu().numpy())
        embeddings.append(encoding.embedding.float().cpu().numpy())
    result = np.concatenate(features), np.concatenate(embeddings)
    if not all(np.isfinite(vectors).all() for vectors in result):
        raise ModelError(f"{model.source}: the encoder gives values that are not finite")
    return result


@torch.no_grad()
def embed_true_faces(model: ModelUnderTest, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Joint embeddings [N, E] of T's features [N, D] of real faces; E is 0 where the encoder has no joint space."""
    if not model.encoder.regresses_face_features:
        return np.zeros((len(features), 0), np.float32)
    embeddings = [np.zeros((0, model.encoder.config.embedding_size), np.float32)]
    for start in range(0, len(features), 4096):
        block = torch.from_numpy(features[start : start + 4096]).to(model.device)
        embeddings.append(model.encoder.face(block).float().cpu().numpy())
    return np.concatenate(embeddings)


def sample_noise(keys: Sequence[str], size: int) -> torch.Tensor:
    """Standard normal noise [N, size] that depends on the keys alone, not on batches, their order or the machine."""
    rows = [torch.randn(size, generator=torch.Generator().manual_seed(zlib.crc32(key.encode()))) for key in keys]
    return torch.stack(rows) if rows else torch.zeros(0, size)


@torch.no_grad()
def sample_features(
    model: ModelUnderTest, voice_features: NDArray[np.float32], keys: Sequence[str], variety: float
) -> NDArray[np.float32]:
    """One sample of the face feature of each voice, with noise that depends on the keys alone, as in `sample_noise`.

    Args:
        model: The model.
        voice_features: [N, D] face features regressed from the voices.
        keys: N keys. The generator's noise of the same keys is independent of the sampler's.
        variety: 0 for the most telling face, 1 for the whole posterior p(face feature | voice).

    Returns:
        [N, D].

    Raises:
        ModelError: If the variety is above 0 and the model has no sampler, or a sample is not finite.
    """
    if variety == 0:
        return model.encoder.most_telling(torch.from_numpy(voice_features).to(model.device)).cpu().numpy()
    sampler = model.encoder.require_sampler()
    noise = sample_noise([f"sampler/{key}" for key in keys], sampler.noise_size)
    samples = [np.zeros((0, voice_features.shape[1]), np.float32)]
    for rows in batches(range(len(voice_features)), 1024):
        block = torch.from_numpy(voice_features[rows]).to(model.device)
        samples.append(sampler(block, noise[rows].to(model.device), variety).float().cpu().numpy())
    result = np.concatenate(samples)
    if not np.isfinite(result).all():
        raise ModelError(f"{model.source}: the sampler gives values that are not finite")
    return result


@torch.no_grad()
def draw_faces(voice2face: Voice2Face, features: NDArray[np.float32], noise: torch.Tensor) -> NDArray[np.uint8]:
    """Draw a face for each feature.

    Args:
        voice2face: The model that draws.
        features: [N, D] face features: regressed from a voice, or (F2F) T's feature of a real face.
        noise: [N, Z] standard normal.

    Returns:
        [N, S, S, 3] uint8 RGB.

    Raises:
        ModelError: If a drawing holds values that are not finite.
    """
    device = next(voice2face.parameters()).device
    drawings = [np.zeros((0, voice2face.image_size, voice2face.image_size, 3), np.uint8)]
    for rows in batches(range(len(features)), doing="drawing"):
        images = voice2face.draw(torch.from_numpy(features[rows]).to(device), noise[rows].to(device)).float()
        if not torch.isfinite(images).all():
            raise ModelError("the generator draws values that are not finite")
        drawings.append(to_pixels(images))
    return np.concatenate(drawings)
