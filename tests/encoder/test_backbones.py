import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from data.errors import ConfigError, ModelError
from encoder.backbones import UNTRAINED, build_backbone, complete_backbone
from encoder.backbones.ge2e import GE2E, partial_starts
from encoder.backbones.speech2face import Speech2Face
from encoder.backbones.tdnn import mask_random_range
from encoder.spectrograms import LogMelSpectrogram, MelPowerSpectrogram, PowerLawSpectrogram
from tests.networks import write_wavlm

# Recorded from the package Resemblyzer 0.1.4 itself (its normalize_volume and embed_utterance with librosa 0.11):
# length and seed of `tone`, the eight largest entries of the embedding, and the sum of all.
RECORDED = [
    (
        (0.9, 0),
        [246, 20, 218, 243, 182, 0, 62, 89],
        [0.2244, 0.22405, 0.2186, 0.19343, 0.19266, 0.18006, 0.16808, 0.16685],
        8.80314,
    ),
    (
        (1.6, 1),
        [246, 146, 36, 111, 122, 189, 218, 92],
        [0.30797, 0.21181, 0.1933, 0.18754, 0.18589, 0.16519, 0.1613, 0.16015],
        8.75875,
    ),
    (
        (3.2, 2),
        [246, 92, 22, 146, 150, 203, 180, 189],
        [0.27607, 0.2322, 0.20372, 0.20078, 0.18364, 0.17379, 0.16605, 0.15718],
        9.0123,
    ),
    (
        (4.7, 3),
        [175, 92, 203, 246, 146, 158, 83, 87],
        [0.23901, 0.20526, 0.20467, 0.1869, 0.18195, 0.17546, 0.16857, 0.16685],
        9.48102,
    ),
]


