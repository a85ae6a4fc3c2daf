"""The training of the published methods: each step updates the discriminator, then the generator and voice encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data.errors import ConfigError
from data.media.waveform import SAMPLE_RATE
from data.store.dataset import ClipDataset
from data.store.sampling import IdentityBatches
from encoder.pairs import compute_hidden
from encoder.voice_encoder import VoiceEncoder
from gan.baselines.config import AdamConfig, BaselineConfig
from gan.baselines.data import VoicedBatch, VoicedFaces, collate
from gan.generator import build_generator
from gan.identity import FaceNetwork, load_face_network
from gan.losses import discriminator_loss, generator_loss
from gan.published.discriminators import build_discriminator
from gan.published.output import DiscriminatorOutput
from gan.published.wav2pix import SpeakerHead
from gan.samples import draw_sample_grid, make_sample_sheet, save_picture
from gan.voice2face import Voice2Face, Voice2FaceConfig
from training.checkpoints import Checkpoints
from training.pretrained import read_training_data
from training.run import Run
from training.schedule import crossed
from training.stats import Stats

_NUM_CROPS = 8
"""Random crops of each recording whose outputs are kept of a frozen backbone."""


class BaselineTraining:
    """Networks, optimizers and losses of the training, and its step; the loop is in `train`.

    Args:
        config: The whole configuration.
        run: The run.
        encoder: The voice encoder, trained in place if the configuration says so.
        num_people: Number of training people.
        image_size: Side of the images in pixels.
        face_network: T, for the loss by its inner maps; None without it.
    """

    def __init__(
        self,
        config: BaselineConfig,
        run: Run,
        encoder: VoiceEncoder,
        num_people: int,
        image_size: int,
        face_network: FaceNetwork | None,
    ) -> None:
        self.config = config
        self.run = run
        self.face_network = face_network
        torch.manual_seed(config.seed)  # all processes start from the same weights
        size, losses = encoder.condition_size, config.losses
        networks: dict[str, nn.Module] = {"generator": build_generator(config.generator, size, image_size)}
        self.noise_size: int = networks["generator"].noise_size  # type: ignore[assignment]
        optimizers = {"generator": config.generator_adam}
        if config.train_encoder:
            if config.fuser_images:
                encoder.backbone.get_submodule("fuser").requires_grad_(False)
            networks["encoder"] = encoder.backbone
            optimizers["encoder"] = config.encoder_adam
        if losses.speaker > 0:
            networks["speaker_head"] = SpeakerHead(size, num_people)
            optimizers["speaker_head"] = config.encoder_adam
        if losses.adversarial > 0:
            networks["discriminator"] = build_discriminator(config.discriminator, size, image_size, num_people)
            optimizers["discriminator"] = config.discriminator_adam
        self.networks = {name: run.accelerator.prepare(network) for name, network in networks.items()}
        self.optimizers = {name: _adam(self.networks[name], adam) for name, adam in optimizers.items()}
        self.encoder = encoder
        self.trains_fuser_alone = False

    def register(self, checkpoints: Checkpoints) -> None:
        """Register all that a resume needs."""
        for name, network in self.networks.items():
            checkpoints.register(name, network)
            checkpoints.register(f"{name}_optimizer", self.optimizers[name])

    def train_fuser_alone(self) -> None:
        """From now on generator and backbone stay as they are, but for the backbone's fuser."""
        self.trains_fuser_alone = True
        self.networks["generator"] = self.network("generator").requires_grad_(False).eval()
        backbone = self.network("encoder").requires_grad_(False)
        self.encoder.eval()
        backbone.get_submodule("fuser").requires_grad_(True)
        self.networks["encoder"] = self.run.accelerator.prepare(backbone)  # DDP waits for the gradients of its start

    def step(self, batch: VoicedBatch, stats: Stats) -> None:
        """One update of the discriminator, then one of the generator and the voice encoder.

        Args:
            batch: This process's share of the batch, on its device.
            stats: Collector of losses.
        """
        condition = self._condition(batch)
        with self.run.autocast():
            drawings = self.networks["generator"](condition, batch.noise).float()
        if "discriminator" in self.networks:
            losses = self._discriminator_losses(batch, condition.detach(), drawings.detach())
            self._update(losses, ["discriminator"], "discriminator", stats)
        losses = self._generator_losses(batch, condition, drawings)
        names = ["encoder"] if self.trains_fuser_alone else ["generator", "encoder", "speaker_head"]
        self._update(losses, [name for name in names if name in self.networks], "generator", stats)

    def _condition(self, batch: VoicedBatch) -> Tensor:
        """[N, C] float32."""
        condition = batch.voices
        if "encoder" in self.networks:
            with self.run.autocast():
                condition = self.networks["encoder"](batch.voices).float()
        if self.config.condition_noise:
            length = condition.norm(dim=1, keepdim=True)
            noisy = condition + self.config.condition_noise * batch.condition_noise
            condition = F.normalize(noisy, dim=1) * length
        return condition

    def _discriminator_losses(self, batch: VoicedBatch, condition: Tensor, drawings: Tensor) -> dict[str, Tensor]:
        losses = self.config.losses
        discriminator = self.networks["discriminator"]
        with self.run.autocast():
            # Real images and drawings are batches of their own, for batch normalisation.
            real = discriminator(batch.images, condition)
            fakes = [(1.0, discriminator(drawings, condition))]
            if losses.wrong_face > 0:
                # People of a batch differ: the next one's voice is another person's.
                fakes.append((losses.wrong_face, discriminator(batch.images, condition.roll(1, dims=0))))
        kind, label = losses.adversarial_loss, losses.real_label
        scores = [(weight, output.score.float()) for weight, output in fakes]
        terms = {"adversarial": discriminator_loss(kind, real.score.float(), scores, label)}
        if losses.identity <= 0 and real.identity is not None:
            # DDP waits for the gradients of all weights, of an unused classifier too.
            unused = [real.identity.sum()] + ([] if real.identity_score is None else [real.identity_score.sum()])
            terms["adversarial"] = terms["adversarial"] + 0 * torch.stack(unused).sum()
        if losses.identity > 0:
            terms["identity"] = F.cross_entropy(real.identity.float(), batch.people)
            if real.identity_score is not None:
                scores = [(weight, output.identity_score.float()) for weight, output in fakes]
                terms["identity_adversarial"] = discriminator_loss(kind, real.identity_score.float(), scores, label)
        return terms

    def _generator_losses(self, batch: VoicedBatch, condition: Tensor, drawings: Tensor) -> dict[str, Tensor]:
        losses = self.config.losses
        terms: dict[str, Tensor] = {}
        if "discriminator" in self.networks:
            fake, real = self._seen_by_discriminator(batch, condition, drawings)
            kind, label = losses.adversarial_loss, losses.real_label
            real_score = None if real is None else real.score.float()
            terms["adversarial"] = losses.adversarial * generator_loss(kind, fake.score.float(), real_score, label)
            if losses.identity > 0:
                assert fake.identity is not None
                terms["identity"] = losses.identity * F.cross_entropy(fake.identity.float(), batch.speakers)
                if fake.identity_score is not None:
                    real_score = None if real is None or real.identity_score is None else real.identity_score.float()
                    loss = generator_loss(kind, fake.identity_score.float(), real_score, label)
                    terms["identity_adversarial"] = losses.identity * loss
            if losses.feature_matching > 0:
                assert real is not None
                pairs = zip(fake.maps, real.maps, strict=True)
                distances = [F.mse_loss(a.float().mean(0), b.float().mean(0)) for a, b in pairs]
                terms["feature_matching"] = losses.feature_matching * torch.stack(distances).sum()
        if losses.pixel > 0:
            terms["pixel"] = losses.pixel * F.l1_loss(drawings, batch.images)
        if self.face_network is not None:
            with self.run.autocast():
                fake_maps, _ = self.face_network.maps_and_features(drawings.clamp(-1, 1))
                with torch.no_grad():
                    real_maps, _ = self.face_network.maps_and_features(batch.images)
            distances = [F.l1_loss(a.float(), b.float()) for a, b in zip(fake_maps, real_maps, strict=True)]
            terms["face_maps"] = losses.face_maps * torch.stack(distances).mean()
        if losses.speaker > 0:
            logits = self.networks["speaker_head"](condition)
            terms["speaker"] = losses.speaker * F.cross_entropy(logits, batch.speakers)
        return terms

    def _seen_by_discriminator(
        self, batch: VoicedBatch, condition: Tensor, drawings: Tensor
    ) -> tuple[DiscriminatorOutput, DiscriminatorOutput | None]:
        """Outputs for drawings, and for real images if a loss needs them; the weights get no gradient."""
        losses = self.config.losses
        needs_real = losses.adversarial_loss == "relativistic" or losses.feature_matching > 0
        discriminator = self.network("discriminator").requires_grad_(False)
        try:
            with self.run.autocast():
                fake = discriminator(drawings, condition)
                with torch.no_grad():
                    real = discriminator(batch.images, condition) if needs_real else None
        finally:
            discriminator.requires_grad_(True)
        return fake, real

    def network(self, name: str) -> nn.Module:
        """A network as it was before it was wrapped for several processes."""
        module: nn.Module = self.run.accelerator.unwrap_model(self.networks[name])
        return module

    def _update(self, losses: Mapping[str, Tensor], names: list[str], side: str, stats: Stats) -> None:
        torch.stack(list(losses.values())).sum().backward()
        for name, loss in losses.items():
            stats.add(f"{side}/{name}", loss)
        for name in names:
            self.optimizers[name].step()
            self.optimizers[name].zero_grad(set_to_none=True)


