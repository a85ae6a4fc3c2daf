"""Training of a face encoder by a softmax with an angular margin over the training identities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data.errors import ConfigError, DatasetError
from data.store.clip import Split
from data.store.dataset import ClipDataset
from data.store.sampling import IdentityBatches
from encoder.faces.augment import FaceAugmentConfig, augment_crops
from encoder.faces.crops import FaceCrops
from encoder.faces.export import check_exporter, save_face_encoder
from encoder.faces.inference import embed, measure_statistics, to_inputs
from encoder.faces.margin import AngularMargin, angular_margin_logits
from encoder.faces.network import FaceEncoder, FaceEncoderConfig
from encoder.faces.verification import MAX_FACES, verify
from training.checkpoints import Checkpoints
from training.ema import ExponentialMovingAverage
from training.pretrained import read_training_data
from training.run import Run, RunConfig
from training.schedule import Schedule, crossed, set_learning_rate
from training.stats import Stats, check_finite

_STREAM_AUGMENT, _STREAM_STATISTICS = 11, 12
_STATISTICS_IMAGES, _STATISTICS_BATCH = 1024, 256


@dataclass(frozen=True, kw_only=True)
class FaceTrainingConfig(RunConfig):
    """A training of a face encoder.

    Attributes:
        dataset: Folder of a prepared data set; only its training split is used.
        model: Shape of the encoder.
        augment: Strengths of the random changes of crops.
        margin: Margin of the softmax in radians; its warm-up rises from 0.
        scale: Scale of the softmax's logits.
        appearance: Weight of a second loss: the feature predicts, linearly, the person's mean crop. Identification
            alone relies on hair and skin and loses much of build and age, with which voices correlate.
        appearance_components: Number of principal components of the mean crops that are predicted.
        attributes: Weight of a third loss: the feature predicts, linearly, known attributes: sex, age and, of personas,
            their face traits. A network trained on millions of people learns sex and age without it, a small one
            trained on thousands does not.
        total_images: Length of the run, in crops seen.
        batch_size: Crops in a step, of different people, over all processes.
        micro_batch_size: Crops that share batch normalisation. Each process's share must be a multiple, so that the
            result does not depend on the number of processes.
        learning_rate: Learning rate (AdamW).
        weight_decay: AdamW's weight decay, on weight matrices and kernels.
        ema_halflife_images: Half-life of the exponential moving average of the weights, which is validated and
            published.
        memory_gb: Largest size of all decoded crops that are kept in memory; otherwise crops are decoded at every use.
        num_workers: Loader processes of each training process; 0 loads in the training process itself.
        log_images: Images between lines in stats.jsonl.
        validate_images: Images between validations.
        checkpoint_images: Images between checkpoints.
        keep_checkpoints: Number of newest checkpoints that are kept.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"save_images": "checkpoint_images"}

    dataset: str
    model: FaceEncoderConfig = field(default_factory=FaceEncoderConfig)
    augment: FaceAugmentConfig = field(default_factory=FaceAugmentConfig)
    margin: Schedule = field(default_factory=lambda: Schedule(start=0.3, warmup_images=8_000))
    scale: float = 24.0
    appearance: float = 10.0
    appearance_components: int = 96
    attributes: float = 0.0
    total_images: int = 120_000
    batch_size: int = 64
    micro_batch_size: int = 32
    learning_rate: Schedule = field(default_factory=lambda: Schedule(start=3e-3, shape="cosine", warmup_images=2_000))
    weight_decay: float = 0.05
    ema_halflife_images: float = 2_000
    memory_gb: float = 2.0
    num_workers: int = 0
    log_images: int = 2_560
    validate_images: int = 25_600
    checkpoint_images: int = 25_600
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        if self.total_images < 1 or self.micro_batch_size < 2:
            raise ConfigError("total_images must be 1 or more, and micro_batch_size 2 or more: images are compared")
        if self.batch_size < 1 or self.batch_size % self.micro_batch_size:
            raise ConfigError(
                f"batch_size {self.batch_size} must be a multiple of micro_batch_size {self.micro_batch_size}"
            )
        if not 0 <= self.margin.start < np.pi / 2 or not 0 <= self.margin.end < np.pi / 2 or self.scale <= 0:
            raise ConfigError("margin must be in [0, pi / 2) and scale above 0")
        if min(self.appearance, self.attributes) < 0 or self.appearance_components < 1:
            raise ConfigError("appearance and attributes must not be negative, and appearance_components 1 or more")
        if self.num_workers < 0 or self.memory_gb < 0:
            raise ConfigError("num_workers and memory_gb must not be negative")


@dataclass(frozen=True)
class _Targets:
    """Targets for each person: [num_people, K] mean looks, [num_people, A] attributes; None without that loss."""

    looks: Tensor | None
    attributes: Tensor | None


