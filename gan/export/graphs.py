"""The two graphs of a model: from a waveform to face features, and from a face feature to a drawing.

Written by torch's exporter by tracing. What it can't trace is written anew here: complex numbers, and windows whose
number depends on the recording.
"""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ModelError, one_line
from data.media.loudness import LOUDNESS_DBFS, MAX_OFFSET, PEAK
from encoder.spectrograms import FourierTransform
from encoder.voice_encoder import VoiceEncoder
from gan.voice2face import Voice2Face

OPSET = 17


class VoiceGraph(nn.Module):
    """Levels the loudness of recordings, cuts them into windows, regresses face features and samples others.

    The same as `prepare_speech` without its cutting of silence, then `VoiceEncoder.encode` and `VoiceEncoder.sample`.

    Args:
        encoder: Encoder in eval mode; it is copied.
    """

    def __init__(self, encoder: VoiceEncoder) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder)
        self.window_samples = encoder.config.window_samples
        for name, module in list(self.encoder.named_modules()):
            if isinstance(module, FourierTransform):
                self.encoder.set_submodule(name, RealFourierTransform(module))

    def forward(
        self, waveform: Tensor, noise: Tensor | None = None, variety: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Regress, and sample where the model has a sampler.

        Args:
            waveform: [N, T] float32 at 16 kHz.
            noise: [N, K, Z] standard normal.
            variety: [] in [0, 1].

        Returns:
            [N, D] regressed features; with a sampler also [N, K, D] samples.
        """
        windows = cut_windows(level_loudness(waveform), self.window_samples)
        hidden = self.encoder.hidden(windows.flatten(0, 1)).unflatten(0, windows.shape[:2]).mean(dim=1)
        feature = self.encoder.head(hidden).feature
        if self.encoder.sampler is None:
            return (feature,)
        assert noise is not None and variety is not None
        num = noise.shape[1]
        repeated = feature[:, None].expand(-1, num, -1).flatten(0, 1)
        return feature, self.encoder.sampler(repeated, noise.flatten(0, 1), variety).unflatten(0, noise.shape[:2])


class FaceGraph(nn.Module):
    """Draws as `Voice2Face.draw` does.

    Args:
        generator: Generator in eval mode.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, feature: Tensor, noise: Tensor | None = None) -> Tensor:
        """[N, D] face features and, where the generator takes it, [N, Z] noise to [N, 3, S, S] in [-1, 1]."""
        return self.generator(feature, noise).clamp(-1, 1)


class RealFourierTransform(nn.Module):
    """`FourierTransform` without complex numbers: a convolution with sines and cosines under the window.

    The convolution's weights are read from one period of a sine inside the graph: ONNX Runtime does that once, when it
    loads the graph, and the file stays small (4 MB less for 64-ms windows).

    Args:
        transform: The transform to replace.
    """

    window: Tensor
    period: Tensor
    time: Tensor
    frequency: Tensor

    def __init__(self, transform: FourierTransform) -> None:
        super().__init__()
        length = transform.fft_length
        self.length, self.hop_samples = length, transform.hop_samples
        self.num_frequencies = length // 2 + 1
        angle = torch.arange(length, dtype=torch.float64) * (2 * torch.pi / length)
        # Rounded, because the roots of a sine must be exactly 0: the power law of speech2face makes 0.004 of 1e-16.
        self.register_buffer("period", torch.stack([angle.cos(), -angle.sin()]).round(decimals=12).float())
        self.register_buffer("window", transform.window.clone())
        self.register_buffer("time", torch.arange(len(transform.window)))
        self.register_buffer("frequency", torch.arange(self.num_frequencies))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """[N, T] to real and imaginary part, each [N, frames, F]."""
        phase = torch.remainder(self.frequency[:, None] * self.time, self.length)
        waves = (self.period[:, phase] * self.window).flatten(0, 1)  # [2 F, window]
        spectrum = F.conv1d(waveform[:, None], waves[:, None], stride=self.hop_samples).transpose(1, 2)
        return spectrum[:, :, : self.num_frequencies], spectrum[:, :, self.num_frequencies :]


