"""From any number of channels to one: mixed, unless mixing loses what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOST = 0.1  # of the loudest channel's energy; two channels of which one is silent leave a quarter


def channel_samples(frame: Any) -> NDArray[np.float32]:
    """[C, T] in [-1, 1] of a decoded frame of sound in any of FFmpeg's sample formats."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)


def mono_frame(samples: NDArray[np.float32], rate: int) -> Any:
    """PyAV's frame of one channel [T]."""
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None], "fltp", "mono")
    frame.sample_rate = rate
    return frame


def is_unknown_layout(frame: Any) -> bool:
    """Whether nobody knows where the loudspeakers of more than two channels stand; FFmpeg would guess or refuse."""
    return frame.layout.nb_channels > 2 and frame.layout.name.endswith(" channels")


class ChannelLevels:
    """Energy of each channel of a recording and of their mean, about constant offsets."""

    def __init__(self) -> None:
        self._products: NDArray[np.float64] | None = None
        self._sums = np.zeros(0)
        self._num_samples = 0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Count the samples [C, T] of a frame; frames with another number of channels than the first are left out."""
        if self._products is None:
            self._products, self._sums = np.zeros((len(samples), len(samples))), np.zeros(len(samples))
        if len(samples) == len(self._sums):
            self._products += samples @ samples.T
            self._sums += samples.sum(1, dtype=np.float64)
            self._num_samples += samples.shape[1]

    def lost_channel(self) -> int | None:
        """The loudest channel, where the mean of all has less than a tenth of its energy; None where it has more."""
        if self._products is None or len(self._sums) < 2 or not self._num_samples:
            return None
        covariance = self._products / self._num_samples - np.outer(self._sums, self._sums) / self._num_samples**2
        energies = np.diag(covariance)
        loudest = int(np.argmax(energies))
        return loudest if covariance.mean() < _LOST * energies[loudest] else None
