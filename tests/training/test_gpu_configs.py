"""Every recipe in configs/ fits its training; those for GPUs give networks that can be built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from encoder.faces.train import FaceTrainingConfig
from encoder.train import EncoderTrainingConfig
from gan.baselines.config import BaselineConfig
from gan.config import GanConfig
from gan.discriminator import Discriminator
from gan.generator import build_generator
from training.config import parse_config
from training.run import RunConfig

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "accelerate")
TRAINING_OF = {
    **dict.fromkeys(("encoder", "encoder_few_people", "voice_encoder"), EncoderTrainingConfig),
    **dict.fromkeys(("speech2face-encoder", "wen-speaker"), EncoderTrainingConfig),
    **dict.fromkeys(("face_encoder", "judge"), FaceTrainingConfig),
    **dict.fromkeys(("wen", "wav2pix", "sf2f"), BaselineConfig),
    **dict.fromkeys(("gan", "generator", "transposed_conv", "64", "128", "256"), GanConfig),
}
FEATURE_SIZE = 512
SIZES = (64, 128, 256)


def load(path: Path) -> RunConfig:
    return parse_config(TRAINING_OF[path.stem], ["--config", str(path)], "")


def load_gpu(size: int) -> GanConfig:
    config = load(CONFIGS / "gpu" / f"{size}.yaml")
    assert isinstance(config, GanConfig)
    return config


def test_every_recipe_has_known_keys_and_a_run_folder_of_its_own() -> None:
    folders = [load(path).out for path in RECIPES]
    assert len(set(folders)) == len(RECIPES) >= 12


@pytest.mark.parametrize("size", SIZES)
def test_networks_of_a_gpu_recipe_draw_and_score_images_of_its_size(size: int) -> None:
    config = load_gpu(size)
    with torch.device("meta"):
        generator = build_generator(config.generator, FEATURE_SIZE, size)
        discriminator = Discriminator(config.discriminator, FEATURE_SIZE, size)
        images = generator(torch.zeros(2, FEATURE_SIZE), torch.zeros(2, config.generator.noise_size))
        scores = discriminator(images, torch.zeros(2, 1, FEATURE_SIZE))
    assert images.shape == (2, 3, size, size)
    assert scores.shape == (2, 2)


@pytest.mark.parametrize("size", SIZES)
def test_groups_of_a_gpu_recipe_have_16_channels_at_each_resolution(size: int) -> None:
    config = load_gpu(size)
    for network in (config.generator, config.discriminator):
        assert isinstance(network.groups, tuple)
        assert [2 * width / groups for width, groups in zip(network.widths, network.groups, strict=True)] == [
            16 for _ in network.widths
        ]
    assert config.batch_size % (config.micro_batch_size or 1) == 0


def test_the_penalty_of_gpu_recipes_grows_with_the_resolution_and_falls_to_a_tenth() -> None:
    gammas = [load_gpu(size).objective.gamma for size in SIZES]
    assert [gamma.start for gamma in gammas] == sorted(gamma.start for gamma in gammas)
    for gamma in gammas:
        assert gamma.at(20_000_000, 20_000_000) == pytest.approx(gamma.start / 10)
