"""Training a face encoder: a softmax with an angular margin over the training identities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data.clip import Split
from data.dataset import ClipDataset, IdentityBatches
from data.errors import ConfigError, DatasetError
from encoder.face_augment import FaceAugmentConfig, augment_crops
from encoder.face_encoder import FaceEncoder, FaceEncoderConfig
from encoder.face_export import check_exporter, save_face_encoder
from encoder.face_inference import embed, measure_statistics, to_inputs
from encoder.face_pictures import FacePictures
from encoder.margin import AngularMargin, angular_margin_logits
from encoder.verification import MAX_FACES, verify
from training.checkpoints import Checkpoints
from training.ema import ExponentialMovingAverage
from training.run import Run, RunConfig
from training.schedule import Schedule, crossed, set_learning_rate
from training.stats import Stats, check_finite

_STREAM_AUGMENT, _STREAM_STATISTICS = 11, 12
_STATISTICS_IMAGES, _STATISTICS_BATCH = 1024, 256


@dataclass(frozen=True, kw_only=True)
class FaceTrainingConfig(RunConfig):
    """A training of a face encoder.

    Attributes:
        dataset: Folder of a prepared data set; its training identities alone are learnt.
        model: What is trained.
        augment: How crops are changed while training.
        margin: Of the angular margin softmax, in radians; a warm-up raises it from 0.
        scale: Of its logits.
        total_images: Length of the run, in crops seen.
        batch_size: Of all processes together; different people.
        micro_batch_size: Images that are normalised together. Each process's share must be a multiple, so that the
            result does not depend on the number of processes.
        learning_rate: AdamW's, over the run.
        weight_decay: AdamW's, on weight matrices and kernels.
        ema_halflife_images: Of the averaged weights, which are what is validated and published.
        memory_gb: Crops are held in memory if they take no more than this, else decoded anew each time.
        num_workers: Processes that decode.
        log_images: Images between lines in stats.jsonl.
        validate_images: Images between validations.
        save_images: Images between checkpoints.
    """

    dataset: str
    model: FaceEncoderConfig = field(default_factory=FaceEncoderConfig)
    augment: FaceAugmentConfig = field(default_factory=FaceAugmentConfig)
    margin: Schedule = field(default_factory=lambda: Schedule(start=0.3, warmup_images=20_000))
    scale: float = 24.0
    total_images: int = 150_000
    batch_size: int = 128
    micro_batch_size: int = 32
    learning_rate: Schedule = field(default_factory=lambda: Schedule(start=3e-3, shape="cosine", warmup_images=5_000))
    weight_decay: float = 0.05
    ema_halflife_images: float = 5_000
    memory_gb: float = 2.0
    num_workers: int = 0
    log_images: int = 2_560
    validate_images: int = 25_600
    save_images: int = 25_600

    def __post_init__(self) -> None:
        if self.total_images < 1 or self.micro_batch_size < 2:
            raise ConfigError("total_images must be 1 or more, and micro_batch_size 2 or more: images are compared")
        if self.batch_size < 1 or self.batch_size % self.micro_batch_size:
            raise ConfigError(
                f"batch_size {self.batch_size} must be a multiple of micro_batch_size {self.micro_batch_size}"
            )
        if not 0 <= self.margin.start < np.pi / 2 or not 0 <= self.margin.end < np.pi / 2 or self.scale <= 0:
            raise ConfigError("margin must be in [0, pi / 2) and scale above 0")
        if self.num_workers < 0 or self.memory_gb < 0:
            raise ConfigError("num_workers and memory_gb must not be negative")


class _Classifier(nn.Module):
    """What is trained: the encoder and the identities' directions, as one module for all processes to share."""

    def __init__(self, encoder: FaceEncoder, num_identities: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.margin = AngularMargin(encoder.config.feature_size, num_identities)

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, 3, 112, 112] to cosines [N, C]."""
        cosines: Tensor = self.margin(self.encoder(inputs))
        return cosines


def train_face_encoder(config: FaceTrainingConfig) -> None:
    """Train, save checkpoints, and leave the averaged weights and their ONNX file in `<out>/model`.

    Raises:
        Wav2FaceError: For whatever the user can mend.
    """
    check_exporter()
    run = Run(config)
    if config.batch_size // config.micro_batch_size % run.num_processes:
        raise ConfigError(
            f"batch_size {config.batch_size} can't be shared out to {run.num_processes} processes in "
            f"micro-batches of {config.micro_batch_size}"
        )
    torch.manual_seed(config.seed)  # the weights, alike in all processes
    pictures = FacePictures(ClipDataset(config.dataset, "train"), 0 if config.dry_run else _memory(config))
    if len(pictures) < 2:
        raise DatasetError(f"{config.dataset}: one person to train on; two at least are needed")
    encoder = FaceEncoder(config.model)
    classifier = _Classifier(encoder, len(pictures)).to(run.device, memory_format=torch.channels_last)
    optimizer = _optimizer(classifier, config)
    about = f"{len(pictures)} people, {pictures.num_faces} faces, {_count(encoder) / 1e6:.2f} M weights"
    if config.dry_run:
        run.log(f"would train on {config.dataset}: {about}")
        run.finish()
        return

    average = ExponentialMovingAverage(encoder, config.ema_halflife_images)
    checkpoints = Checkpoints(run)
    checkpoints.register("classifier", classifier)
    checkpoints.register("average", average)
    checkpoints.register("optimizer", optimizer)
    prepared = run.accelerator.prepare(classifier)
    images_seen = (checkpoints.load_latest() or 0) if config.resume else 0
    stats = Stats(run, images_seen)
    batches = _batches(config, run, pictures, images_seen // config.batch_size)
    statistics_inputs = _statistics_inputs(run, pictures)
    validation = load_faces(config.dataset, "val")
    if validation is None:
        run.log("nobody to validate on: no two people with two faces in the validation split")

    run.log(f"training on {about}")
    progress = run.progress(config.total_images, images_seen)
    while images_seen < config.total_images:
        crops, labels = next(batches)
        set_learning_rate(optimizer, config.learning_rate.at(images_seen, config.total_images))
        classifier.train()
        optimizer.zero_grad(set_to_none=True)
        terms = _accumulate_gradients(config, run, prepared, crops, labels, images_seen)
        gradients = [p.grad for p in classifier.parameters() if p.grad is not None]
        loss = terms["loss/margin_softmax"].mean()
        check_finite({"loss": loss, "gradient": torch.nn.utils.get_total_norm(gradients)}, images_seen)
        optimizer.step()
        average.update(config.batch_size)
        before, images_seen = images_seen, images_seen + config.batch_size
        progress.update(config.batch_size)
        for name, values in terms.items():
            stats.add(name, values)
        done = images_seen >= config.total_images
        if done or crossed(config.log_images, before, images_seen):
            stats.flush(images_seen)
        if validation is not None and (done or crossed(config.validate_images, before, images_seen)):
            measure_statistics(average.module, statistics_inputs)
            scores = verify(embed(average.module, validation[0]), validation[1])
            stats.write({f"val/{name}": value for name, value in scores.rates().items()}, images_seen)
            run.log(f"{images_seen} images: validation {scores.summary()}")
        if done or crossed(config.save_images, before, images_seen):
            checkpoints.save(images_seen)
    progress.close()
    measure_statistics(average.module, statistics_inputs)
    run.on_main(lambda: _publish(config, run, average.module, pictures))
    run.finish()


def _accumulate_gradients(
    config: FaceTrainingConfig, run: Run, prepared: nn.Module, crops: Tensor, labels: Tensor, images_seen: int
) -> dict[str, Tensor]:
    """Gradients of the mean loss over this process's crops; terms by name, [number of micro-batches] each."""
    margin = config.margin.at(images_seen, config.total_images)
    losses, accuracies = [], []
    for rows in run.micro_batches(len(crops), config.micro_batch_size, prepared):
        # By its place in the global batch, so that the changes don't depend on the number of processes.
        generator = run.generator(images_seen + run.rank * len(crops) + rows.start, _STREAM_AUGMENT)
        inputs = augment_crops(crops[rows], config.augment, generator)
        own_labels = labels[rows].to(run.device)
        with run.autocast():
            cosines = prepared(inputs.to(run.device, memory_format=torch.channels_last))
        loss = F.cross_entropy(angular_margin_logits(cosines, own_labels, margin, config.scale), own_labels)
        run.accelerator.backward(loss * (len(inputs) / len(crops)))
        losses.append(loss.detach())
        accuracies.append((cosines.detach().argmax(dim=1) == own_labels).float().mean())
    return {"loss/margin_softmax": torch.stack(losses), "train/accuracy": torch.stack(accuracies)}


