"""Spectrograms as modules: they are part of the model, so that training and inference compute the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data.errors import ConfigError
from data.media.waveform import SAMPLE_RATE

WINDOW_SAMPLES = SAMPLE_RATE * 25 // 1000
HOP_SAMPLES = SAMPLE_RATE * 10 // 1000


class FourierTransform(nn.Module):
    """The Fourier transform of frames under a window; frames lie wholly inside the waveform.

    A module of its own, because exported graphs replace it: they have no complex numbers (`gan.export`).

    Attributes:
        window: [window_samples], a periodic Hann window unless another is given.
        hop_samples: From one frame to the next.
        fft_length: Samples of the FFT; frames are padded with zeros to it.
    """

    window: Tensor

    def __init__(
        self, window_samples: int, hop_samples: int, fft_length: int | None = None, window: Tensor | None = None
    ) -> None:
        super().__init__()
        self.hop_samples, self.fft_length = hop_samples, fft_length or window_samples
        window = torch.hann_window(window_samples) if window is None else window
        self.register_buffer("window", window, persistent=False)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Transform a batch of waveforms.

        Args:
            waveform: [N, T] float32, T at least one window.

        Returns:
            Real and imaginary part, each [N, frames, F] with frames = (T - window) // hop + 1 and
            F = fft_length // 2 + 1.
        """
        frames = waveform.unfold(-1, len(self.window), self.hop_samples) * self.window
        spectrum = torch.fft.rfft(frames, n=self.fft_length)
        return spectrum.real, spectrum.imag


class PowerLawSpectrogram(nn.Module):
    """The compressed complex spectrogram of Speech2Face (Oh et al. 2019, section 4).

    Hann window, FFT, and sgn(S) |S|^e on the real and the imaginary part. Frames lie wholly inside the waveform: with
    the paper's settings, which are the defaults, 6 s give its 598 frames.

    Attributes:
        window_samples: Length of a frame.
        hop_samples: From one frame to the next.
        num_frequencies: Rows of the spectrogram.
    """

    # d|x|^0.3/dx is infinite at 0: silence must not give NaN gradients.
    _floor = 1e-8

    def __init__(
        self, window: float = 0.025, stride: float = 0.010, fft_length: int = 512, exponent: float = 0.3
    ) -> None:
        """Set up the transform.

        Args:
            window: Length of a frame in seconds.
            stride: Seconds from one frame to the next.
            fft_length: Samples of the FFT; frames are padded with zeros to it.
            exponent: Exponent of the compression, in (0, 1].

        Raises:
            ConfigError: If a frame does not fit into the FFT, or a setting is out of range.
        """
        super().__init__()
        self.window_samples, self.hop_samples = round(window * SAMPLE_RATE), round(stride * SAMPLE_RATE)
        self.num_frequencies = fft_length // 2 + 1
        self._exponent = exponent
        if not (1 <= self.window_samples <= fft_length and self.hop_samples >= 1 and 0 < exponent <= 1):
            raise ConfigError(
                f"a spectrogram of window {window} s, stride {stride} s, fft_length {fft_length} and exponent "
                f"{exponent}: the window must fit into the FFT at {SAMPLE_RATE} Hz, the exponent lie in (0, 1]"
            )
        self.transform = FourierTransform(self.window_samples, self.hop_samples, fft_length)

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch of waveforms.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz, T at least one window.

        Returns:
            [N, 2, frames, F]: real and imaginary part, compressed; frames = (T - window) // hop + 1.
        """
        spectrum = torch.stack(self.transform(waveform), dim=1)
        return spectrum.sign() * spectrum.abs().clamp_min(self._floor) ** self._exponent


class MelPowerSpectrogram(nn.Module):
    """The mel power spectrogram (not its logarithm) that the GE2E weights were trained on.

    Same values as librosa.feature.melspectrogram(sr=16000, n_fft=400, hop_length=160, n_mels=40): centred
    frames over zeros, periodic Hann window, Slaney's mel scale and area normalisation.
    """

    num_mels = 40

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filters(WINDOW_SAMPLES, 0.0, SAMPLE_RATE / 2, self.num_mels)
        self.transform = FourierTransform(WINDOW_SAMPLES, HOP_SAMPLES)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch of waveforms.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz.

        Returns:
            [N, T // 160 + 1, 40] mel power, >= 0.
        """
        padded = nn.functional.pad(waveform, (WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 2))
        return mel_energy(self.transform(padded), self.filters)