def tone(seconds: float, seed: int) -> NDArray[np.float32]:
    """A quiet buzz with vibrato and syllables."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16000)) / 16000
    pitch = 110 + 30 * seed + 8 * np.sin(2 * np.pi * 3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    wave = sum(np.sin(k * phase) / k for k in range(1, 20)) + 0.01 * rng.standard_normal(len(time))
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time)
    return (0.01 * wave * syllables).astype(np.float32)


@pytest.fixture(scope="module")
def ge2e() -> GE2E:
    backbone = GE2E()
    backbone.load_pretrained()
    return backbone


@pytest.mark.parametrize(("signal", "largest", "values", "total"), RECORDED)
def test_ge2e_gives_the_embeddings_of_the_package(
    ge2e: GE2E, signal: tuple[float, int], largest: list[int], values: list[float], total: float
) -> None:
    with torch.no_grad():
        embedding = ge2e(torch.from_numpy(tone(*signal))[None])[0]
    top = embedding.topk(8)
    assert top.indices.tolist() == largest
    np.testing.assert_allclose(top.values.numpy(), values, atol=2e-5)
    assert embedding.sum().item() == pytest.approx(total, abs=2e-4)


def test_ge2e_gives_the_same_in_a_batch_as_alone(ge2e: GE2E) -> None:
    batch = torch.stack([torch.from_numpy(tone(2.0, seed)) for seed in range(3)])
    with torch.no_grad():
        torch.testing.assert_close(ge2e(batch), torch.cat([ge2e(one[None]) for one in batch]))


def test_ge2e_does_not_depend_on_loudness(ge2e: GE2E) -> None:
    waveform = torch.from_numpy(tone(2.0, 4))[None]
    with torch.no_grad():
        torch.testing.assert_close(ge2e(waveform), ge2e(20 * waveform), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["ge2e", *UNTRAINED])
def test_gradients_reach_the_waveform_and_are_finite_even_where_it_is_silent(name: str) -> None:
    options = {} if name == "ge2e" else {"width": 4, "hidden_size": 8}
    waveform = torch.from_numpy(tone(1.0, 5))[None].repeat(2, 1)
    waveform[:, :4000] = 0
    waveform.requires_grad_()
    build_backbone(name, options)(waveform).flatten()[::3].sum().backward()
    assert waveform.grad is not None and waveform.grad.isfinite().all() and waveform.grad.abs().max() > 0


def test_ge2e_leaves_out_a_last_part_that_is_mostly_padding() -> None:
    assert partial_starts(8_000) == [0]
    assert partial_starts(25_600) == [0]
    assert partial_starts(25_600 + 77 * 160) == [0, 77]
    assert partial_starts(25_600 + 30 * 160) == [0]  # the next would be covered for 71 %
    assert partial_starts(25_600 + 40 * 160) == [0, 77]  # for 77 %


def test_a_missing_resemblyzer_wheel_is_an_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps resemblyzer"):
        GE2E().load_pretrained()


def test_the_power_law_spectrogram_of_six_seconds_has_the_papers_shape() -> None:
    assert PowerLawSpectrogram()(torch.zeros(3, 96_000)).shape == (3, 2, 598, 257)


def test_the_power_law_spectrogram_compresses_a_known_tone() -> None:
    time = torch.arange(400) / 16_000
    waveform = torch.cos(2 * torch.pi * 1000 * time)[None]  # bin 32 of a 512-point FFT
    spectrogram = PowerLawSpectrogram()(waveform)
    # Half of the Hann window's sum of 200, in the real part alone.
    assert spectrogram[0, 0, 0, 32].item() == pytest.approx(100**0.3, rel=1e-3)
    assert spectrogram.abs().max() == spectrogram[0, 0, 0, 32]


def test_the_mel_spectrogram_holds_power_where_the_tone_is() -> None:
    time = torch.arange(16_000) / 16_000
    mel = MelPowerSpectrogram()
    low, high = (mel(torch.sin(2 * torch.pi * f * time)[None])[0, 50] for f in (300.0, 4000.0))
    assert mel(torch.zeros(1, 16_000)).shape == (1, 101, 40)
    assert low.argmax() < 8 and high.argmax() > 25
    torch.testing.assert_close(mel(torch.full((1, 800), 0.5)), 25 * mel(torch.full((1, 800), 0.1)))


def test_the_papers_layers_have_its_sizes() -> None:
    with torch.device("meta"):
        stack = Speech2Face()
    channels = [layer.out_channels for layer in stack.convolutions if isinstance(layer, torch.nn.Conv2d)]
    assert channels == [64, 64, 128, 128, 128, 256, 512, 512, 512]
    assert stack.hidden_size == 4096


def test_the_papers_layers_take_any_length() -> None:
    stack = Speech2Face(width=4, hidden_size=8).eval()
    for num_samples in (8_000, 48_000, 96_000):
        assert stack(torch.randn(2, num_samples)).shape == (2, 8)


def test_the_time_delay_network_takes_any_length_and_does_not_depend_on_loudness() -> None:
    torch.manual_seed(0)
    network = build_backbone("tdnn", {"width": 8, "hidden_size": 6}).eval()
    waveform = torch.from_numpy(tone(2.0, 4))[None].repeat(2, 1)
    for num_samples in (8_000, 20_001, 32_000):
        assert network(waveform[:, :num_samples]).shape == (2, 6)
    torch.testing.assert_close(network(waveform), network(20 * waveform), rtol=1e-3, atol=1e-3)


def test_masks_and_dropout_change_the_time_delay_network_in_training_alone() -> None:
    plain = {"width": 8, "hidden_size": 6}
    torch.manual_seed(0)
    network = build_backbone("tdnn", {**plain, "num_masks": 2, "dropout": 0.5})
    same = build_backbone("tdnn", plain)
    same.load_state_dict(network.state_dict())
    waveform = torch.from_numpy(tone(2.0, 4))[None]
    assert torch.equal(network.eval()(waveform), same.eval()(waveform))
    assert torch.equal(same.train()(waveform), same.eval()(waveform))
    assert not torch.equal(network.train()(waveform), network(waveform))
    masked = build_backbone("tdnn", {**plain, "num_masks": 2}).train()
    assert not torch.equal(masked(waveform), masked(waveform))


@pytest.mark.parametrize("dim", [1, 2])
def test_a_mask_is_one_range_a_row_that_covers_at_most_its_share(dim: int) -> None:
    torch.manual_seed(0)
    spectrogram = torch.ones(500, 40, 60)
    masked = mask_random_range(spectrogram, dim, 0.5)
    assert torch.equal(spectrogram, torch.ones(500, 40, 60))
    is_masked = masked == 0
    lines = is_masked.any(dim=3 - dim)
    assert torch.equal(lines, is_masked.all(dim=3 - dim))
    edges = torch.diff(lines.int(), dim=1, prepend=torch.zeros(500, 1), append=torch.zeros(500, 1)).abs().sum(dim=1)
    assert (edges <= 2).all()
    shares = lines.float().mean(dim=1)
    assert shares.max() <= 0.5 + 1 / 40 and shares.mean().item() == pytest.approx(0.25, abs=0.03)
    assert lines.float().mean(dim=0).min() > 0  # every band and frame is masked at times
    assert torch.equal(mask_random_range(spectrogram, dim, 0.0), spectrogram)


@pytest.mark.parametrize("option", [{"num_masks": -1}, {"mask_share": 1.5}, {"dropout": 1.0}])
def test_masks_and_dropout_out_of_range_are_an_error(option: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))} {next(iter(option.values()))}"):
        build_backbone("tdnn", option)


def test_a_number_of_masks_that_is_not_whole_is_an_error() -> None:
    with pytest.raises(ConfigError, match="backbone_options of tdnn"):
        build_backbone("tdnn", {"num_masks": 2.5})


def test_log_mel_energies_peak_at_a_tone_and_average_to_zero() -> None:
    time = torch.arange(16_000) / 16_000
    energies = LogMelSpectrogram()(torch.sin(2 * torch.pi * 1000 * time)[None])[0]
    assert energies.shape == ((16_000 - 1024) // 256 + 1, 96)
    assert energies.mean().abs() < 1e-4
    # 1 kHz is 15 of Slaney's mels of 66.7 Hz; 40 Hz to 7.6 kHz are 0.6 to 44.5 of them, in 97 steps.
    assert energies.mean(dim=0).argmax().item() == pytest.approx((15 - 0.6) / (44.5 - 0.6) * 97 - 1, abs=1)
    assert LogMelSpectrogram()(torch.zeros(1, 8_000)).abs().max() < 1e-4


def test_an_unknown_backbone_or_option_is_an_error() -> None:
    with pytest.raises(ConfigError, match="hf:<id or folder>"):
        build_backbone("ge3e", {})
    with pytest.raises(ConfigError, match="widht"):
        build_backbone("speech2face", {"widht": 3})


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_wavlm(tmp_path_factory.mktemp("wavlm"), hidden_size=16))


def test_a_saved_transformers_model_is_read_with_its_weights(wavlm: str) -> None:
    import transformers

    name = f"hf:{wavlm}"
    backbone = build_backbone(*complete_backbone(name, {}))
    backbone.load_pretrained()
    waveform = torch.randn(2, 16_000)
    reference = transformers.AutoModel.from_pretrained(wavlm).eval()
    normal = (waveform - waveform.mean(1, keepdim=True)) / waveform.std(1, keepdim=True, correction=0)
    with torch.no_grad():
        expected = reference(input_values=normal).last_hidden_state.mean(dim=1)
        torch.testing.assert_close(backbone.eval()(waveform), expected, rtol=1e-3, atol=1e-4)


def test_a_transformers_model_can_be_rebuilt_without_the_folder(wavlm: str) -> None:
    options = complete_backbone(f"hf:{wavlm}", {})[1]
    assert build_backbone("hf:gone", options)(torch.randn(1, 16_000)).shape == (1, 16)


def test_a_mix_of_layers_is_the_weighted_sum_of_their_means_and_learns(wavlm: str) -> None:
    import transformers

    name = f"hf:{wavlm}"
    backbone = build_backbone(*complete_backbone(name, {"layers": "mix"}))
    backbone.load_pretrained()
    waveform = torch.randn(2, 16_000)
    normal = (waveform - waveform.mean(1, keepdim=True)) / waveform.std(1, keepdim=True, correction=0)
    reference = transformers.AutoModel.from_pretrained(wavlm).eval()
    with torch.no_grad():
        layers = reference(input_values=normal, output_hidden_states=True).hidden_states
        backbone.mix.copy_(torch.tensor([0.0, 1.0, 3.0]).log().clamp_min(-50))
        expected = (layers[1] + 3 * layers[2]).mean(dim=1) / 4
        torch.testing.assert_close(backbone.eval()(waveform), expected, rtol=1e-3, atol=1e-4)
    assert len(layers) == 3
    backbone(waveform).square().sum().backward()
    assert backbone.mix.grad is not None and backbone.mix.grad.abs().max() > 0


def test_a_model_of_the_last_layer_has_no_other_weights_than_before(wavlm: str) -> None:
    name, options = complete_backbone(f"hf:{wavlm}", {})
    assert "layers" not in options
    assert all(key.startswith("model.") for key in build_backbone(name, options).state_dict())
    with pytest.raises(ConfigError, match="last or mix"):
        build_backbone(name, {**options, "layers": "first"})


def test_a_missing_transformers_model_and_one_that_takes_no_sound_are_errors_of_one_line(tmp_path: object) -> None:
    with pytest.raises(ModelError, match="can't read its configuration"):
        complete_backbone(f"hf:{tmp_path}", {})
    with pytest.raises(ModelError, match="does not take raw waveforms"):
        small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        build_backbone("hf:x", {"model_type": "bert", "vocab_size": 9, **small})
