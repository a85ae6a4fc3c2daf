"""The pretrained GE2E speaker encoder (Wan et al. 2018), with the weights of the Resemblyzer wheel."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.errors import ModelError
from data.media.waveform import SAMPLE_RATE
from encoder.backbones.base import Backbone
from encoder.spectrograms import HOP_SAMPLES, MelPowerSpectrogram

PARTIAL_FRAMES = 160
"""The LSTM was trained on partial utterances of 1.6 s."""

_PARTIAL_STEP = 77  # frames: 1.3 partial utterances a second, as the package does by default
_MIN_COVERAGE = 0.75  # of the last partial utterance, else it is left out
_LEVEL = 10 ** (-30 / 20)  # RMS to which the package raises quiet recordings


class GE2E(Backbone):
    """LSTM over mel power; the embeddings of overlapping partial utterances are averaged.

    The waveform is always scaled to -30 dBFS first, so that loudness has no influence; the package only raises quiet
    recordings. For recordings at or below that level, embeddings equal the package's.
    """

    hidden_size = 256

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelPowerSpectrogram()
        self.lstm = nn.LSTM(self.mel.num_mels, 256, num_layers=3, batch_first=True)
        self.linear = nn.Linear(256, self.hidden_size)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of recordings of one length.

        Args:
            waveform: [N, T] float32 in [-1, 1] at 16 kHz; less than 1.6 s is padded with silence.

        Returns:
            [N, 256] unit vectors, >= 0.
        """
        level = waveform.square().mean(dim=1, keepdim=True).sqrt()
        waveform = waveform * (_LEVEL / level.clamp_min(1e-8))
        starts = partial_starts(waveform.shape[1])
        num_samples = (starts[-1] + PARTIAL_FRAMES) * HOP_SAMPLES
        mel = self.mel(F.pad(waveform, (0, max(0, num_samples - waveform.shape[1]))))
        partials = torch.stack([mel[:, start : start + PARTIAL_FRAMES] for start in starts], dim=1)  # [N, P, 160, 40]
        _, (last_hidden, _) = self.lstm(partials.flatten(0, 1))
        embedding = F.normalize(F.relu(self.linear(last_hidden[-1])), dim=-1)
        return F.normalize(embedding.unflatten(0, (-1, len(starts))).mean(dim=1), dim=-1)

    def load_pretrained(self) -> None:
        """Read the weights from the installed wheel, without importing its code.

        Raises:
            ModelError: If the wheel is not installed or its file does not hold these weights.
        """
        path = weights_path()
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
            own = {name: state[name] for name, _ in self.named_parameters()}
            self.load_state_dict(own, strict=True)
        except Exception as error:
            # A file may hold anything, so any exception is possible; the message names the file.
            raise ModelError(f"{path} does not hold the GE2E weights: {error}".splitlines()[0]) from error


def partial_starts(num_samples: int) -> list[int]:
    """First mel frame of each partial utterance, as the package slices a recording.

    Args:
        num_samples: Length of the recording at 16 kHz.

    Returns:
        At least one start; the recording covers at least 75 % of each partial utterance but the first.
    """
    num_frames = math.ceil((num_samples + 1) / HOP_SAMPLES)
    starts = list(range(0, max(1, num_frames - PARTIAL_FRAMES + _PARTIAL_STEP + 1), _PARTIAL_STEP))
    covered = num_samples - starts[-1] * HOP_SAMPLES
    if len(starts) > 1 and covered < _MIN_COVERAGE * PARTIAL_FRAMES * HOP_SAMPLES:
        starts.pop()
    return starts


def weights_path() -> Path:
    """Path of the weights in the Resemblyzer wheel.

    Raises:
        ModelError: If the wheel is not installed.
    """
    spec = importlib.util.find_spec("resemblyzer")
    path = Path(spec.origin).parent / "pretrained.pt" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ModelError(
            "the ge2e backbone takes its weights from the wheel resemblyzer, which is not installed: "
            "pip install --no-deps resemblyzer==0.1.4"
        )
    return path


assert SAMPLE_RATE == 16_000, "the weights were trained at 16 kHz"