class LogMelSpectrogram(nn.Module):
    """Logarithmic mel energies over windows that are long enough to resolve the harmonics of low voices.

    64 ms Hann windows, 16 ms hop, 96 bands up to 7.6 kHz. The mean over all bands and frames of a recording is
    subtracted, so that loudness has no influence.
    """

    num_mels = 96
    _window_samples = SAMPLE_RATE * 64 // 1000
    _hop_samples = SAMPLE_RATE * 16 // 1000
    _max_frequency = 7600.0
    # Share of the mean energy: -60 dB counts as silence.
    _floor = 1e-6

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filters(self._window_samples, 40.0, self._max_frequency, self.num_mels)
        self.transform = FourierTransform(self._window_samples, self._hop_samples)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch of waveforms.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz, T >= 1024.

        Returns:
            [N, (T - 1024) // 256 + 1, 96] natural logarithms, zero on average; 0 throughout in silence.
        """
        energy = mel_energy(self.transform(waveform), self.filters)
        mean = energy.mean(dim=(1, 2), keepdim=True)
        logarithm = (energy + self._floor * mean + 1e-12).log()
        return logarithm - logarithm.mean(dim=(1, 2), keepdim=True)


class FilterBankSpectrogram(nn.Module):
    """Logarithmic mel energies as older speech toolkits compute them, of samples on the scale of 16 bits.

    25-ms frames every 10 ms after pre-emphasis, x[t] - 0.97 x[t - 1], and triangular filters on the mel scale
    2595 log10(1 + f / 700), which those toolkits round to the frequencies of the FFT. Loudness has an influence.

    Attributes:
        num_mels: Number of bands.
    """

    _pre_emphasis = 0.97
    _scale = 32768.0
    # About the energy of the rounding noise of 16-bit samples in a band; there is none in silence here.
    _floor = 1.0

    filters: Tensor

    def __init__(
        self,
        num_mels: int,
        min_frequency: float,
        max_frequency: float,
        fft_length: int,
        window: Tensor,
        area_normalised: bool,
    ) -> None:
        """Set up the transform.

        Args:
            num_mels: Number of bands.
            min_frequency: Lower end of the lowest band in Hz.
            max_frequency: Upper end of the highest band in Hz.
            fft_length: Samples of the FFT; frames are padded with zeros to it.
            window: [400] weights of a frame's samples.
            area_normalised: Whether filters have area 1 on energies, as in CMU Sphinx; else height 1 on energies that
                are divided by `fft_length`, as in python_speech_features.
        """
        super().__init__()
        self.num_mels = num_mels
        self.transform = FourierTransform(WINDOW_SAMPLES, HOP_SAMPLES, fft_length, window)
        norm = "slaney" if area_normalised else None
        filters = mel_filters(fft_length, min_frequency, max_frequency, num_mels, norm, "htk")
        self.register_buffer("filters", filters / (1 if area_normalised else fft_length), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch of waveforms.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz, T >= 400.

        Returns:
            [N, (T - 400) // 160 + 1, num_mels] natural logarithms; 0 throughout in silence.
        """
        samples = self._scale * waveform
        emphasised = torch.cat([samples[:, :1], samples[:, 1:] - self._pre_emphasis * samples[:, :-1]], dim=1)
        return (mel_energy(self.transform(emphasised), self.filters) + self._floor).log()


def mel_filters(
    fft_length: int,
    min_frequency: float,
    max_frequency: float,
    num_mels: int,
    norm: str | None = "slaney",
    mel_scale: str = "slaney",
) -> Tensor:
    """Triangular filters on a mel scale, by default Slaney's and normalised by area.

    Args:
        fft_length: Samples of the FFT.
        min_frequency: Lower end of the lowest band in Hz.
        max_frequency: Upper end of the highest band in Hz.
        num_mels: Number of bands.
        norm: "slaney" for filters of area 1, None for filters of height 1.
        mel_scale: "slaney" or "htk".

    Returns:
        [fft_length // 2 + 1, num_mels].
    """
    from torchaudio.functional import melscale_fbanks  # here, because torchaudio takes a second to import

    return melscale_fbanks(
        n_freqs=fft_length // 2 + 1,
        f_min=min_frequency,
        f_max=max_frequency,
        n_mels=num_mels,
        sample_rate=SAMPLE_RATE,
        norm=norm,
        mel_scale=mel_scale,
    )


def mel_energy(spectrum: tuple[Tensor, Tensor], filters: Tensor) -> Tensor:
    """Energies in bands, in fp32.

    Args:
        spectrum: Real and imaginary part, each [N, frames, F].
        filters: [F, num_mels].

    Returns:
        [N, frames, num_mels].
    """
    real, imaginary = spectrum
    with torch.autocast(real.device.type, enabled=False):  # bf16 would round the energies to 3 digits
        return (real.square() + imaginary.square()) @ filters