def level_loudness(waveform: Tensor) -> Tensor:
    """`data.media.loudness.level_loudness` for [N, T], in torch: silence stays silence.

    A constant offset that matters is removed, then the root mean square is brought to `LOUDNESS_DBFS`, or less where
    peaks would pass full scale. Speech that was levelled before stays as it is.
    """
    mean = waveform.double().mean(dim=1, keepdim=True)
    variance = (waveform.double().square().mean(dim=1, keepdim=True) - mean.square()).clamp_min(0)
    centred = waveform - torch.where(mean.square() <= MAX_OFFSET**2 * variance, 0.0, mean.float())
    level = centred.double().square().mean(dim=1, keepdim=True).sqrt().float()
    peak = centred.abs().amax(dim=1, keepdim=True)
    gain = torch.minimum(10 ** (LOUDNESS_DBFS / 20) / level.clamp_min(1e-12), PEAK / peak.clamp_min(1e-12))
    return centred * gain


def cut_windows(waveform: Tensor, num_samples: int) -> Tensor:
    """`encoder.voice_encoder.cut_windows` for [N, T], with a number of windows that follows the input's T.

    Args:
        waveform: [N, T].
        num_samples: Length of a window.

    Returns:
        [N, ceil(T / num_samples), num_samples].
    """
    length = torch.as_tensor(waveform.shape[1])
    count = (length + (num_samples - 1)) // num_samples
    step = (length - num_samples).clamp_min(0).double() / (count - 1).clamp_min(1)
    starts = (torch.arange(count) * step).round().long()  # type: ignore[call-overload]
    # A recording that is shorter than a window is repeated.
    # Written as if it depended on the input, so that the graph counts and stores no list of 48,000 numbers.
    offsets = torch.arange(length.clamp(num_samples, num_samples))  # type: ignore[call-overload]
    index = torch.remainder(starts[:, None] + offsets, length)
    return waveform[:, index]


def voice_graph(model: Voice2Face) -> bytes:
    """The ONNX graph from waveforms to face features.

    Inputs `waveform` [N, T] and, for models with a sampler, `noise` [N, K, Z] and `variety` []; outputs `feature`
    [N, D] and `samples` [N, K, D].

    Raises:
        ModelError: If the exporter can't write this backbone.
    """
    sampler = model.encoder.sampler
    inputs = [torch.randn(2, model.encoder.config.window_samples * 5 // 2) * 0.05]
    axes = {"waveform": {0: "voices", 1: "samples_of_sound"}, "feature": {0: "voices"}}
    if sampler is not None:
        inputs += [torch.randn(2, 3, sampler.noise_size), torch.tensor(0.5)]
        axes |= {"noise": {0: "voices", 1: "samples"}, "samples": {0: "voices", 1: "samples"}}
    names = ["waveform", "noise", "variety"][: len(inputs)]
    return _trace(VoiceGraph(model.encoder), inputs, names, ["feature", "samples"][: 2 if sampler else 1], axes)


def face_graph(model: Voice2Face) -> bytes:
    """The ONNX graph from face features to drawings.

    Inputs `feature` [N, D] and, for generators with noise, `noise` [N, Z]; output `image` [N, 3, S, S] in [-1, 1].
    """
    inputs = [torch.randn(2, model.encoder.condition_size), torch.randn(2, model.noise_size)]
    names = ["feature", "noise"][: 2 if model.noise_size else 1]
    axes = {name: {0: "drawings"} for name in (*names, "image")}
    return _trace(FaceGraph(model.generator), inputs[: len(names)], names, ["image"], axes)


def _trace(
    module: nn.Module, inputs: Sequence[Tensor], names: list[str], outputs: list[str], axes: dict[str, dict[int, str]]
) -> bytes:
    buffer = io.BytesIO()
    try:
        # Where it fails, the exporter prints the whole network.
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # The exporter by tracing is deprecated, but the new one needs another package. It warns of shapes that are
            # fixed on purpose.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                tuple(inputs),
                buffer,  # type: ignore[arg-type]
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=OPSET,
                do_constant_folding=False,  # see RealFourierTransform
                dynamo=False,
            )
    except (RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"this model can't be written as an ONNX graph: {one_line(error)[:300]}") from error
    return buffer.getvalue()
