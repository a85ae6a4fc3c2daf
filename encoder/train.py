"""Training of a voice encoder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from data.errors import ConfigError, DatasetError
from data.store.dataset import ClipDataset
from data.store.sampling import IdentityBatches
from data.store.shards import read_info
from encoder.backbones import check_training
from encoder.canonical import CanonicalConfig, start_heads
from encoder.crossfit import cross_fit, regress
from encoder.layer_mix import fit_layer_mix
from encoder.objective import LossConfig, Outputs, TrainedParts, gather_rows, loss_terms
from encoder.pairs import Pairs, compute_hidden
from encoder.recorded import take_recorded
from encoder.sampler_fit import VoicedPeople, fit_sampler, score_sampler
from encoder.validation import validate
from encoder.voice_encoder import EncoderDesign, VoiceEncoder
from training.checkpoints import Checkpoints
from training.pretrained import read_training_data
from training.run import Run, RunConfig
from training.schedule import Schedule, crossed, set_learning_rate
from training.stats import Stats, check_finite

_STREAM_SAMPLER = 102
_SAMPLER_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class EncoderTrainingConfig(RunConfig):
    """A training of a voice encoder. An image seen is a pair of a voice and a face seen.

    Attributes:
        dataset: Folder of a prepared data set.
        model: Shape of the encoder.
        losses: Weights and settings of the losses.
        canonical: Closed-form weights from which heads on a frozen backbone start.
        freeze_backbone: Whether the heads alone are trained; the backbone then computes every voice once.
        refit_heads: Whether the heads get the closed forms of `canonical` after a backbone has been trained.
        num_crops: Number of random crops of each voice for a frozen backbone, besides the whole.
        crop_seconds: Length of these crops.
        total_images: Length of the run.
        batch_size: Pairs in a step, over all processes.
        learning_rate: Learning rate (AdamW).
        weight_decay: AdamW's weight decay, on weight matrices.
        num_workers: Loader processes of each training process, if the backbone is trained; 0 loads in the training
            process itself.
        log_images: Images between lines in stats.jsonl.
        validate_images: Images between validations.
        checkpoint_images: Images between checkpoints.
        keep_checkpoints: Number of newest checkpoints that are kept.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"save_images": "checkpoint_images"}

    dataset: str
    model: EncoderDesign = field(default_factory=EncoderDesign)
    losses: LossConfig = field(default_factory=LossConfig)
    canonical: CanonicalConfig = field(default_factory=CanonicalConfig)
    freeze_backbone: bool = True
    refit_heads: bool = False
    num_crops: int = 0
    crop_seconds: float = 3.0
    total_images: int = 100_000
    batch_size: int = 512
    learning_rate: Schedule = field(default_factory=lambda: Schedule(start=1e-3, shape="cosine", warmup_images=10_000))
    weight_decay: float = 0.01
    num_workers: int = 0
    log_images: int = 5_000
    validate_images: int = 25_000
    checkpoint_images: int = 25_000
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        if self.total_images < 1 or self.batch_size < 2:
            raise ConfigError("total_images must be 1 or more, and batch_size 2 or more: people are compared")
        if self.num_crops < 0 or self.num_workers < 0:
            raise ConfigError("num_crops and num_workers must not be negative")
        check_training(self.model.backbone, self.model.backbone_options, self.freeze_backbone)
        if self.freeze_backbone and (self.refit_heads or self.losses.speaker):
            raise ConfigError(
                "refit_heads and losses.speaker are for a backbone that is trained: freeze_backbone false"
            )
        is_closed_form = self.refit_heads or (self.freeze_backbone and not self.losses.trains_feature)
        if self.model.sampler and not (self.canonical.enabled and is_closed_form):
            raise ConfigError(
                "model.sampler needs a regressed feature in closed form: canonical.enabled, and refit_heads true for a "
                "trained backbone, or no loss on the feature (losses.cosine 0) for a frozen one"
            )


