"""One idea of time: where a media file begins and ends, and which of its time stamps count.

Time stamps are read from the packets themselves, never from what a header declares or FFmpeg guesses (the length of
raw AAC, of MP3 without an index). All times are seconds on the file's own clock, as PyAV gives them; a video's second 0
is its first presented time stamp over the streams that are used.
"""

from __future__ import annotations

import functools
import math
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError
from data.media.decoding import MAX_PIXELS, open_media

MAX_ERROR = 0.04
"""Seconds by which something published may lie elsewhere in its source."""

MISSING_SECONDS = 0.5
"""Seconds by which streams may begin or end apart without being cut to the part where both exist."""

NO_TICKS = -(1 << 63)
"""Time stamp of a packet that has none, as in FFmpeg."""

_MAX_GAP = 10.0  # seconds without any packet, in containers whose clocks may restart: FFmpeg's dts_delta_threshold
_MAX_FOREIGN = 0.1  # share of a file's bytes behind the last packet of its streams
_SLACK_BYTES = 1 << 14
_RESTARTING = ("mpeg", "mpegts")  # containers whose clocks start anywhere and wrap; FFmpeg unwraps them
_JOINED_BY_BYTES = ("mpeg", "mpegts", "flv")  # containers without an index behind their last packet
_UNMARKED_PRIMING = ("mpeg", "mpegts")  # containers that can't say that the first samples are an encoder's
_PRIMING_SECONDS = 0.025  # 1024 samples of AAC at 44.1 kHz
_DECLARED = ("mov", "matroska")  # containers whose index knows their true length
_KNOWN = 8  # files whose time stamps are remembered, one process


@dataclass(frozen=True)
class StreamTimes:
    """Time stamps of one stream.

    Attributes:
        kind: `video`, `audio` or another of FFmpeg's kinds.
        begin: Second at which its first decoded frame is presented; inf where nothing can be decoded.
        end: Second at which its last frame ends.
        presented: [P] second of each packet in the order of the file, NaN where a packet has none.
        ticks: [P] the same in units of the stream's time base, `NO_TICKS` where a packet has none.
        is_key: [P] whether decoding can start there.
        declared_seconds: Length by the container's index; None where it has none.
        back: Largest step back of the decoding time stamps, in seconds.
        gaps: Seconds (from, to) between which packets are more than `_MAX_GAP` apart.
        first_byte: Position of its first packet in the file, a large number where it has none.
        last_byte: Position of the end of its last packet, -1 where it has none.
    """

    kind: str
    begin: float
    end: float
    presented: NDArray[np.float64]
    ticks: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    declared_seconds: float | None
    back: float
    gaps: tuple[tuple[float, float], ...]
    first_byte: int
    last_byte: int

    @property
    def is_media(self) -> bool:
        """Whether it holds pictures or sound."""
        return self.kind in ("video", "audio")


@dataclass(frozen=True)
class Timeline:
    """Time stamps of a file's streams.

    Attributes:
        path: Name of the file in messages.
        container: FFmpeg's name of the format.
        num_bytes: Size of the file.
        streams: In the order of the file.
        declared_end: Second at which the container's index says that the file ends; None where it does not say.
    """

    path: str
    container: str
    num_bytes: int
    streams: tuple[StreamTimes, ...]
    declared_end: float | None

    def check(self, *used: int) -> None:
        """Refuse a clock that can't be followed.

        Args:
            used: Indices of the streams that are read together.

        Raises:
            MediaError: `clock-jumps`.
        """
        streams = [self.streams[index] for index in used]
        back = max(stream.back for stream in streams)
        if back > MAX_ERROR:
            raise self._jumps(f"its time stamps go back by {back:.2f} s")
        last_byte = max(stream.last_byte for stream in streams)
        together = [stream for stream in self.streams if stream.is_media and stream.first_byte <= last_byte]
        if self.container.startswith(_RESTARTING):
            for since, to in streams[0].gaps:
                others = [stream.gaps for stream in together if stream.end >= to]
                if all(any(_overlap((since, to), gap) > _MAX_GAP for gap in gaps) for gaps in others):
                    raise self._jumps(f"its time stamps leap by {to - since:.0f} s")
        if self.container.startswith(_JOINED_BY_BYTES) and last_byte >= 0:
            last_byte = max(stream.last_byte for stream in together)
            if self.num_bytes - last_byte > _MAX_FOREIGN * self.num_bytes + _SLACK_BYTES:
                share = 1 - last_byte / self.num_bytes
                raise self._jumps(f"the last {100 * share:.0f} % of it belong to other streams")

    def check_complete(self, *used: int) -> None:
        """Refuse a file whose index promises more than is there.

        Raises:
            MediaError: `truncated`.
        """
        if not self.container.startswith(_DECLARED):
            return
        for stream in (self.streams[index] for index in used):
            if stream.declared_seconds is not None:
                self._check_reached(stream.end - min(stream.begin, stream.end), stream.declared_seconds)
        if self.declared_end is not None and all(stream.declared_seconds is None for stream in self.streams):
            begin = min(self.streams[index].begin for index in used)
            reached = max(stream.end for stream in self.streams)
            # Some programs count the length from the first time stamp, others from zero.
            self._check_reached(reached - begin, self.declared_end - max(0.0, min(begin, self.declared_end)))

    def begin(self, *used: int) -> float:
        """The video's second 0: the first presented time stamp over the streams used.

        Where a container can't mark the samples with which an encoder of sound starts, these don't count.
        """
        streams = [self.streams[index] for index in used]
        first = min(stream.begin for stream in streams)
        if self.container in _UNMARKED_PRIMING:
            shown = min((stream.begin for stream in streams if stream.kind == "video"), default=first)
            return shown if shown - first <= _PRIMING_SECONDS else first
        return first

    def end(self, *used: int) -> float:
        """The last second at which any of the streams is there."""
        return max(self.streams[index].end for index in used)

    def common_part(self, *used: int) -> tuple[float, float]:
        """First and last second of the part where all of the streams exist.

        Streams that begin or end less than `MISSING_SECONDS` apart count as together: what is missing of one is
        silence, or the picture next to it.
        """
        begins, ends = [self.streams[i].begin for i in used], [self.streams[i].end for i in used]
        first = max(begins) if max(begins) - self.begin(*used) > MISSING_SECONDS else self.begin(*used)
        last = min(ends) if max(ends) - min(ends) > MISSING_SECONDS else max(ends)
        return first, last

    def _check_reached(self, reached: float, declared: float) -> None:
        if reached < 0.95 * declared - 0.25:
            raise MediaError("truncated", f"{self.path}: only {reached:.1f} of {declared:.1f} seconds are there")

    def _jumps(self, what: str) -> MediaError:
        return MediaError(
            "clock-jumps", f"{self.path}: {what}, as where recordings were joined; cut it into its recordings"
        )


