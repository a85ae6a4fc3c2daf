"""Front ends of published speaker networks: what each toolkit computes from a waveform before its network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ConfigError
from data.media.waveform import SAMPLE_RATE
from encoder.spectrograms import HOP_SAMPLES, WINDOW_SAMPLES, FourierTransform, mel_energy, mel_filters

_NUM_MELS = 80


class FrontEnd(nn.Module):
    """From waveforms to the input of a network; this one gives the waveforms themselves.

    Attributes:
        time_axis: Axis of time in that input.
    """

    time_axis = 1

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the input of a network.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz, T of 0.5 s or more.

        Returns:
            The network's input in its own layout: [N, T] samples, [N, frames, 80] or, for NeMo, [N, 80, frames].
        """
        return waveform


class KaldiFilterBank(FrontEnd):
    """Kaldi's filter banks without dither, and without the mean of each band over the recording.

    WeSpeaker (wespeaker/bin/infer_onnx.py): Hamming window, samples on the scale of 16 bits. 3D-Speaker
    (speakerlab/process/processor.py): Kaldi's own window ("povey"), samples in [-1, 1].
    """

    def __init__(self, window: str, scale: float) -> None:
        """Set up the filter banks.

        Args:
            window: Kaldi's name of the window.
            scale: Factor of the samples; it matters for quiet frames, because energies have a floor.
        """
        super().__init__()
        self._window, self._scale = window, scale

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute [N, (T - 400) // 160 + 1, 80] natural logarithms."""
        from torchaudio.compliance import kaldi  # here, because torchaudio takes a second to import

        banks = [
            kaldi.fbank(
                row[None] * self._scale,
                num_mel_bins=_NUM_MELS,
                sample_frequency=SAMPLE_RATE,
                window_type=self._window,
                dither=0.0,
            )
            for row in waveform
        ]
        features = torch.stack(banks)
        return features - features.mean(dim=1, keepdim=True)


class SpeechBrainFilterBank(FrontEnd):
    """SpeechBrain's `Fbank` and sentence normalisation of means, as its ECAPA-TDNN takes them.

    Centred 25-ms frames over zeros under a periodic Hamming window, triangles that are symmetric in Hz around centres
    on HTK's mel scale, decibels not more than 80 below the loudest (speechbrain/processing/features.py).
    """

    _range_db = 80.0
    _floor = 1e-10

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        highest_mel = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
        edges = 700 * (10 ** (torch.linspace(0, highest_mel, _NUM_MELS + 2) / 2595) - 1)
        centres, widths = edges[1:-1], edges[1:-1] - edges[:-2]
        frequencies = torch.linspace(0, SAMPLE_RATE / 2, WINDOW_SAMPLES // 2 + 1)
        filters = (1 - ((frequencies[:, None] - centres) / widths).abs()).clamp_min(0)
        self.transform = FourierTransform(WINDOW_SAMPLES, HOP_SAMPLES, window=torch.hamming_window(WINDOW_SAMPLES))
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute [N, T // 160 + 1, 80] decibels."""
        padded = F.pad(waveform, (WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 2))
        decibels = 10 * mel_energy(self.transform(padded), self.filters).clamp_min(self._floor).log10()
        decibels = torch.maximum(decibels, decibels.amax(dim=(1, 2), keepdim=True) - self._range_db)
        return decibels - decibels.mean(dim=1, keepdim=True)


class NeMoFilterBank(FrontEnd):
    """NeMo's `AudioToMelSpectrogramPreprocessor` with `normalize: per_feature`, as its speaker networks take it.

    Pre-emphasis, centred 25-ms frames over zeros under a symmetric Hann window, an FFT of 512, Slaney's mel filters;
    each band gets mean 0 and standard deviation 1 (nemo/collections/asr/parts/preprocessing/features.py). Without its
    padding to a multiple of 16 frames, which its networks mask.
    """

    time_axis = 2

    _fft_length = 512
    _pre_emphasis = 0.97
    _guard = 2.0**-24
    _min_deviation = 1e-5

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        margin = (self._fft_length - WINDOW_SAMPLES) // 2
        window = F.pad(torch.hann_window(WINDOW_SAMPLES, periodic=False), (margin, margin))
        self.transform = FourierTransform(self._fft_length, HOP_SAMPLES, window=window)
        filters = mel_filters(self._fft_length, 0.0, SAMPLE_RATE / 2, _NUM_MELS)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute [N, 80, T // 160] standardised logarithms."""
        emphasised = torch.cat([waveform[:, :1], waveform[:, 1:] - self._pre_emphasis * waveform[:, :-1]], dim=1)
        padded = F.pad(emphasised, (self._fft_length // 2, self._fft_length // 2))
        energy = mel_energy(self.transform(padded), self.filters)[:, : waveform.shape[1] // HOP_SAMPLES]
        logarithm = (energy + self._guard).log().mT
        deviation = logarithm.std(dim=2, keepdim=True) + self._min_deviation
        return (logarithm - logarithm.mean(dim=2, keepdim=True)) / deviation


def build_front_end(name: str) -> FrontEnd:
    """Build a front end by the name of its toolkit.

    Args:
        name: "wespeaker", "3dspeaker", "speechbrain", "nemo", or "waveform" for networks that take samples.

    Raises:
        ConfigError: If there is no such front end.
    """
    if name == "wespeaker":
        return KaldiFilterBank("hamming", 32768.0)
    if name == "3dspeaker":
        return KaldiFilterBank("povey", 1.0)
    if name == "speechbrain":
        return SpeechBrainFilterBank()
    if name == "nemo":
        return NeMoFilterBank()
    if name == "waveform":
        return FrontEnd()
    raise ConfigError(f'frontend "{name}" is unknown: wespeaker, 3dspeaker, speechbrain, nemo or waveform')
