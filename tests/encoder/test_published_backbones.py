"""Backbones of published methods. Numbers of weights are computed by hand from the layers of their public code."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from data.errors import ConfigError
from encoder.backbones import build_backbone
from encoder.backbones.inception1d import AttentionFuser
from encoder.spectrograms import FilterBankSpectrogram
from tests.golden import fill_weights, normal, recorded, summary

NAMES = ["conv1d", "inception1d", "segan"]
SMALL = {"width": 8, "hidden_size": 6}


def voices(num: int, seconds: float) -> torch.Tensor:
    """Buzzes of different pitch with some noise."""
    random = np.random.default_rng(0)
    time = np.arange(int(seconds * 16_000)) / 16_000
    buzz = [sum(np.sin(2 * np.pi * k * (100 + 40 * i) * time) / k for k in range(1, 9)) for i in range(num)]
    return torch.from_numpy((0.05 * np.stack(buzz) + 0.002 * random.standard_normal((num, len(time)))).astype("f4"))


@pytest.mark.parametrize(
    ("name", "options", "hidden_size", "count"),
    [
        # 64 -> 256, 384, 576, 864 by kernels of 3 without bias, each with its normalisation; to 64 with bias.
        ("conv1d", {}, 64, 49_152 + 512 + 294_912 + 768 + 663_552 + 1_152 + 1_492_992 + 1_728 + 165_952),
        # 40 -> 256, 384, 576, 864: a quarter of the channels by each of the kernels 2, 3, 5, 7 (17 taps); to 512 by 3.
        ("inception1d", {}, 512, 44_032 + 418_560 + 941_184 + 2_116_800 + 1_327_616),
        # And the fuser: 512 x 512 for queries, 1024 x 512 for the output.
        ("inception1d", {"fuser": True}, 512, 4_848_192 + 262_144 + 524_288),
        # 1 -> 16, 32, 128, 256, 512, 1024 by kernels of 15, their normalisations, and 4096 -> 256 -> 128 -> 128.
        (
            "segan",
            {},
            128,
            256 + 7_712 + 61_568 + 491_776 + 1_966_592 + 7_865_344 + 3_936 + 1_048_832 + 32_896 + 16_512,
        ),
    ],
)
def test_backbones_have_as_many_weights_as_in_the_public_code(
    name: str, options: dict[str, bool], hidden_size: int, count: int
) -> None:
    backbone = build_backbone(name, options)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == count
    assert backbone.eval()(voices(1, 1.0)).shape == (1, hidden_size)


@torch.no_grad()
def test_backbones_compute_what_the_public_code_does() -> None:
    segan = fill_weights(build_backbone("segan", {}))
    assert summary(segan(0.1 * normal(2, 16_000))) == recorded([-0.13114, 0.53428, -0.05169, 0.55477, 1.10365])
    conv1d = fill_weights(build_backbone("conv1d", {}))
    unit = F.normalize(conv1d.convolutions(normal(2, 64, 97)).mean(dim=2))
    assert summary(unit) == recorded([0.0397, 0.21217, -0.00258, 0.08998, 0.08711])
    inception1d = fill_weights(build_backbone("inception1d", {"fuser": True}))
    unit = F.normalize(inception1d.convolutions(normal(2, 40, 126)).mean(dim=2))
    assert summary(unit) == recorded([0.0036, 0.05181, 0.02593, 0.03034, 0.03215])
    segments = F.normalize(inception1d.convolutions(normal(2, 3, 40, 125).flatten(0, 1)).mean(dim=2)).unflatten(
        0, (2, 3)
    )
    fused = F.normalize(inception1d.fuser(segments))
    assert summary(fused) == recorded([-0.00973, 0.01838, 0.03612, -0.00154, 0.04419])


@pytest.mark.parametrize(("name", "more"), [*((name, {}) for name in NAMES), ("inception1d", {"fuser": True})])
def test_a_voice_of_any_length_gives_the_same_in_a_batch_as_alone(name: str, more: dict[str, bool]) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name, SMALL | more)
    backbone(voices(3, 1.0))  # batch normalisation has seen something
    backbone.eval()
    for seconds in (0.5, 1.0, 1.31, 2.6):
        batch = voices(3, seconds)
        with torch.no_grad():
            together = backbone(batch)
            alone = torch.cat([backbone(voice[None]) for voice in batch])
        assert together.shape == (3, 6)
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(together[0], together[1])
        if name != "segan":
            torch.testing.assert_close(together.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("name", NAMES)
def test_silence_gives_finite_outputs_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    waveform = torch.zeros(2, 12_000, requires_grad=True)
    output = build_backbone(name, SMALL)(waveform)
    output.sum().backward()
    assert output.isfinite().all() and waveform.grad is not None and waveform.grad.isfinite().all()


@pytest.mark.parametrize("name", ["conv1d", "segan"])
def test_loudness_has_no_influence_where_the_input_is_normalised(name: str) -> None:
    torch.manual_seed(0)
    backbone, waveform = build_backbone(name, SMALL).eval(), voices(2, 1.0)
    with torch.no_grad():
        torch.testing.assert_close(backbone(waveform), backbone(4 * waveform), rtol=1e-2, atol=1e-2)


def test_one_second_has_four_columns_for_segan_so_that_the_published_network_is_unchanged() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("segan", SMALL).eval()
    for seconds, columns in ((1.0, 4), (3.0, 12), (0.5, 2)):
        assert backbone.convolutions(voices(1, seconds)[:, None]).shape == (1, 8 * 64, columns)
    with torch.no_grad():
        wave = voices(1, 1.0) / voices(1, 1.0).abs().max()
        emphasised = torch.cat([wave[:, :1], wave[:, 1:] - 0.95 * wave[:, :-1]], dim=1)
        published = backbone.linear(backbone.convolutions(emphasised[:, None]).flatten(1))
        torch.testing.assert_close(backbone(voices(1, 1.0)), published)


def test_an_untrained_fuser_keeps_the_vector_of_one_segment_and_lies_between_those_of_two() -> None:
    torch.manual_seed(0)
    plain = build_backbone("inception1d", SMALL).eval()
    fused = build_backbone("inception1d", {**SMALL, "fuser": True, "segment_seconds": 1.25}).eval()
    fused.load_state_dict(plain.state_dict(), strict=False)
    waveform = torch.cat([voices(2, 1.3), voices(2, 1.3).flip(0)], dim=1)  # 1.25 s are 125 frames of 10 ms
    with torch.no_grad():
        for short in (waveform[:, : 125 * 160 + 240], waveform[:, :12_000]):  # 125 frames and 73
            torch.testing.assert_close(fused(short), plain(short), rtol=1e-4, atol=1e-5)
        first, second = (plain(waveform[:, i * 20_000 : i * 20_000 + 20_240]) for i in range(2))
        both = fused(waveform)
    apart = (first * second).sum(dim=1)
    assert (((both * first).sum(dim=1) >= apart) & ((both * second).sum(dim=1) >= apart)).all()
    assert not torch.allclose(both, first, atol=1e-3)


def test_a_trained_fuser_weighs_segments_by_attention() -> None:
    torch.manual_seed(0)
    fuser = AttentionFuser(4)
    embeddings = F.normalize(torch.randn(3, 5, 4), dim=2)
    weights = (fuser.query(embeddings) @ embeddings.mT).softmax(dim=2)
    torch.testing.assert_close(fuser(embeddings), (weights @ embeddings).mean(dim=1))
    fuser(embeddings).square().sum().backward()
    assert fuser.query.weight.grad is not None and fuser.query.weight.grad.abs().max() > 0


def test_a_width_without_four_equal_branches_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 4"):
        build_backbone("inception1d", {"width": 10})


def test_a_filter_bank_of_a_known_tone_has_the_energy_that_its_definition_gives() -> None:
    spectrogram = FilterBankSpectrogram(40, 0.0, 8000.0, 512, torch.ones(400), area_normalised=False)
    time = torch.arange(16_000) / 16_000
    energies = spectrogram(0.1 * torch.cos(2 * torch.pi * 1000 * time)[None])[0]
    assert energies.shape == ((16_000 - 400) // 160 + 1, 40)
    # The whole energy of a frame by Parseval, (1/512) sum |X|^2 over half the spectrum; the triangles sum to 1.
    gain = abs(1 - 0.97 * np.exp(-2j * np.pi * 1000 / 16_000))  # of the pre-emphasis
    expected = (0.1 * 32_768 * gain) ** 2 / 2 * 400 / 2
    assert energies[10].exp().sum().item() == pytest.approx(expected, rel=0.02)
    assert spectrogram(torch.zeros(1, 8_000)).abs().max() == 0