def train_encoder(config: EncoderTrainingConfig) -> None:
    """Train, save checkpoints, and write the last weights to `<out>/model`.

    The last weights, not the best on the validation split: with a few dozen people such a choice is mostly noise.

    Raises:
        Wav2FaceError: For mistakes of the user; see the subclasses.
    """
    model, recorded = take_recorded(config.model, read_info(Path(config.dataset)).extra)
    config = replace(config, model=model)
    run = Run(config)
    if recorded:
        run.log(f"as {config.dataset} recorded: " + ", ".join(f"{name} {value:g}" for name, value in recorded.items()))
    torch.manual_seed(config.seed)  # the weights, alike in all processes
    clips = ClipDataset(config.dataset, "train")
    pairs = Pairs(clips, config.model.window_samples)
    design = replace(config.model, num_landmarks=min(config.model.num_landmarks, len(pairs)))
    encoder = VoiceEncoder.create(design.with_face_encoder(clips.info.face_encoder)).to(run.device)
    trainable = TrainedParts(encoder, len(pairs.people), config.losses, config.freeze_backbone)
    optimizer = _optimizer(trainable, config)
    if config.dry_run:
        run.log(f"would train on {len(pairs)} people of {config.dataset}: {_size(trainable)}")
        run.finish()
        return

    hidden = None
    if config.freeze_backbone:
        fit_layer_mix(encoder, clips, run)
        hidden = compute_hidden(encoder, clips, config.num_crops, config.crop_seconds, run)
        pairs = fit_heads(encoder, clips, hidden, config)
    else:
        encoder.set_input_statistics(None, pairs.prototypes())

    validation = _validation(config, encoder, run)
    parts = run.accelerator.prepare(trainable)
    checkpoints = Checkpoints(run, config.keep_checkpoints)
    checkpoints.register("parts", trainable)
    checkpoints.register("optimizer", optimizer)
    images_seen = (checkpoints.load_latest() or 0) if config.resume else 0
    stats = Stats(run, images_seen)
    batches = _batches(config, pairs, run, images_seen // config.batch_size)
    class_of = torch.full((len(clips.identities),), -1, dtype=torch.int64)
    class_of[pairs.people] = torch.arange(len(pairs.people))
    prototypes = pairs.prototypes().to(run.device)

    run.log(f"training on {len(pairs)} people: {_size(trainable)}")
    progress = run.progress(config.total_images, images_seen)
    while images_seen < config.total_images:
        voices, face_features, identities = next(batches)
        classes = class_of[identities].to(run.device)
        run.seed_step(images_seen)
        parts.train()
        set_learning_rate(optimizer, config.learning_rate.at(images_seen, config.total_images))
        with run.autocast():
            outputs: Outputs = parts(voices.to(run.device), face_features.to(run.device))
        gathered = Outputs(*(gather_rows(run, value.float()) for value in vars(outputs).values()))
        all_faces = gather_rows(run, face_features.to(run.device))
        terms = loss_terms(gathered, all_faces, gather_rows(run, classes), prototypes, config.losses)
        loss = torch.stack([getattr(config.losses, name) * term for name, term in terms.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        run.accelerator.backward(loss * run.num_processes)
        gradients = [p.grad for p in trainable.parameters() if p.grad is not None]
        check_finite({**terms, "gradient": torch.nn.utils.get_total_norm(gradients)}, images_seen)
        optimizer.step()
        before, images_seen = images_seen, images_seen + config.batch_size
        progress.update(config.batch_size)
        for name, term in terms.items():
            stats.add(f"loss/{name}", term)
        done = images_seen >= config.total_images
        if done or crossed(config.log_images, before, images_seen):
            stats.flush(images_seen)
        if validation is not None and (done or crossed(config.validate_images, before, images_seen)):
            scores = validate(encoder, *validation)
            stats.write(scores, images_seen)
            if done:
                run.log(", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
        if done or crossed(config.checkpoint_images, before, images_seen):
            checkpoints.save(images_seen)
    progress.close()
    if config.refit_heads:
        hidden = compute_hidden(encoder, clips, 0, config.crop_seconds, run)
        fit_heads(encoder, clips, hidden, config)
        if validation is not None:
            stats.write(scores := validate(encoder, *validation), images_seen)
            run.log("heads refitted: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    if encoder.sampler is not None:
        assert hidden is not None, "the configuration's check: the heads are in closed form"
        scores = _fit_sampler(encoder, clips, hidden, validation, config, run)
        stats.write(scores, images_seen)
    encoder.record_training_data([read_training_data(config.dataset)])
    run.on_main(lambda: encoder.save_pretrained(run.folder / "model"))
    run.log(f"the model is in {run.folder / 'model'}")
    run.finish()


def fit_heads(encoder: VoiceEncoder, clips: ClipDataset, hidden: Tensor, config: EncoderTrainingConfig) -> Pairs:
    """Set the input statistics of heads on a frozen backbone and, if configured, their closed-form weights.

    Args:
        encoder: Encoder, changed in place.
        clips: Training split.
        hidden: [num_clips, num_crops, H] from `compute_hidden`.
        config: Configuration of the training.

    Returns:
        Pairs whose voices are these outputs.
    """
    pairs = Pairs(clips, config.model.window_samples, hidden)
    encoder.set_input_statistics(hidden[torch.from_numpy(clips.has_voice)].flatten(0, 1), pairs.prototypes())
    if config.canonical.enabled:
        start_heads(encoder, pairs.mean_hidden(), pairs.prototypes(), pairs.features, config.canonical)
    return pairs


def _fit_sampler(
    encoder: VoiceEncoder,
    clips: ClipDataset,
    hidden: Tensor,
    validation: tuple[ClipDataset, Pairs, Tensor | None] | None,
    config: EncoderTrainingConfig,
    run: Run,
) -> dict[str, float]:
    """Fit the encoder's sampler in the main process, which alone writes the model, and score it.

    Args:
        encoder: Encoder with its final heads, changed in place.
        clips: Training split.
        hidden: [num_clips, num_crops, H] of that split from `compute_hidden`.
        validation: As `_validation` gives it.
        config: Configuration of the training.
        run: Run.

    Returns:
        Scores on people of the validation split who have voice and face, by name; empty if nobody has, and outside
        the main process.

    Raises:
        DatasetError: If fewer than two people have both.
    """
    sampler = encoder.sampler
    assert sampler is not None
    val_hidden = None
    if validation is not None:
        val_clips, val_pairs, whole = validation  # a frozen backbone's outputs are known, a trained one's are not
        val_hidden = (
            compute_hidden(encoder, val_clips, 0, config.crop_seconds, run) if whole is None else whole[:, None]
        )
    scores: dict[str, float] = {}

    def fit() -> None:
        started = time.perf_counter()
        pairs = Pairs(clips, config.model.window_samples, hidden)
        if len(pairs.people) < 2:
            raise DatasetError(
                f"{clips.root}: a sampler needs two people or more with voice and face in the train split: prepare "
                "more, or set model.sampler to null"
            )
        num_folds = min(_SAMPLER_FOLDS, len(pairs.people))
        predicted = cross_fit(encoder, clips, hidden, num_folds, config.canonical.feature_ridge)
        people = _voiced_people(pairs, clips, predicted)
        fit_sampler(sampler, people, pairs.features, run.generator(0, _STREAM_SAMPLER))
        seconds = time.perf_counter() - started
        if val_hidden is not None:
            val_people = _voiced_people(val_pairs, val_clips, regress(encoder, val_hidden))
            scores.update(
                score_sampler(sampler, val_people, pairs.features.mean(dim=0), run.generator(1, _STREAM_SAMPLER))
            )
        told = "".join(f", {name.partition('/')[2]} {value:.4f}" for name, value in scores.items())
        run.log(f"sampler fitted to {len(people)} people in {seconds:.0f} s{told}")

    run.on_main(fit)
    return scores


def _voiced_people(pairs: Pairs, clips: ClipDataset, predicted: Tensor) -> VoicedPeople:
    voiced = np.flatnonzero(clips.has_voice)
    _, owners = clips.all_face_features()
    return VoicedPeople.collect(
        pairs.people,
        predicted[torch.from_numpy(voiced)],
        clips.identity_of[voiced],
        pairs.features,
        clips.identity_of[owners[:, 0]],
    )


def _batches(
    config: EncoderTrainingConfig, pairs: Pairs, run: Run, start_step: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    draws = IdentityBatches(pairs.people, config.batch_size, config.seed, run.rank, run.num_processes, start_step)
    num_workers = 0 if config.freeze_backbone else config.num_workers
    loader = DataLoader(pairs, batch_sampler=draws, num_workers=num_workers, persistent_workers=num_workers > 0)
    yield from loader


def _validation(
    config: EncoderTrainingConfig, encoder: VoiceEncoder, run: Run
) -> tuple[ClipDataset, Pairs, Tensor | None] | None:
    """Arguments of `validate`; None if the validation split is empty."""
    clips = ClipDataset(config.dataset, "val")
    if not (clips.has_voice.any() and clips.num_faces.any()):
        run.log("no validation: nobody in the validation split has a voice and a face")
        return None
    hidden = compute_hidden(encoder, clips, 0, config.crop_seconds, run)[:, 0] if config.freeze_backbone else None
    return clips, Pairs(clips, config.model.window_samples), hidden


def _optimizer(trainable: TrainedParts, config: EncoderTrainingConfig) -> torch.optim.Optimizer:
    """AdamW without weight decay of biases and normalisation weights."""
    parameters = [parameter for parameter in trainable.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate.start)


def _size(trainable: TrainedParts) -> str:
    count = sum(parameter.numel() for parameter in trainable.parameters() if parameter.requires_grad)
    return f"{count / 1e6:.2f} M trained weights, backbone {trainable.encoder.config.backbone}"
