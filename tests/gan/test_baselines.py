"""Numbers of weights are computed by hand from the layers of the public code, named in each module's docstring."""

import pytest
import torch
from torch import nn

from gan.published.output import DiscriminatorOutput
from gan.published.sf2f import SF2FDiscriminator, SF2FGenerator
from gan.published.wav2pix import SpeakerHead, Wav2PixDiscriminator, Wav2PixGenerator
from gan.published.wen import WenDiscriminator, WenGenerator
from tests.golden import fill_weights, normal, recorded, summary

PEOPLE = 10
METHODS = {
    "wen": (WenGenerator, WenDiscriminator, 64),
    "wav2pix": (Wav2PixGenerator, Wav2PixDiscriminator, 128),
    "sf2f": (SF2FGenerator, SF2FDiscriminator, 512),
}


@pytest.mark.parametrize(
    ("network", "sizes", "count"),
    [
        # 64 -> 1024 at 4 x 4, 512, 256, 128, 64 by 4 x 4 kernels, then 1 x 1 to 3 channels; all with biases.
        (WenGenerator, (64, 64), 1_049_600 + 8_389_120 + 2_097_408 + 524_416 + 131_136 + 195),
        # 1 x 1 to 32, then 64, 128, 256, 512 by 4 x 4 and 4 x 4 to 64 outputs; two heads without bias.
        (WenDiscriminator, (64, 64, PEOPLE), 128 + 32_832 + 131_200 + 524_544 + 2_097_664 + 524_352 + 64 + 64 * PEOPLE),
        # 128 -> 512, 256, 128, 64, 3 by 4 x 4 kernels without bias.
        (Wav2PixGenerator, (128, 64), 1_048_576 + 2_097_152 + 524_288 + 131_072 + 3_072),
        # 128 -> 1024 and one more stage.
        (Wav2PixGenerator, (128, 128), 2_097_152 + 8_388_608 + 2_097_152 + 524_288 + 131_072 + 3_072),
        # 3 -> 64, 128, 256, 512, and 512 + 128 channels to one score.
        (Wav2PixDiscriminator, (128, 64, PEOPLE), 3_072 + 131_072 + 524_288 + 2_097_152 + 10_240),
        (Wav2PixDiscriminator, (128, 128, PEOPLE), 3_072 + 131_072 + 524_288 + 2_097_152 + 8_388_608 + 18_432),
        # 128 -> 200 -> 10 people, batch normalisation after each.
        (SpeakerHead, (128, 10), 25_800 + 400 + 2_010 + 20),
        # 512 -> 2 * 512 * 16 with its normalisation; 512 -> 2 * 256, ... -> 2 * 32 with theirs; 32 -> 32 -> 3.
        (SF2FGenerator, (512, 64), 8_421_376 + 2_360_320 + 590_336 + 147_712 + 36_992 + 9_248 + 99),
        # The branch to 128 px: 32 -> 2 * 16, and 16 -> 16 -> 3 in place of 32 -> 32 -> 3.
        (SF2FGenerator, (512, 128), 8_421_376 + 2_360_320 + 590_336 + 147_712 + 36_992 + 9_280 + 2_320 + 51),
        # 3 -> 64 -> 128 -> 256 (normalised between), twice; a score a patch; 256 -> 1024 -> a score and the people.
        (SF2FDiscriminator, (512, 64, PEOPLE), 2 * 659_264 + 257 + 263_168 + 1_025 + 1_025 * PEOPLE),
        # And -> 512: another normalisation and 256 * 512 * 16 weights with their biases.
        (
            SF2FDiscriminator,
            (512, 128, PEOPLE),
            2 * (659_264 + 512 + 2_097_664) + 513 + 525_312 + 1_025 + 1_025 * PEOPLE,
        ),
    ],
)
def test_networks_have_as_many_weights_as_in_the_public_code(
    network: type[nn.Module], sizes: tuple[int, ...], count: int
) -> None:
    assert sum(parameter.numel() for parameter in network(*sizes).parameters()) == count


@torch.no_grad()
def test_networks_without_spectral_normalisation_compute_what_the_public_code_does() -> None:
    assert summary(fill_weights(WenGenerator(64, 64))(normal(2, 64))) == recorded(
        [3.81352, 1.69237, -0.84701, 1.96481, 2.22445]
    )
    assert summary(fill_weights(SF2FGenerator(512, 64))(normal(2, 512))) == recorded(
        [1.19116, 1.3717, 0.20709, 0.81955, 0.4018]
    )
    assert summary(fill_weights(SpeakerHead(128, 10))(normal(2, 128))) == recorded(
        [0.64608, 0.74016, 1.01964, 0.85476, 0.33992]
    )
    images = normal(2, 3, 64, 64)
    wen = fill_weights(WenDiscriminator(64, 64, PEOPLE))(images)
    assert summary(wen.score) == recorded([1.2621, 1.20678, 1.20678, 1.23444, 0.03911])
    assert summary(wen.identity) == recorded([0.48181, 0.73864, 1.28709, 0.36406, 0.69351])
    sf2f = fill_weights(SF2FDiscriminator(512, 64, PEOPLE))(images)
    assert summary(sf2f.score) == recorded([0.9123, 1.12277, 1.36069, 0.98375, 0.23651])
    assert summary(sf2f.identity) == recorded([1.08634, 1.64971, 0.51303, 0.15595, 1.01275])
    assert summary(sf2f.identity_score) == recorded([1.50681, 1.56905, 1.56905, 1.53793, 0.04401])