def _adam(module: nn.Module, config: AdamConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(module.parameters(), config.learning_rate, betas=(config.beta1, config.beta2))


def make_encoder(config: BaselineConfig, dataset: ClipDataset) -> VoiceEncoder:
    """The voice encoder that a baseline's training starts from.

    Raises:
        ConfigError: If the encoder that is named has a backbone of another shape.
        ModelError: If weights are missing.
    """
    design = replace(config.voice, condition="voice_embedding")
    encoder = VoiceEncoder.create(design.with_face_encoder(dataset.info.face_encoder))
    if config.encoder is None:
        return encoder
    trained = VoiceEncoder.from_pretrained(config.encoder)
    own = encoder.config  # with what the design leaves open, such as the hash of an ONNX file
    if (trained.config.backbone, trained.config.backbone_options) != (own.backbone, own.backbone_options):
        raise ConfigError(
            f"encoder {config.encoder}: its backbone is {trained.config.backbone} {trained.config.backbone_options}, "
            f"but voice says {own.backbone} {own.backbone_options}"
        )
    encoder.backbone.load_state_dict(trained.backbone.state_dict())
    return encoder


def train(config: BaselineConfig) -> None:
    """Train a published method; the model is written to `<out>/model`.

    Raises:
        Wav2FaceError: For mistakes of the user; see the subclasses.
    """
    run = Run(config)
    if config.batch_size % run.num_processes or config.batch_size < 2 * run.num_processes:
        raise ConfigError(
            f"batch_size {config.batch_size}: a multiple of the {run.num_processes} processes, with at least two "
            f"images each, is needed"
        )
    dataset = ClipDataset(config.dataset, "train")
    torch.manual_seed(config.seed)
    encoder = make_encoder(config, dataset).to(run.device)
    face_network = None
    if config.losses.face_maps > 0:
        face_network = load_face_network(dataset.info.face_encoder, config.face_encoder_path).to(run.device)
    hidden = None
    window = encoder.config.window_samples
    if not config.train_encoder and not config.dry_run:
        hidden = compute_hidden(encoder, dataset, _NUM_CROPS, window / SAMPLE_RATE, run)
    faces = VoicedFaces(dataset, window, encoder.condition_size, config.paired, hidden)
    training = BaselineTraining(config, run, encoder, len(faces.people), dataset.info.face_size, face_network)
    faces.noise_size = training.noise_size
    num_steps = math.ceil(config.total_images / config.batch_size)
    sizes = ", ".join(f"{name} {_millions(network)}" for name, network in training.networks.items())
    run.log(
        f"{len(faces.people)} people; weights: {sizes}; {num_steps} steps of {config.batch_size} images on "
        f"{run.num_processes} x {run.device.type} in {run.precision}"
    )
    if config.dry_run:
        run.log("dry run: everything fits; nothing was written or trained")
        run.finish()
        return
    checkpoints = Checkpoints(run, config.keep_checkpoints)
    training.register(checkpoints)
    start_step = (checkpoints.load_latest() or 0) // config.batch_size
    fuser_step = num_steps - math.ceil(config.fuser_images / config.batch_size)
    stats = Stats(run, start_step * config.batch_size)
    validation = ClipDataset(config.dataset, "val")
    with run.progress(num_steps * config.batch_size, start_step * config.batch_size) as bar:
        parts = [(start_step, fuser_step, False), (max(start_step, fuser_step), num_steps, config.fuser_images > 0)]
        for first, end, is_fusing in parts:
            if is_fusing:  # also where a finished run is resumed: the model is then written anew
                training.train_fuser_alone()
                faces.window_samples = round(config.fuser_seconds * SAMPLE_RATE)
            if first >= end:
                continue
            for step, batch in zip(range(first, end), _loader(config, run, faces, first), strict=False):
                before = step * config.batch_size
                now = before + config.batch_size
                run.seed_step(before)
                training.step(batch.to(run.device), stats)
                bar.update(config.batch_size)
                last = step + 1 == num_steps
                saves = last or crossed(config.checkpoint_images, before, now)
                shows = last or crossed(config.sample_images, before, now)
                if saves or shows or crossed(config.log_images, before, now):
                    means = stats.flush(now)  # stops the run if anything is not finite
                    bar.set_postfix({"ms/img": f"{means['speed/ms_per_image']:.1f}"})
                if shows:
                    run.on_main(partial(save_grid, training, validation, now))
                if saves:
                    checkpoints.save(now)
                    model = assemble(training, dataset.info.face_size)
                    run.on_main(partial(model.save_pretrained, run.folder / "model"))
    if start_step >= num_steps:
        model = assemble(training, dataset.info.face_size)
        run.on_main(partial(model.save_pretrained, run.folder / "model"))
    run.log(f"model in {run.folder / 'model'}")
    run.finish()


def _loader(config: BaselineConfig, run: Run, faces: VoicedFaces, start_step: int) -> DataLoader[VoicedBatch]:
    batches = IdentityBatches(faces.people, config.batch_size, config.seed, run.rank, run.num_processes, start_step)
    return DataLoader(
        faces,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=config.num_workers,
        pin_memory=run.device.type == "cuda",
    )


def save_grid(training: BaselineTraining, validation: ClipDataset, images_seen: int) -> None:
    """Write a grid of drawings of validation people; nothing where nobody is in the split."""
    sheet = make_sample_sheet(validation, training.encoder)
    if sheet is None:
        return
    generator = training.network("generator")
    was_training = generator.training
    grid = draw_sample_grid(sheet, generator.eval(), training.noise_size)
    generator.train(was_training)
    save_picture(grid, training.run.folder / "samples" / f"{images_seen:09d}.png")
    training.run.trackers.log_image("samples", grid, images_seen)


def assemble(training: BaselineTraining, image_size: int) -> Voice2Face:
    """Join voice encoder and generator into the model that is published."""
    config = training.encoder.config
    if training.trains_fuser_alone:
        # The windows of recordings have to hold several segments, or there would be nothing to fuse.
        config = replace(config, window_seconds=training.config.fuser_seconds)
    model = Voice2Face(Voice2FaceConfig(config, training.config.generator, image_size))
    model.encoder.load_state_dict(training.encoder.state_dict())
    model.generator.load_state_dict(training.network("generator").state_dict())
    model.record_training_data((*training.encoder.training_data, read_training_data(training.config.dataset)))
    return model


def _millions(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.2f} M"