class _TrainedParts(nn.Module):
    """The encoder, and parts that are discarded after the training, as one module that DDP can wrap."""

    def __init__(self, encoder: FaceEncoder, num_identities: int, num_looks: int, num_attributes: int) -> None:
        super().__init__()
        self.encoder = encoder
        feature_size = encoder.config.feature_size
        self.margin = AngularMargin(feature_size, num_identities)
        # DDP would wait for the gradients of unused parameters.
        self.appearance = nn.Linear(feature_size, num_looks) if num_looks else None
        self.attributes = nn.Linear(feature_size, num_attributes) if num_attributes else None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """[N, 3, 112, 112] to cosines [N, C] with the identities, predicted looks [N, K] and attributes [N, A]."""
        features = F.normalize(self.encoder(inputs).float(), dim=1)
        entries = features * features.shape[1] ** 0.5  # about 1
        looks = None if self.appearance is None else self.appearance(entries)
        attributes = None if self.attributes is None else self.attributes(entries)
        return self.margin(features), looks, attributes


def train_face_encoder(config: FaceTrainingConfig) -> None:
    """Train, save checkpoints, and write the averaged weights and their ONNX file to `<out>/model`.

    Raises:
        Wav2FaceError: For mistakes of the user; see the subclasses.
    """
    check_exporter()
    run = Run(config)
    if config.batch_size // config.micro_batch_size % run.num_processes:
        raise ConfigError(
            f"batch_size {config.batch_size} can't be shared out to {run.num_processes} processes in "
            f"micro-batches of {config.micro_batch_size}"
        )
    torch.manual_seed(config.seed)  # the weights, alike in all processes
    face_crops = FaceCrops(ClipDataset(config.dataset, "train"), 0 if config.dry_run else _memory(config))
    if len(face_crops) < 2:
        raise DatasetError(f"{config.dataset}: one person to train on; two at least are needed")
    encoder = FaceEncoder(config.model)
    num_looks = min(config.appearance_components, len(face_crops) - 1) if config.appearance else 0
    known = face_crops.known_attributes() if config.attributes else None
    num_attributes = 0 if known is None else known.shape[1]
    parts = _TrainedParts(encoder, len(face_crops), num_looks, num_attributes).to(run.device)
    parts.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(parts, config)
    about = f"{len(face_crops)} people, {face_crops.num_faces} faces, {_count(encoder) / 1e6:.2f} M weights"
    if config.dry_run:
        run.log(f"would train on {config.dataset}: {about}")
        run.finish()
        return

    average = ExponentialMovingAverage(encoder, config.ema_halflife_images)
    averaged = cast(FaceEncoder, average.module)
    checkpoints = Checkpoints(run, config.keep_checkpoints)
    checkpoints.register("parts", parts)
    checkpoints.register("average", average)
    checkpoints.register("optimizer", optimizer)
    prepared = run.accelerator.prepare(parts)
    images_seen = (checkpoints.load_latest() or 0) if config.resume else 0
    stats = Stats(run, images_seen)
    batches = _batches(config, run, face_crops, images_seen // config.batch_size)
    statistics_inputs = _statistics_inputs(run, face_crops)
    targets = _Targets(
        face_crops.mean_looks(num_looks).to(run.device) if num_looks else None,
        None if known is None else known.to(run.device),
    )
    validation = load_faces(config.dataset, "val")
    if validation is None:
        run.log("no validation: no two people with two faces in the validation split")

    run.log(f"training on {about}")
    progress = run.progress(config.total_images, images_seen)
    while images_seen < config.total_images:
        crops, labels = next(batches)
        set_learning_rate(optimizer, config.learning_rate.at(images_seen, config.total_images))
        parts.train()
        optimizer.zero_grad(set_to_none=True)
        terms = _accumulate_gradients(config, run, prepared, (crops, labels), targets, images_seen)
        gradients = [p.grad for p in parts.parameters() if p.grad is not None]
        losses = {name: values.mean() for name, values in terms.items()}
        check_finite({**losses, "gradient": torch.nn.utils.get_total_norm(gradients)}, images_seen)
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
            measure_statistics(averaged, statistics_inputs)
            scores = verify(embed(averaged, validation[0]), validation[1])
            stats.write({f"val/{name}": value for name, value in scores.rates().items()}, images_seen)
            run.log(f"{images_seen} images: validation {scores.summary()}")
        if done or crossed(config.checkpoint_images, before, images_seen):
            checkpoints.save(images_seen)
    progress.close()
    measure_statistics(averaged, statistics_inputs)
    run.on_main(lambda: _publish(config, run, averaged, face_crops))
    run.finish()


def _accumulate_gradients(
    config: FaceTrainingConfig,
    run: Run,
    prepared: nn.Module,
    batch: tuple[Tensor, Tensor],
    targets: _Targets,
    images_seen: int,
) -> dict[str, Tensor]:
    """Gradients of the mean loss over this process's crops; terms by name, [number of micro-batches] each."""
    crops, labels = batch
    margin = config.margin.at(images_seen, config.total_images)
    terms: defaultdict[str, list[Tensor]] = defaultdict(list)
    for rows in run.micro_batches(len(crops), config.micro_batch_size, prepared):
        # Seeded by position in the global batch, so that changes don't depend on the number of processes.
        generator = run.generator(images_seen + run.rank * len(crops) + rows.start, _STREAM_AUGMENT)
        inputs = augment_crops(crops[rows], config.augment, generator)
        own_labels = labels[rows].to(run.device)
        with run.autocast():
            cosines, looks, attributes = prepared(inputs.to(run.device, memory_format=torch.channels_last))
        logits = angular_margin_logits(cosines, own_labels, margin, config.scale)
        loss = identity = F.cross_entropy(logits, own_labels)
        if looks is not None and targets.looks is not None:
            appearance = (looks.float() - targets.looks[own_labels]).square().mean()
            loss = loss + config.appearance * appearance
            terms["loss/appearance"].append(appearance.detach())
        if attributes is not None and targets.attributes is not None:
            squares = known_difference(attributes.float(), targets.attributes[own_labels]).square().mean()
            loss = loss + config.attributes * squares
            terms["loss/attributes"].append(squares.detach())
        run.accelerator.backward(loss * (len(inputs) / len(crops)))
        terms["loss/margin_softmax"].append(identity.detach())
        terms["train/accuracy"].append((cosines.detach().argmax(dim=1) == own_labels).float().mean())
    return {name: torch.stack(values) for name, values in terms.items()}


def known_difference(predicted: Tensor, target: Tensor) -> Tensor:
    """predicted - target, of the same shape, and 0 for unknown targets (NaN)."""
    return torch.where(target.isnan(), 0.0, predicted - target.nan_to_num())


def load_faces(dataset: str | Path, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """All crops of a split [M, S, S, 3] and their identities [M]; None if they allow no verification."""
    clips = ClipDataset(dataset, split)
    faces = [(person, place) for person in range(len(clips.identities)) for place in clips.faces_of(person)]
    identities = np.array([person for person, _ in faces], np.int64)
    counts = np.bincount(identities, minlength=2)
    if (counts > 0).sum() < 2 or counts.max() < 2:
        return None
    faces = faces[:MAX_FACES]
    return np.stack([clips.face(*place) for _, place in faces]), identities[: len(faces)]


def _memory(config: FaceTrainingConfig) -> int:
    return int(config.memory_gb * 1e9)


def _batches(
    config: FaceTrainingConfig, run: Run, face_crops: FaceCrops, start_step: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share of the batches, without end."""
    sampler = IdentityBatches(
        face_crops.people, config.batch_size, config.seed, run.rank, run.num_processes, start_step
    )
    num_workers = config.num_workers
    yield from DataLoader(
        face_crops, batch_sampler=sampler, num_workers=num_workers, persistent_workers=num_workers > 0
    )


def _statistics_inputs(run: Run, face_crops: FaceCrops) -> list[Tensor]:
    """Inputs of training crops without augmentation, for `measure_statistics`; the same in every process."""
    order = torch.randperm(face_crops.num_faces, generator=run.generator(0, _STREAM_STATISTICS))
    chosen = order[:_STATISTICS_IMAGES].split(_STATISTICS_BATCH)
    # All batches count equally, so a small last one is left out.
    full = [numbers for numbers in chosen if len(numbers) >= _STATISTICS_BATCH // 2] or list(chosen)
    return [to_inputs(np.stack([face_crops.crop(int(number)) for number in numbers])) for numbers in full]


def _optimizer(parts: nn.Module, config: FaceTrainingConfig) -> torch.optim.Optimizer:
    """AdamW without weight decay of biases and normalisation weights."""
    parameters = list(parts.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate.start)


def _publish(config: FaceTrainingConfig, run: Run, encoder: FaceEncoder, face_crops: FaceCrops) -> None:
    """Write the model's folder with its scores on the test split."""
    test = load_faces(config.dataset, "test")
    scores = None if test is None else verify(embed(encoder, test[0]), test[1])
    folder = run.folder / "model"
    encoder.record_training_data([read_training_data(config.dataset)])
    training_data = f"{face_crops.num_faces} faces of {len(face_crops)} people of {Path(config.dataset).name}"
    if config.attributes:
        training_data += (
            "; besides identities, its features were trained to predict the attributes in that data set (sex, age, of "
            "personas the four face traits)"
        )
    save_face_encoder(encoder, folder, training_data, scores)
    run.log(f"test split: {scores.summary()}" if scores else "no test: no two people with two faces in the test split")
    run.log(f"the model is in {folder}")


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