@torch.no_grad()
def test_networks_with_spectral_normalisation_compute_what_the_public_code_does() -> None:
    feature, images = normal(2, 128), normal(2, 3, 64, 64)
    generator = fill_weights(Wav2PixGenerator(128, 64), shift=0.3).train()
    discriminator = fill_weights(Wav2PixDiscriminator(128, 64, PEOPLE), shift=0.3).train()
    for _ in range(30):  # steps of the power iteration
        generator(feature), discriminator(images, feature)
    assert summary(generator.eval()(feature)) == recorded([0.0001, 0.0018, 0.00115, 0.13045, 0.08646])
    output = discriminator.eval()(images, feature)
    assert summary(output.score) == recorded([38.46539, 41.52712, 41.52712, 39.99625, 2.16497])
    assert summary(output.maps[0]) == recorded([0.97773, 1.56583, 0.88373, 1.68306, 0.50594])


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("method", METHODS)
def test_drawings_and_scores_have_their_shapes_at_every_size(method: str, size: int) -> None:
    torch.manual_seed(0)
    generator_class, discriminator_class, feature_size = METHODS[method]
    generator = generator_class(feature_size, size)
    feature = torch.nn.functional.normalize(torch.randn(2, feature_size))
    drawings = generator(feature, torch.randn(2, generator.noise_size))
    assert drawings.shape == (2, 3, size, size)
    assert drawings.abs().max() < 4  # about in [-1, 1]
    output: DiscriminatorOutput = discriminator_class(feature_size, size, PEOPLE)(drawings, feature)
    shapes = {"wen": (2,), "wav2pix": (2,), "sf2f": (2, 1, 6, 6)}
    assert output.score.shape == shapes[method]
    if method == "wav2pix":
        assert output.identity is None and [tuple(m.shape) for m in output.maps] == [(2, 8 * size, 4, 4)]
    else:
        assert output.identity is not None and output.identity.shape == (2, PEOPLE)
        assert output.maps == ()
    assert (output.identity_score is not None) == (method == "sf2f")


@pytest.mark.parametrize("method", METHODS)
def test_the_condition_changes_the_drawing_and_a_batch_does_not(method: str) -> None:
    torch.manual_seed(0)
    generator_class, discriminator_class, feature_size = METHODS[method]
    generator, discriminator = generator_class(feature_size, 64), discriminator_class(feature_size, 64, PEOPLE)
    feature = torch.randn(3, feature_size)
    noise = torch.randn(3, generator.noise_size)
    generator(feature, noise)  # batch normalisation has seen something
    generator.eval(), discriminator.eval()
    with torch.no_grad():
        drawings = generator(feature, noise)
        assert (drawings[0] - drawings[1]).abs().mean() > 1e-5  # torch's default weights shrink Wen's
        for row in range(3):
            one = slice(row, row + 1)
            torch.testing.assert_close(generator(feature[one], noise[one]), drawings[one], rtol=1e-3, atol=1e-5)
            alone, together = discriminator(drawings[one], feature[one]), discriminator(drawings, feature)
            torch.testing.assert_close(alone.score, together.score[one], rtol=1e-3, atol=1e-5)


def test_only_the_direction_of_a_condition_counts_for_wens_generator() -> None:
    torch.manual_seed(0)
    generator = WenGenerator(64, 64)
    feature = torch.randn(2, 64)
    torch.testing.assert_close(generator(7 * feature), generator(feature))
    assert not torch.allclose(generator(feature.flip(0)), generator(feature))


def test_wav2pix_has_spectral_normalisation_everywhere_but_in_the_scoring_layer() -> None:
    torch.manual_seed(0)
    generator, discriminator = Wav2PixGenerator(128, 64), Wav2PixDiscriminator(128, 64, PEOPLE)
    layers = [part for net in (generator, discriminator.stages) for part in net.modules() if hasattr(part, "stride")]
    assert len(layers) == 5 + 4
    for layer in layers:
        for _ in range(20):
            weight = layer.weight  # each use of it is a step of the power iteration
        largest = torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2)
        assert largest.item() == pytest.approx(1, abs=0.05)
    assert discriminator.score.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_wav2pix_judges_pairs_and_draws_within_the_range_of_tanh() -> None:
    torch.manual_seed(0)
    generator, discriminator = Wav2PixGenerator(128, 64), Wav2PixDiscriminator(128, 64, PEOPLE).eval()
    images = generator(100 * torch.randn(2, 128))
    assert 0.9 < images.abs().max() <= 1
    feature = torch.randn(2, 128)
    assert not torch.allclose(discriminator(images, feature).score, discriminator(images, feature.flip(0)).score)
    dropped = generator(feature)
    assert not torch.allclose(generator(feature), dropped)
    generator.eval()
    torch.testing.assert_close(generator(feature), generator(feature))


def test_gradients_of_every_head_reach_the_drawing() -> None:
    torch.manual_seed(0)
    for _, discriminator_class, feature_size in METHODS.values():
        discriminator = discriminator_class(feature_size, 64, PEOPLE)
        images = torch.randn(2, 3, 64, 64, requires_grad=True)
        output = discriminator(images, torch.randn(2, feature_size))
        for head in (output.score, output.identity, output.identity_score, *output.maps):
            if head is not None:
                (gradient,) = torch.autograd.grad(head.square().sum(), images, retain_graph=True)
                assert gradient.abs().max() > 0