def load_faces(dataset: str | Path, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """All crops of a split [M, S, S, 3] and whose they are [M]; None where nothing can be verified on them."""
    clips = ClipDataset(dataset, split)
    faces = [(person, place) for person in range(len(clips.identities)) for place in clips.faces_of(person)]
    whose = np.array([person for person, _ in faces], np.int64)
    counts = np.bincount(whose, minlength=2)
    if (counts > 0).sum() < 2 or counts.max() < 2:
        return None
    faces = faces[:MAX_FACES]
    return np.stack([clips.face(*place) for _, place in faces]), whose[: len(faces)]


def _memory(config: FaceTrainingConfig) -> int:
    return int(config.memory_gb * 1e9)


def _batches(
    config: FaceTrainingConfig, run: Run, pictures: FacePictures, start_step: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share of the batches, for ever."""
    sampler = IdentityBatches(pictures.people, config.batch_size, config.seed, run.rank, run.num_processes, start_step)
    num_workers = config.num_workers
    yield from DataLoader(pictures, batch_sampler=sampler, num_workers=num_workers, persistent_workers=num_workers > 0)


def _statistics_inputs(run: Run, pictures: FacePictures) -> list[Tensor]:
    """Unchanged training faces for `measure_statistics`, the same in every process."""
    order = torch.randperm(pictures.num_faces, generator=run.generator(0, _STREAM_STATISTICS))
    chosen = order[:_STATISTICS_IMAGES].split(_STATISTICS_BATCH)
    # A last batch of a few would count as much as a full one.
    full = [numbers for numbers in chosen if len(numbers) >= _STATISTICS_BATCH // 2] or list(chosen)
    return [to_inputs(np.stack([pictures.crop(int(number)) for number in numbers])) for numbers in full]


def _optimizer(classifier: nn.Module, config: FaceTrainingConfig) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation weights are not decayed."""
    parameters = list(classifier.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate.start)


def _publish(config: FaceTrainingConfig, run: Run, encoder: FaceEncoder, pictures: FacePictures) -> None:
    """Write the model's folder, and say how it does on people that it never saw."""
    test = load_faces(config.dataset, "test")
    scores = None if test is None else verify(embed(encoder, test[0]), test[1])
    folder = run.folder / "model"
    learnt_from = f"{pictures.num_faces} faces of {len(pictures)} people of {Path(config.dataset).name}"
    save_face_encoder(encoder, folder, learnt_from, scores)
    run.log(
        f"test split: {scores.summary()}" if scores else "nobody to test on: no two people with two faces in that split"
    )
    run.log(f"the model is in {folder}")


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
