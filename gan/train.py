"""The adversarial training: each step updates the discriminator, then the generator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
import torch.optim.swa_utils
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.errors import ConfigError, ModelError
from data.store.dataset import ClipDataset
from data.store.sampling import IdentityBatches, PersonDraw
from encoder.crossfit import predict_features
from encoder.voice_encoder import VoiceEncoder
from gan.augment import AdaptiveAugmentation
from gan.balancer import MEASURE_INTERVAL, Balancer
from gan.condition import ConditionedFaces, FaceBatch, collate
from gan.config import GanConfig
from gan.discriminator import Discriminator
from gan.generator import build_generator
from gan.objective import FrozenNetworks, Objective, load_frozen_networks
from gan.samples import draw_sample_grid, make_sample_sheet, save_picture
from gan.validation import Validation, ValidationFaces
from gan.voice2face import Voice2Face, Voice2FaceConfig
from training.checkpoints import Checkpoints
from training.ema import ExponentialMovingAverage
from training.pretrained import read_training_data
from training.run import Run
from training.schedule import crossed, set_learning_rate
from training.stats import Stats

_NUM_TYPICAL_CONDITIONS = 1024


class GanTraining:
    """Networks, optimizers and losses of the training, and its step; the loop is in `train`.

    Args:
        config: The whole configuration.
        run: The run.
        true_features: [M, D] face features of the training split, for centre and scale of the condition.
        image_size: Side of the images in pixels.
        networks: The pretrained networks that some losses need.

    Raises:
        ConfigError: If batch size, processes and image size don't fit each other.
    """

    def __init__(
        self, config: GanConfig, run: Run, true_features: Tensor, image_size: int, networks: FrozenNetworks
    ) -> None:
        if config.batch_size % run.num_processes or config.batch_size < 2 * run.num_processes:
            raise ConfigError(
                f"batch_size {config.batch_size}: a multiple of the {run.num_processes} processes, with at least "
                f"two images each, is needed"
            )
        self.config = config
        self.run = run
        # All processes start from the same weights, whatever random numbers they drew before.
        torch.manual_seed(config.seed)
        generator = build_generator(config.generator, true_features.shape[1], image_size)
        generator.condition.set_statistics(true_features)
        self.noise_size: int = generator.noise_size
        feature_mean = true_features.mean(dim=0).to(run.device)
        self.objective = Objective(config.objective, config.augment, networks, feature_mean, run.autocast)
        self.balancer = Balancer(self.objective.weights, reduce_mean=partial(run.accelerator.reduce, reduction="mean"))
        self.generator = run.accelerator.prepare(_channels_last(generator))
        self.ema = ExponentialMovingAverage(generator, config.ema_halflife_images)
        self.generator_optimizer = self._optimizer(self.generator)
        self.augmentation = AdaptiveAugmentation(config.augment)
        self.discriminator: nn.Module | None = None
        if config.objective.adversarial > 0:
            discriminator = Discriminator(config.discriminator, true_features.shape[1], image_size)
            discriminator.condition.set_statistics(true_features)
            self.discriminator = run.accelerator.prepare(_channels_last(discriminator))
            self.discriminator_optimizer = self._optimizer(self.discriminator)

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            module.parameters(), self.config.learning_rate.start, betas=(0.0, self.config.beta2.start)
        )

    def register(self, checkpoints: Checkpoints) -> None:
        """Register all that a resume needs."""
        checkpoints.register("generator", self.generator)
        checkpoints.register("generator_optimizer", self.generator_optimizer)
        checkpoints.register("ema", self.ema)
        checkpoints.register("balancer", self.balancer)
        if self.discriminator is not None:
            checkpoints.register("discriminator", self.discriminator)
            checkpoints.register("discriminator_optimizer", self.discriminator_optimizer)
            checkpoints.register("augmentation", self.augmentation)

    def step(self, batch: FaceBatch, images_seen: int, stats: Stats) -> None:
        """One update of discriminator and generator, from the same drawings.

        Args:
            batch: This process's share of the batch, on its device.
            images_seen: Images seen before this step.
            stats: Collector of losses and statistics. A norm of gradients that is not finite is noticed when they are
                flushed, so that no step has to wait for the device.
        """
        self.gradients(batch, images_seen, stats)
        rate = self.config.learning_rate.at(images_seen, self.config.total_images)
        if self.discriminator is not None and self.has_adversary(images_seen):
            start, warmup = self.config.objective.adversarial_start, self.config.objective.adversarial_warmup
            joined = min(1.0, (images_seen - start + self.config.batch_size) / max(1, warmup))
            self._update(
                self.discriminator, self.discriminator_optimizer, "discriminator", rate * joined, images_seen, stats
            )
        self._update(self.generator, self.generator_optimizer, "generator", rate, images_seen, stats)
        self.ema.update(self.config.batch_size)

    def gradients(self, batch: FaceBatch, images_seen: int, stats: Stats) -> None:
        """Accumulate the gradients of both networks."""
        adversary = self.discriminator if self.has_adversary(images_seen) else None
        gamma = self.config.objective.gamma.at(images_seen, self.config.total_images)
        measure = (images_seen // self.config.batch_size) % MEASURE_INTERVAL == 0
        for rows in self._micro_batches(batch, *(module for module in (self.generator, adversary) if module)):
            part = batch[rows]
            weight = len(part.images) / len(batch.images)
            with self.run.autocast():
                fake_images = self.generator(part.condition, part.noise)
            # The losses' gradients are weighed at the drawings before they are back-propagated into the generator.
            drawings = fake_images.detach().float().requires_grad_()
            known = {}
            if adversary is not None:
                terms = self.objective.adversarial(adversary, part, drawings, gamma, self.augmentation.probability)
                (torch.stack(list(terms.losses.values())).sum() * weight).backward()
                known["adversarial"] = terms.drawing_gradient(weight)
                for name, value in (terms.losses | terms.statistics).items():
                    stats.add(f"discriminator/{name}", value)
            losses = self.objective.judge(part, drawings, images_seen)
            num_images = len(part.images) * self.run.num_processes
            gradient, shares = self.balancer.gradient(drawings, losses, num_images, known=known, measure=measure)
            fake_images.backward((gradient * weight).to(fake_images.dtype))
            for name, loss in losses.items():
                stats.add(f"generator/{name}", loss.value)
            if shares is not None:
                for name, share in zip(self.balancer.weights, shares, strict=True):
                    stats.add(f"share/{name}", share)

    def has_adversary(self, images_seen: int) -> bool:
        """Whether the discriminator is trained and used after this number of images."""
        return self.discriminator is not None and images_seen >= self.config.objective.adversarial_start

    def set_typical_conditions(self, faces: ConditionedFaces) -> None:
        """Keep some of the training's conditions, for the statistics of batch normalisation, where there is any.

        Args:
            faces: Training data.
        """
        if not _has_batch_norm(self.ema.module):
            return
        people = faces.identities[:_NUM_TYPICAL_CONDITIONS]
        self._typical_conditions = torch.stack([faces[PersonDraw(person, person)]["condition"] for person in people])

    def averaged_generator(self) -> nn.Module:
        """The generator with averaged weights; where it has batch normalisation, with statistics that fit them."""
        module = self.ema.module
        if _has_batch_norm(module):
            conditions = self._typical_conditions.to(self.run.device)
            torch.optim.swa_utils.update_bn(conditions.split(128), module)
        return module

    def _micro_batches(self, batch: FaceBatch, *modules: nn.Module) -> Iterator[slice]:
        size = self.config.micro_batch_size or len(batch.images)
        return self.run.micro_batches(len(batch.images), size, *modules)

    def _update(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        name: str,
        learning_rate: float,
        images_seen: int,
        stats: Stats,
    ) -> None:
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        stats.add(f"gradient_norm/{name}", torch.nn.utils.get_total_norm(gradients))
        set_learning_rate(optimizer, learning_rate)
        for group in optimizer.param_groups:
            group["betas"] = (0.0, self.config.beta2.at(images_seen, self.config.total_images))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def _channels_last(module: nn.Module) -> nn.Module:
    """Set the memory layout in which convolutions are fastest, on CPUs and GPUs."""
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for parameter in module.parameters():
        if parameter.ndim == 4 and parameter.shape[1] == 1:
            # Depthwise kernels are equal in both layouts, but their gradients are contiguous; DDP would copy them
            # and warn.
            parameter.data = parameter.data.contiguous()
    return module


def assemble(encoder: VoiceEncoder, training: GanTraining, image_size: int) -> Voice2Face:
    """Join the voice encoder and the averaged generator into the model that is published."""
    model = Voice2Face(Voice2FaceConfig(encoder.config, training.config.generator, image_size))
    model.encoder.load_state_dict(encoder.state_dict())
    model.generator.load_state_dict(training.averaged_generator().state_dict())
    model.record_training_data((*encoder.training_data, read_training_data(training.config.dataset)))
    return model


def check_same_face_network(encoder: VoiceEncoder, dataset: ClipDataset, config: GanConfig) -> None:
    """Refuse an encoder that was trained for another face network than the data set's.

    Raises:
        ModelError: With both names.
    """
    trained, stored = encoder.config.face_encoder, dataset.info.face_encoder
    if trained.sha256 != stored.sha256:
        raise ModelError(
            f"{config.encoder} was trained for the face network {trained.name} (sha256 {trained.sha256[:12]}), but "
            f"{config.dataset} holds features of {stored.name} ({stored.sha256[:12]}): train an encoder on it first"
        )


def train(config: GanConfig) -> None:
    """Train a generator; the last model is written to `<out>/model`, the best on the validation split to `<out>/best`.

    Raises:
        Wav2FaceError: For mistakes of the user; see the subclasses.
    """
    run = Run(config)
    dataset = ClipDataset(config.dataset, "train")
    encoder = VoiceEncoder.from_pretrained(config.encoder).requires_grad_(False)
    check_same_face_network(encoder, dataset, config)
    info = dataset.info
    networks = load_frozen_networks(config.objective, info.face_encoder, config.face_encoder_path, run.device)
    features, _ = dataset.all_face_features()
    training = GanTraining(config, run, torch.from_numpy(features), info.face_size, networks)
    num_steps = math.ceil(config.total_images / config.batch_size)
    run.log(_summary(training, dataset, num_steps))
    if config.dry_run:
        run.log("dry run: everything fits; nothing was written or trained")
        run.finish()
        return
    checkpoints = Checkpoints(run, config.keep_checkpoints)
    training.register(checkpoints)
    predicted = {}
    if config.condition.source != "face":
        predicted = predict_features(encoder, dataset, config.condition.num_folds, config.condition.feature_ridge, run)
    training_faces = ValidationFaces(dataset)
    training.objective.measure_judged_mean(training_faces.crops)
    progress = Progress(training, encoder.to(run.device), training_faces, ClipDataset(config.dataset, "val"))
    checkpoints.register("progress", progress)
    start_step = (checkpoints.load_latest() or 0) // config.batch_size
    faces = ConditionedFaces(dataset, predicted, config.condition, config.objective, training.noise_size)
    training.set_typical_conditions(faces)
    batches = IdentityBatches(faces.identities, config.batch_size, config.seed, run.rank, run.num_processes, start_step)
    loader = DataLoader(
        faces,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=config.num_workers,
        persistent_workers=config.num_workers > 0,
        pin_memory=run.device.type == "cuda",
    )
    stats = Stats(run, start_step * config.batch_size)
    with run.progress(num_steps * config.batch_size, start_step * config.batch_size) as bar:
        for step, batch in zip(range(start_step, num_steps), loader, strict=False):
            before = step * config.batch_size
            now = before + config.batch_size
            run.seed_step(before)
            training.step(batch.to(run.device), before, stats)
            bar.update(config.batch_size)
            last = step + 1 == num_steps
            saves = last or crossed(config.checkpoint_images, before, now)
            shows = last or crossed(config.sample_images, before, now)
            if saves or shows or crossed(config.log_images, before, now):
                means = stats.flush(now)  # stops the run if anything is not finite, before a checkpoint is written
                bar.set_postfix({"ms/img": f"{means['speed/ms_per_image']:.1f}"})
            if shows:
                progress.show(now, stats)
            if saves:
                checkpoints.save(now)
                model = assemble(encoder, training, info.face_size)
                run.on_main(partial(model.save_pretrained, run.folder / "model"))
    best = run.folder / "best"
    if start_step >= num_steps:  # a finished run that is resumed, with another voice encoder perhaps
        model = assemble(encoder, training, info.face_size)
        run.on_main(partial(model.save_pretrained, run.folder / "model"))
        if best.is_dir():
            model.generator.load_state_dict(Voice2Face.from_pretrained(best).generator.state_dict())
            run.on_main(partial(model.save_pretrained, best))
    where = f", the best on the validation split in {best}" if best.is_dir() else ""
    run.log(f"model in {run.folder / 'model'}{where}")
    run.finish()


class Progress:
    """What a run shows of itself at intervals: a grid of drawings, scores on the validation split, the best model.

    Args:
        training: The training.
        encoder: The voice encoder, on the run's device.
        training_faces: Faces of the training split.
        validation_split: Validation split; where nobody is in it, nothing is measured.
    """

    def __init__(
        self,
        training: GanTraining,
        encoder: VoiceEncoder,
        training_faces: ValidationFaces,
        validation_split: ClipDataset,
    ) -> None:
        self._training, self._encoder = training, encoder
        self._image_size = validation_split.info.face_size
        self._sheet = make_sample_sheet(validation_split, encoder)
        self._last_images = 0
        self.best = math.inf
        faces = ValidationFaces(validation_split)
        self._validation: Validation | None = None
        if len(faces) > 1:
            network, mean = training.objective.face_network, training.objective.feature_mean
            self._validation = Validation(
                faces, training_faces, mean, network, training.noise_size, training.run.device
            )

    def show(self, images_seen: int, stats: Stats) -> None:
        """Write scores and grid, and the model if it is the best so far. Every process calls it.

        Args:
            images_seen: Images seen so far.
            stats: Gets the scores.
        """
        training, run = self._training, self._training.run
        generator = training.averaged_generator()
        if self._sheet is not None:
            run.on_main(partial(self._save_grid, generator, images_seen))
        if self._validation is None:
            return
        discriminator = training.discriminator if training.has_adversary(images_seen - 1) else None
        values = self._validation.measure(
            generator, None if discriminator is None else run.accelerator.unwrap_model(discriminator)
        )
        if "val/overfitting" in values:
            training.augmentation.adapt(values["val/overfitting"], images_seen - self._last_images)
            values["augment/probability"] = training.augmentation.probability
        self._last_images = images_seen
        stats.write(values, images_seen)
        score = values.get("val/frechet_distance", math.inf)
        if score < self.best:
            self.best = score
            model = assemble(self._encoder, training, self._image_size)
            run.on_main(partial(model.save_pretrained, run.folder / "best"))

    def _save_grid(self, generator: nn.Module, images_seen: int) -> None:
        assert self._sheet is not None
        grid = draw_sample_grid(self._sheet, generator, self._training.noise_size)
        save_picture(grid, self._training.run.folder / "samples" / f"{images_seen:09d}.png")
        self._training.run.trackers.log_image("samples", grid, images_seen)

    def state_dict(self) -> dict[str, Any]:
        """Best score so far and images at the last call, for a checkpoint."""
        return {"best": self.best if math.isfinite(self.best) else None, "last_images": self._last_images}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.best = math.inf if state["best"] is None else state["best"]
        self._last_images = state["last_images"]


def _summary(training: GanTraining, dataset: ClipDataset, num_steps: int) -> str:
    def size(module: nn.Module | None) -> str:
        return f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f} M" if module else "none"

    config = training.config
    weights = ", ".join(f"{name} {weight:g}" for name, weight in training.balancer.weights.items())
    return (
        f"{int(dataset.num_faces.sum())} faces and {int(dataset.has_voice.sum())} voices of "
        f"{len(dataset.identities)} people; generator {size(training.generator)}, discriminator "
        f"{size(training.discriminator)} weights; {num_steps} steps of {config.batch_size} images on "
        f"{training.run.num_processes} x {training.run.device.type} in {training.run.precision}; {weights}"
    )
