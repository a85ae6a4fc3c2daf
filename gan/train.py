"""The adversarial training: each step updates the discriminator, then the generator."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.errors import ConfigError, ModelError
from data.store.dataset import ClipDataset
from data.store.sampling import IdentityBatches
from encoder.voice_encoder import VoiceEncoder
from gan.balancer import Balancer
from gan.condition import ConditionedFaces, FaceBatch, collate, predict_features
from gan.config import GanConfig
from gan.discriminator import Discriminator
from gan.generator import build_generator
from gan.objective import FrozenNetworks, Objective, load_frozen_networks
from gan.samples import SampleSheet, draw_sample_grid, make_sample_sheet, save_picture
from gan.voice2face import Voice2Face, Voice2FaceConfig
from training.checkpoints import Checkpoints
from training.ema import ExponentialMovingAverage
from training.run import Run
from training.schedule import crossed, set_learning_rate
from training.stats import Stats, check_finite


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
        self.objective = Objective(config.objective, config.augment, networks, run.autocast)
        self.balancer = Balancer(self.objective.weights, reduce_mean=partial(run.accelerator.reduce, reduction="mean"))
        self.generator = run.accelerator.prepare(_channels_last(generator))
        self.ema = ExponentialMovingAverage(generator, config.ema_halflife_images)
        self.generator_optimizer = self._optimizer(self.generator)
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

    def step(self, batch: FaceBatch, images_seen: int, stats: Stats) -> None:
        """One update of the discriminator, then one of the generator.

        Args:
            batch: This process's share of the batch, on its device.
            images_seen: Images seen before this step.
            stats: Collector of losses and statistics.

        Raises:
            ModelError: If a gradient is not finite; the weights have not been updated with it.
        """
        if self._has_adversary(images_seen):
            self.discriminator_gradients(batch, images_seen, stats)
            assert self.discriminator is not None
            self._update(self.discriminator, self.discriminator_optimizer, "discriminator", images_seen, stats)
        self.generator_gradients(batch, images_seen, stats)
        self._update(self.generator, self.generator_optimizer, "generator", images_seen, stats)
        self.ema.update(self.config.batch_size)

    def discriminator_gradients(self, batch: FaceBatch, images_seen: int, stats: Stats) -> None:
        """Accumulate the gradients of the discriminator's phase."""
        assert self.discriminator is not None
        interval = self.config.objective.penalty_interval
        has_penalty = (images_seen // self.config.batch_size) % interval == 0
        penalty_weight = (
            interval * self.config.objective.gamma.at(images_seen, self.config.total_images) if has_penalty else 0.0
        )
        plain_generator = self.run.accelerator.unwrap_model(self.generator)
        for rows in self._micro_batches(batch, self.discriminator):
            part = batch[rows]
            with torch.no_grad(), self.run.autocast():
                fake_images = plain_generator(part.condition, part.noise[:, 0])
            terms = self.objective.discriminator_terms(self.discriminator, part, fake_images, penalty_weight)
            for name, value in (terms.losses | terms.statistics).items():
                # The penalty's weight differs from step to step: its unweighted value is logged.
                stats.add(f"discriminator/{name}", value / penalty_weight if name == "penalty" else value)
            loss = torch.stack(list(terms.losses.values())).sum()
            (loss * (len(part.images) / len(batch.images))).backward()

    def generator_gradients(self, batch: FaceBatch, images_seen: int, stats: Stats) -> None:
        """Accumulate the gradients of the generator's phase."""
        discriminator = self.discriminator if self._has_adversary(images_seen) else None
        plain_discriminator = None if discriminator is None else self.run.accelerator.unwrap_model(discriminator)
        for rows in self._micro_batches(batch, self.generator):
            part = batch[rows]
            with self.run.autocast():
                fake_images = self.generator(part.condition, part.noise[:, 1])
            # The losses' gradients are weighed at the drawing before they are back-propagated into the generator.
            drawing = fake_images.detach().float().requires_grad_()
            losses = self.objective.generator_losses(plain_discriminator, part, drawing)
            num_images = len(part.images) * self.run.num_processes
            gradient, shares = self.balancer.gradient(losses, drawing, num_images)
            fake_images.backward((gradient * (len(part.images) / len(batch.images))).to(fake_images.dtype))
            for name, share in zip(self.balancer.weights, shares, strict=True):
                if name in losses:
                    stats.add(f"generator/{name}", losses[name])
                stats.add(f"share/{name}", share)

    def _has_adversary(self, images_seen: int) -> bool:
        return self.discriminator is not None and images_seen >= self.config.objective.adversarial_start

    def _micro_batches(self, batch: FaceBatch, module: nn.Module) -> Iterator[slice]:
        size = self.config.micro_batch_size or len(batch.images)
        return self.run.micro_batches(len(batch.images), size, module)

    def _update(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, name: str, images_seen: int, stats: Stats
    ) -> None:
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        check_finite({f"{name}'s gradient": norm}, images_seen)
        stats.add(f"gradient_norm/{name}", norm)
        set_learning_rate(optimizer, self.config.learning_rate.at(images_seen, self.config.total_images))
        for group in optimizer.param_groups:
            group["betas"] = (0.0, self.config.beta2.at(images_seen, self.config.total_images))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


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
    model.generator.load_state_dict(training.ema.module.state_dict())
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
    """Train a generator; the model is written to `<out>/model`.

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
    start_step = (checkpoints.load_latest() or 0) // config.batch_size
    # With true features as the only conditions no voice is needed.
    predicted = predict_features(encoder, dataset, config.condition, run) if config.condition.source != "face" else {}
    sheet = _sample_sheet(config, encoder.to(run.device))
    faces = ConditionedFaces(dataset, predicted, config.condition, training.noise_size)
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
            if last or crossed(config.log_images, before, now):
                means = stats.flush(now)
                bar.set_postfix({"ms/img": f"{means['speed/ms_per_image']:.1f}"})
            if sheet and (last or crossed(config.sample_images, before, now)):
                run.on_main(partial(_save_samples, training, sheet, now))
            if last or crossed(config.checkpoint_images, before, now):
                checkpoints.save(now)
                model = assemble(encoder, training, info.face_size)
                run.on_main(partial(model.save_pretrained, run.folder / "model"))
    run.log(f"model in {run.folder / 'model'}")
    run.finish()


def _sample_sheet(config: GanConfig, encoder: VoiceEncoder) -> SampleSheet | None:
    """Sample sheet of people of the validation split, on whom the generator is not trained."""
    dataset = ClipDataset(config.dataset, "val")
    return make_sample_sheet(dataset, lambda clips: encoder.encode([dataset.waveform(clip) for clip in clips]).feature)


def _save_samples(training: GanTraining, sheet: SampleSheet, images_seen: int) -> None:
    grid = draw_sample_grid(sheet, training.ema.module, training.noise_size)
    save_picture(grid, training.run.folder / "samples" / f"{images_seen:09d}.png")
    training.run.trackers.log_image("samples", grid, images_seen)


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
