"""Opening recordings and videos, and decoding their packets: the one place where FFmpeg's audio becomes a waveform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import MediaError
from data.media.channels import ChannelLevels, channel_samples, is_unknown_layout, mono_frame
from data.media.waveform import SAMPLE_RATE, Waveform

MAX_SECONDS = 3600.0
"""Longer recordings are refused by default."""

MAX_PIXELS = 50_000_000
"""Larger pictures of videos are refused before they are decoded."""

_MAX_DAMAGED_PACKETS = 0.05  # streams cut out of broadcasts often start with a broken packet or two
_JUMP_SECONDS = 0.03  # by which time stamps leave the count of samples before they are believed


@contextmanager
def open_media(path: str | Path) -> Iterator[Any]:
    """PyAV's container of a local file; nothing else is ever opened, whatever the name or the content says.

    Args:
        path: Any audio or video container that PyAV reads.

    Raises:
        MediaError: `unreadable` or `empty`.
    """
    import av

    path = Path(path)
    if path.is_file() and not path.stat().st_size:
        raise MediaError("empty", f"{path}: is empty")
    try:
        # With the prefix a name such as "http://..." or "concat:..." is a file's; with the whitelist a playlist
        # that calls itself a recording opens nothing on the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise MediaError("unreadable", f"{path}: no audio or video that FFmpeg can read ({error})") from error
    with container:
        for stream in (*container.streams.video, *container.streams.audio):
            stream.thread_type = "NONE"  # work is spread over processes; more threads a decoder only compete
        yield container


@dataclass
class PacketCounts:
    """Packets that a decoder was given, and packets that it could not read."""

    num_packets: int = 0
    num_damaged: int = 0

    def check(self, path: str | Path, has_content: bool) -> None:
        """Refuse a stream of which too little could be read.

        Raises:
            MediaError: `damaged`.
        """
        if self.num_damaged > max(1.0, _MAX_DAMAGED_PACKETS * self.num_packets) or (
            self.num_damaged and not has_content
        ):
            raise MediaError("damaged", f"{path}: {self.num_damaged} of {self.num_packets} packets can't be decoded")


def decode_packets(packets: Iterable[Any], counts: PacketCounts) -> Iterator[Any]:
    """Frames of one stream's packets; packets that can't be read are only counted."""
    import av

    for packet in packets:
        counts.num_packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError:
            counts.num_damaged += 1
            continue
        yield from frames


def decode_sound(
    packets: Iterable[Any], counts: PacketCounts, levels: ChannelLevels | None = None, channel: int | None = None
) -> Iterator[tuple[float, Waveform]]:
    """Sound of one stream's packets.

    Args:
        packets: Packets of one audio stream.
        counts: Counts the packets.
        levels: Measures the channels, where there are several.
        channel: The one that is taken; None to mix them.

    Yields:
        The second at which a piece begins, on the stream's own clock, and [T] float32, 16 kHz mono. Pieces follow
        each other without a gap, unless the stream's time stamps jump.
    """
    import av

    resampler: Any = None
    layout: Any = None
    begin = expected = 0.0
    num_samples = 0

    def pieces(resampled: list[Any]) -> Iterator[tuple[float, Waveform]]:
        nonlocal num_samples
        for part in resampled:
            piece = part.to_ndarray().reshape(-1).astype(np.float32, copy=False)
            yield begin + num_samples / SAMPLE_RATE, piece
            num_samples += piece.size

    for frame in decode_packets(packets, counts):
        time = frame.time if frame.pts is not None else expected
        seconds = frame.samples / frame.sample_rate
        if frame.layout.nb_channels > 1:
            frame = _to_mix(frame, levels, channel)
        own_layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if own_layout != layout or abs(time - expected) > _JUMP_SECONDS:
            if resampler:
                yield from pieces(resampler.resample(None))
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            layout, begin, expected, num_samples = own_layout, time, time, 0
        expected += seconds
        frame.pts = None  # the resampler would fill gaps by its own rules
        yield from pieces(resampler.resample(frame))
    if resampler:
        yield from pieces(resampler.resample(None))


def _to_mix(frame: Any, levels: ChannelLevels | None, channel: int | None) -> Any:
    """A frame that FFmpeg can mix as it should be: the channel that was chosen, or all of them."""
    if channel is not None and channel < frame.layout.nb_channels:
        return mono_frame(channel_samples(frame)[channel], frame.sample_rate)
    is_unknown = is_unknown_layout(frame)
    if levels is None and not is_unknown:
        return frame
    samples = channel_samples(frame)
    if levels is not None:
        levels.add(samples)
    return mono_frame(samples.mean(0), frame.sample_rate) if is_unknown else frame
