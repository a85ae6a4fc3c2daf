from __future__ import annotations

from typing import Literal

import pytest
import torch

from data.errors import ConfigError
from gan.blocks import ResidualBlock
from gan.discriminator import Discriminator, DiscriminatorConfig
from gan.generator import GeneratorConfig, build_generator

WIDTHS = {64: (16, 16, 8, 8, 4), 128: (16, 16, 8, 8, 4, 4), 256: (16, 16, 8, 8, 4, 4, 4)}


@pytest.mark.parametrize("groups", [0, 4])
@pytest.mark.parametrize("size", [64, 128, 256])
def test_networks_fit_every_image_size_dense_and_grouped(size: int, groups: int) -> None:
    generator = build_generator(GeneratorConfig(noise_size=6, widths=WIDTHS[size], groups=groups), 10, size)
    discriminator = Discriminator(DiscriminatorConfig(widths=WIDTHS[size], groups=groups), 10, size)
    images = generator(torch.randn(2, 10), torch.randn(2, 6))
    assert images.shape == (2, 3, size, size)
    assert discriminator(images, torch.randn(2, 3, 10)).shape == (2, 4)  # the last one without a condition


@pytest.mark.parametrize("conditioning", ["input", "every_resolution"])
def test_voice_and_noise_both_change_the_drawing(conditioning: Literal["input", "every_resolution"]) -> None:
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(widths=WIDTHS[64], conditioning=conditioning), 10, 64)
    feature, noise = torch.randn(2, 10), torch.randn(2, 64)
    drawing = generator(feature, noise)
    assert (generator(feature.flip(0), noise) - drawing).abs().mean() > 0.01
    assert (generator(feature, noise.flip(0)) - drawing).abs().mean() > 0.01


def test_only_the_direction_of_a_feature_counts_in_models_of_the_first_version() -> None:
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(widths=WIDTHS[64]), 10, 64)
    feature, noise = torch.randn(2, 10), torch.randn(2, 64)
    torch.testing.assert_close(generator(7 * feature, noise), generator(feature, noise))


def test_conditions_are_brought_to_mean_zero_and_variance_one_whatever_the_face_network() -> None:
    generator = build_generator(GeneratorConfig(widths=WIDTHS[64]), 10, 64)
    features = torch.nn.functional.normalize(torch.randn(500, 10) + 1, dim=1)
    condition = generator.condition
    condition.set_statistics(features)
    standard = (features - condition.mean) * condition.scale
    assert standard.mean(0).abs().max() < 1e-5
    assert standard.square().mean().item() == pytest.approx(1, rel=1e-3)


def test_the_plain_decoder_draws_one_picture_a_feature_in_range() -> None:
    decoder = build_generator(GeneratorConfig(architecture="transposed_conv", widths=WIDTHS[64]), 10, 64).eval()
    feature = torch.randn(2, 10)
    images = decoder(feature, torch.randn(2, 0))
    assert images.shape == (2, 3, 64, 64) and images.abs().max() <= 1
    torch.testing.assert_close(decoder(feature, None), images)


def test_several_conditions_at_once_score_as_one_by_one() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(DiscriminatorConfig(widths=WIDTHS[64]), 10, 64)
    images, conditions = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 10)
    scores = discriminator(images, conditions)
    for k in range(3):
        torch.testing.assert_close(discriminator(images, conditions[:, k : k + 1])[:, 0], scores[:, k])
    assert not torch.allclose(scores[:, 0], scores[:, 1])


def test_widths_that_do_not_fit_the_image_are_refused_with_the_number_needed() -> None:
    with pytest.raises(ConfigError, match=r"generator\.widths.*6 positive widths are needed for 128-px"):
        build_generator(GeneratorConfig(widths=WIDTHS[64]), 10, 128)
    with pytest.raises(ConfigError, match=r"discriminator\.widths"):
        Discriminator(DiscriminatorConfig(widths=(4, 4)), 10, 64)
    with pytest.raises(ConfigError, match="image size 100"):
        build_generator(GeneratorConfig(widths=WIDTHS[64]), 10, 100)


def test_a_feature_is_centred_and_not_normalised_where_it_enters_at_every_resolution() -> None:
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(widths=WIDTHS[64], conditioning="every_resolution"), 10, 64)
    generator.condition.set_statistics(torch.randn(100, 10) + 3)
    feature, noise = torch.randn(2, 10) + 3, torch.randn(2, 64)
    assert (generator(2 * feature, noise) - generator(feature, noise)).abs().mean() > 0.01
    # What is embedded is linear in the distance from the mean face.
    embed, mean = generator.condition, generator.condition.mean
    centre = embed(mean[None])
    torch.testing.assert_close(
        embed(mean + 2 * (feature - mean)) - centre, 2 * (embed(feature) - centre), rtol=1e-4, atol=1e-4
    )


def test_the_condition_enters_wherever_the_resolution_doubles() -> None:
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(widths=WIDTHS[64], conditioning="every_resolution"), 10, 64)
    feature, noise = torch.randn(2, 10), torch.randn(2, 64)
    generator.scale.weight.data.zero_()
    generator.scale.bias.data.fill_(1)
    assert (generator(feature.flip(0), noise) - generator(feature, noise)).abs().mean() > 0.01


def test_blocks_may_have_a_pointwise_convolution_and_other_groups_at_each_resolution() -> None:
    shape = {"widths": WIDTHS[64], "kernels": (3, 1), "groups": (0, 0, 2, 2, 4)}
    generator = build_generator(GeneratorConfig(**shape), 10, 64)
    discriminator = Discriminator(DiscriminatorConfig(**shape), 10, 64)
    assert discriminator(generator(torch.randn(2, 10), torch.randn(2, 64)), torch.randn(2, 1, 10)).shape == (2, 2)
    for network, order in ((generator, 1), (discriminator, -1)):
        blocks = [part for part in network.modules() if isinstance(part, ResidualBlock)][::order]
        assert [layer.kernel_size[0] for layer in blocks[0].layers] == [3, 1]
        assert [block.layers[1].groups for block in blocks] == [1, 1, 2, 2, 4]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"groups": (0, 0)}, r"groups \(0, 0\)"),
        ({"groups": 5}, "divisor of twice the width"),
        ({"kernels": (3,)}, "two or more odd numbers"),
        ({"kernels": (3, 2)}, "two or more odd numbers"),
    ],
)
def test_blocks_that_can_not_be_built_are_refused(shape: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_generator(GeneratorConfig(widths=WIDTHS[64], **shape), 10, 64)
    with pytest.raises(ConfigError, match=message):
        Discriminator(DiscriminatorConfig(widths=WIDTHS[64], **shape), 10, 64)
