from __future__ import annotations

import pytest
import torch

from data.errors import ConfigError, DatasetError
from encoder.backbones import build_backbone
from encoder.recorded import take_recorded
from encoder.spectrograms import PowerLawSpectrogram
from encoder.voice_encoder import EncoderDesign

RECORD = {"spectrogram": {"window": 0.032, "stride": 0.016, "fft_length": 1024, "amp_norm": 0.5, "duration": 3.0}}


def test_unset_options_are_taken_from_the_data_set() -> None:
    design = EncoderDesign(backbone="speech2face", backbone_options={"width": 2, "stride": 0.02})
    taken, recorded = take_recorded(design, RECORD)
    assert taken.backbone_options == {"width": 2, "stride": 0.02, "window": 0.032, "fft_length": 1024, "amp_norm": 0.5}
    assert taken.window_seconds == 3.0
    assert recorded == {"window": 0.032, "fft_length": 1024, "amp_norm": 0.5, "duration": 3.0}


@pytest.mark.parametrize("seconds", [1.0, 6.0])  # 6 s is the default
def test_what_the_user_sets_wins_also_where_it_equals_a_default(seconds: float) -> None:
    options = {"window": 0.025, "stride": 0.010, "fft_length": 512, "amp_norm": 0.3}
    design = EncoderDesign(backbone="speech2face", window_seconds=seconds, backbone_options=options)
    assert take_recorded(design, RECORD) == (design, {})


def test_backbones_whose_spectrogram_is_fixed_keep_it() -> None:
    taken, recorded = take_recorded(EncoderDesign(backbone="ge2e"), RECORD)
    assert taken == EncoderDesign(backbone="ge2e", window_seconds=3.0) and recorded == {"duration": 3.0}


def test_a_data_set_that_recorded_nothing_changes_nothing() -> None:
    design = EncoderDesign(backbone="speech2face")
    resolved = EncoderDesign(backbone="speech2face", window_seconds=6.0)
    assert take_recorded(design, {}) == (resolved, {}) == take_recorded(design, {"spectrogram": None})
    assert design.window_samples == resolved.window_samples == 96_000


@pytest.mark.parametrize("value", ["wide", -1, 0, True, float("nan")])
def test_a_record_that_is_no_positive_number_is_an_error(value: object) -> None:
    with pytest.raises(DatasetError, match=r"dataset\.json: spectrogram window"):
        take_recorded(EncoderDesign(backbone="speech2face"), {"spectrogram": {"window": value}})


def test_the_backbone_uses_the_recorded_spectrogram() -> None:
    design, _ = take_recorded(EncoderDesign(backbone="speech2face", backbone_options={"width": 2}), RECORD)
    backbone = build_backbone("speech2face", {**design.backbone_options, "hidden_size": 8}).eval()
    shape = backbone.spectrogram(torch.zeros(1, 48_000)).shape
    assert shape == (1, 2, (48_000 - 512) // 256 + 1, 513)
    waveform = torch.randn(2, 8_000)  # less than the layers need: repeated
    assert backbone(waveform).shape == (2, 8)


def test_the_papers_settings_are_the_defaults() -> None:
    waveform = torch.randn(1, 16_000)
    explicit = PowerLawSpectrogram(window=0.025, stride=0.010, fft_length=512, exponent=0.3)
    torch.testing.assert_close(explicit(waveform), PowerLawSpectrogram()(waveform), rtol=0, atol=0)
    assert (explicit.window_samples, explicit.hop_samples, explicit.num_frequencies) == (400, 160, 257)


@pytest.mark.parametrize(
    "options", [{"window": 0.05}, {"stride": 0.0}, {"amp_norm": 1.5}, {"fft_length": 16, "window": 0.001}]
)
def test_impossible_spectrograms_are_errors(options: dict) -> None:
    with pytest.raises(ConfigError, match=r"window must fit|fft_length 16"):
        build_backbone("speech2face", {"width": 2, "hidden_size": 4, **options})
