"""An opened recording or video: packets from any second on, and sound exactly cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from data.errors import MediaError
from data.media.channels import ChannelLevels
from data.media.decoding import PacketCounts, decode_sound, open_media
from data.media.loudness import is_silent, level_loudness
from data.media.timeline import MISSING_SECONDS, Timeline, read_timeline
from data.media.voice_activity import find_speech
from data.media.waveform import SAMPLE_RATE, Waveform, check_finite

T = TypeVar("T")
F = TypeVar("F", bound="MediaFile")

TIME_ERROR = 1e-3
"""Seconds; time stamps of many files are whole milliseconds."""

_PREROLL = 0.3  # seconds that decoders of sound need before what they give is exact
_FURTHER_BACK = (0.0, 5.0, math.inf)  # seconds, where decoding can't start at the keyframe before
_INDEXED = ("mov", "matroska")  # containers whose index leads to a keyframe; others are read from the beginning
_BLOCK_SECONDS = 30.0  # of a track that are listened to at a time
_SECONDARY = "comment", "karaoke", "hearing_impaired", "visual_impaired", "clean_effects", "descriptions", "dependent"


class MediaFile:
    """An opened file; a context manager.

    Attributes:
        path: As it was given.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a file.

        Raises:
            MediaError: `empty` or `unreadable`.
        """
        self.path = path
        self._stack = ExitStack()
        self._is_fresh = True  # nothing was read yet
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        self.container = self._stack.enter_context(open_media(self.path))
        self._is_fresh = True

    def __enter__(self: F) -> F:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def timeline(self) -> Timeline:
        """Time stamps of its streams."""
        return read_timeline(self.path)

    @cached_property
    def sound_track(self) -> int:
        """Index of the stream of sound that is used: the first with speech, those marked as default first.

        Where no track has speech, the first that is not silent; where all are silent, the first that can be decoded.

        Raises:
            MediaError: `no-audio`, `empty` or `damaged`.
        """
        tracks = sorted(self.container.streams.audio, key=_rank)
        if not tracks:
            raise MediaError("no-audio", f"{self.path}: holds no audio stream")
        times = self.timeline.streams
        usable = [track.index for track in tracks if times[track.index].begin < math.inf]
        if not usable:
            if all(not times[track.index].presented.size for track in tracks):
                raise MediaError("empty", f"{self.path}: holds no audio samples")
            raise MediaError("damaged", f"{self.path}: none of its sound can be decoded")
        if len(usable) == 1:
            return usable[0]
        loud: list[int] = []
        for track in usable:
            for block in self._blocks(track):
                if not is_silent(block):
                    loud.append(track)
                    if find_speech(level_loudness(block)):
                        return track
        return (loud or usable)[0]

    def _blocks(self, track: int) -> Iterator[Waveform]:
        """The sound of a track, half a minute at a time; ends where decoding does."""
        times = self.timeline.streams[track]
        start = times.begin
        while start < times.end:
            try:
                yield self.read_sound(track, start, start + _BLOCK_SECONDS)
            except MediaError:
                return
            start += _BLOCK_SECONDS

    def read_sound(self, track: int, start: float, end: float) -> Waveform:
        """The sound of a part of the file.

        Args:
            track: Index of the stream.
            start: Second on the file's clock.
            end: Second at which it ends at the latest.

        Returns:
            [T] float32, 16 kHz mono; sample i is heard i / 16000 s after `start`, to one sample. Gaps between time
            stamps are silence. T is less where the track ends, 0 where it holds nothing.

        Raises:
            MediaError: `damaged` or `not-finite`.
        """
        levels = ChannelLevels()
        pieces = self._pieces(track, start, end, levels, None)
        if (channel := levels.lost_channel()) is not None:
            pieces = self._pieces(track, start, end, None, channel)
        last = pieces[-1][0] + pieces[-1][1].size / SAMPLE_RATE if pieces else start
        if end < self.timeline.streams[track].end:
            last = end  # what comes later lies behind a gap
        num_samples = round((min(last, end) - start) * SAMPLE_RATE)
        waveform = np.zeros(num_samples, np.float32)
        for time, piece in pieces:
            at = round((time - start) * SAMPLE_RATE)
            piece = piece[max(0, -at) : max(0, num_samples - at)]
            at = max(0, at)
            waveform[at : at + piece.size] = piece
        check_finite(waveform, f"{self.path}:")
        return waveform

    def _pieces(
        self, track: int, start: float, end: float, levels: ChannelLevels | None, channel: int | None
    ) -> list[tuple[float, Waveform]]:
        import av

        counts = PacketCounts()
        pieces: list[tuple[float, Waveform]] = []
        try:
            sound = self.read_from(
                track, start - _PREROLL, lambda packets: decode_sound(packets, counts, levels, channel)
            )
            for time, piece in sound:
                if time >= end:
                    break
                if time + piece.size / SAMPLE_RATE > start:
                    pieces.append((time, piece))
        except (av.FFmpegError, ValueError) as error:
            raise MediaError("damaged", f"{self.path}: decoding of the sound stopped: {error}") from error
        counts.check(self.path, bool(pieces))
        return pieces

    def read_from(
        self, index: int, second: float, decode: Callable[[Iterator[Any]], Iterator[tuple[float, T]]]
    ) -> Iterator[tuple[float, T]]:
        """What a decoder gives from a moment on or from earlier: as far back as it takes.

        Args:
            index: Index of the stream.
            second: On the file's clock.
            decode: From packets to what is wanted, each with its second.
        """
        times = self.timeline.streams[index]
        can_start = times.is_key if times.kind == "video" else np.ones(len(times.is_key), np.bool_)
        earliest: tuple[float, T] | None = None
        decoded: Iterator[tuple[float, T]] = iter(())
        for further_back in _FURTHER_BACK:
            target = second - further_back
            before = np.flatnonzero(can_start & (times.presented <= target + TIME_ERROR))
            first = int(before[-1]) if before.size else 0
            decoded = decode(self._packets(index, first, target))
            earliest = next(decoded, None)
            if first == 0 or (earliest is not None and earliest[0] <= second + TIME_ERROR):
                break
        if earliest is not None:
            yield earliest
            yield from decoded

    def _packets(self, index: int, first: int, second: float) -> Iterator[Any]:
        """Packets of a stream from its `first`-th on, or from earlier where an index leads to a second."""
        if first and self.container.format.name.startswith(_INDEXED):
            packets = self._packets_after_jump(index, second)
            packet = next(packets, None)
            ticks = self.timeline.streams[index].ticks
            pts = None if packet is None else packet.pts
            found = np.zeros(0, np.intp) if pts is None else np.flatnonzero(ticks == pts)
            if found.size == 1 and found[0] <= first:
                yield packet
                yield from packets
                return
        if not self._is_fresh:
            # A jump to the beginning may leave out the first packets of a stream.
            self._stack.close()
            self._open()
        self._is_fresh = False
        for number, packet in enumerate(self.container.demux(self.container.streams[index])):
            if number >= first:
                yield packet

    def _packets_after_jump(self, index: int, second: float) -> Iterator[Any]:
        """Packets of a stream from where the index leads to; none where it leads nowhere."""
        import av

        self._is_fresh = False
        try:
            self.container.seek(math.floor(second * av.time_base), backward=True)
        except av.FFmpegError:
            return
        yield from self.container.demux(self.container.streams[index])


def check_whole(path: str | Path, what: str, part: tuple[float, float], there: tuple[float, float]) -> None:
    """Refuse a part of which more than half a second is missing at either end.

    Args:
        path: Name of the file in the message.
        what: `sound` or `pictures`, for the message.
        part: First and last second that are wanted.
        there: First and last second that were found.

    Raises:
        MediaError: `truncated`.
    """
    if there[0] > part[0] + MISSING_SECONDS or there[1] < part[1] - MISSING_SECONDS:
        raise MediaError(
            "truncated",
            f"{path}: {what} only from {there[0]:.1f} to {there[1]:.1f} s of its clock, "
            f"wanted from {part[0]:.1f} to {part[1]:.1f} s",
        )


def _rank(track: Any) -> tuple[bool, bool, int]:
    """Order of tracks: what is made for few last, what is marked as default first."""
    import av

    marks = track.disposition
    kinds = av.stream.Disposition
    is_secondary = any(marks & kinds[name] for name in _SECONDARY)
    return is_secondary, not marks & kinds.default, track.index