def read_timeline(path: str | Path) -> Timeline:
    """Time stamps of all packets of a file; remembered for the last few files.

    Raises:
        MediaError: `unreadable` or `empty`.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        raise MediaError("unreadable", f"{path}: no audio or video that FFmpeg can read ({error})") from error
    return _read_timeline(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=_KNOWN)
def _read_timeline(path: str, num_bytes: int, changed: int) -> Timeline:
    import av

    with open_media(path) as container:
        scans = [_Scan(stream, container.format.name) for stream in container.streams]
        declared_end = container.duration / av.time_base if container.duration else None
        packets = container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, ValueError):
                break  # what is there until here can be used; whoever needs more misses it
            if packet is None:
                break
            scans[packet.stream.index].add(packet)
        streams = tuple(scan.finished() for scan in scans)
        return Timeline(path, container.format.name, num_bytes, streams, declared_end)


class _Scan:
    """Collects the time stamps of one stream."""

    def __init__(self, stream: Any, container: str) -> None:
        self._stream = stream
        self._unit = float(stream.time_base or 1)
        has_index = container.startswith("mov") and stream.duration
        self._declared = float(stream.duration * stream.time_base) if has_index else None
        context = stream.codec_context if stream.type in ("video", "audio") else None
        self._can_decode = context is not None and (
            stream.type == "audio" or context.width * context.height <= MAX_PIXELS
        )
        rate = stream.average_rate if stream.type == "video" else None
        self._usual_duration = 1 / float(rate) if rate else 0.0
        self._begin: float | None = None
        self._pts, self._dts, self._durations = array("q"), array("q"), array("q")
        self._is_key, self._is_shown = array("b"), array("b")
        self._first_byte, self._last_byte = 1 << 62, -1

    def add(self, packet: Any) -> None:
        """Take note of a packet."""
        if self._can_decode and self._begin is None:
            self._decode(packet)
        if not packet.size:
            return  # the mark of the end
        pts, dts = packet.pts, packet.dts
        self._dts.append(NO_TICKS if dts is None else dts)
        self._pts.append(self._dts[-1] if pts is None else pts)
        self._durations.append(packet.duration or 0)
        self._is_key.append(packet.is_keyframe)
        self._is_shown.append(not packet.is_discard)
        position = packet.pos
        if position is not None and position >= 0:
            self._first_byte = min(self._first_byte, position)
            self._last_byte = max(self._last_byte, position + packet.size)

    def _decode(self, packet: Any) -> None:
        """Until a frame comes out: only a decoder knows which of the first ones are shown and heard."""
        import av

        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError, RuntimeError):
            return
        frame = next((frame for frame in frames if not frame.is_corrupt), None)
        if frame is not None:
            first = self._pts[0] if self._pts else packet.pts or 0
            self._begin = first * self._unit if frame.time is None else frame.time

    def finished(self) -> StreamTimes:
        """What the packets say."""
        ticks = np.frombuffer(self._pts, np.int64)
        presented = np.where(ticks == NO_TICKS, np.nan, ticks * self._unit)
        durations = np.frombuffer(self._durations, np.int64) * self._unit
        ends = presented + np.where(durations > 0, durations, self._usual_duration)
        ends = ends[np.frombuffer(self._is_shown, np.int8).astype(bool) & ~np.isnan(ends)]
        stamps = np.frombuffer(self._dts, np.int64)
        stamps = stamps[stamps != NO_TICKS] * self._unit
        latest = np.maximum.accumulate(stamps)
        steps = stamps[1:] - latest[:-1]
        leaps = np.flatnonzero(steps > _MAX_GAP)
        return StreamTimes(
            kind=self._stream.type,
            begin=math.inf if self._begin is None else self._begin,
            end=float(ends.max()) if ends.size else -math.inf,
            presented=presented,
            ticks=ticks,
            is_key=np.frombuffer(self._is_key, np.int8).astype(bool),
            declared_seconds=self._declared,
            back=max(0.0, -float(steps.min())) if steps.size else 0.0,
            gaps=tuple((float(latest[at]), float(stamps[at + 1])) for at in leaps),
            first_byte=self._first_byte,
            last_byte=self._last_byte,
        )


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Seconds that two spans have in common, negative where they have none."""
    return min(one[1], other[1]) - max(one[0], other[0])
