"""Sound and pictures of a part of a video file, exactly cut, in one opened file and without temporary files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError
from data.media.decoding import MAX_SECONDS, PacketCounts, decode_packets
from data.media.media_file import TIME_ERROR, MediaFile, check_whole
from data.media.waveform import SAMPLE_RATE, Waveform
from data.videos.watch.cuts import CutFinder
from data.videos.watch.picture import PictureMaker, deinterlaced

MAX_FRAMES = 100
"""The most frames that are sampled of a part; longer parts are sampled less often."""

_SPARSE = 8  # times fewer frames wanted than there are: then those that no other refers to are not decoded
_USUAL_RATE = 25.0


@dataclass(frozen=True)
class Frame:
    """A picture of a video.

    Attributes:
        image: [H, W, 3] uint8 RGB, upright, with square pixels, at most `MAX_SIDE` on its longer side.
        time: Second on the file's clock at which it is shown.
        shot: Number of cuts between the first frame and this one.
        shot_begin: Second on the file's clock of the last of these cuts, -inf before the first.
    """

    image: NDArray[np.uint8]
    time: float
    shot: int
    shot_begin: float = -math.inf


class VideoFile(MediaFile):
    """An opened file with pictures and sound; a context manager.

    Attributes:
        begin: Second of its own clock that is the video's second 0: its first presented time stamp.
        end: Last second of its own clock at which there are pictures or sound.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a file.

        Raises:
            MediaError: `empty`, `unreadable`, `no-video`, `no-audio`, `too-large`, `damaged` or `clock-jumps`.
        """
        import av

        super().__init__(path)
        try:
            marked = av.stream.Disposition.attached_pic
            pictures = [stream for stream in self.container.streams.video if not stream.disposition & marked]
            if not pictures:
                raise MediaError("no-video", f"{path}: holds no video stream")
            if not self.container.streams.audio:
                raise MediaError("no-audio", f"{path}: holds no audio stream")
            self._picture_track = pictures[0].index
            self._maker = PictureMaker(path, pictures[0])
            if self.timeline.streams[self._picture_track].begin == math.inf:
                raise MediaError("damaged", f"{path}: none of its pictures can be decoded")
            self._used = self._picture_track, self.sound_track
            self.timeline.check(*self._used)
        except BaseException:
            self._stack.close()
            raise
        self.begin, self.end = self.timeline.begin(*self._used), self.timeline.end(*self._used)

    def part(self, start: float | None, end: float | None) -> tuple[float, float | None]:
        """The part of a wanted one where both pictures and sound exist.

        Args:
            start: Second on the file's clock; None for the file's beginning.
            end: Second at which it ends; None for the file's end.

        Returns:
            The same of the part; its end is None where that is the file's end.

        Raises:
            MediaError: `truncated`, if more than half a second of the wanted part lies outside the file, or pictures
                and sound have no part in common.
        """
        wanted = self.begin if start is None else start, self.end if end is None else end
        check_whole(self.path, "it has something", wanted, (self.begin, self.end))
        first, last = self.timeline.common_part(*self._used)
        if first > self.begin:
            start = max(wanted[0], first)
        if last < self.end:
            end = min(wanted[1], last)
        start = self.begin if start is None else start
        if start >= (self.end if end is None else end):
            raise MediaError("truncated", f"{self.path}: pictures and sound have no part in common there")
        return start, end

    def waveform(self, start: float, end: float | None) -> Waveform:
        """The sound of a part of the file.

        Args:
            start: Second on the file's clock.
            end: Second at which it ends; None for the file's end.

        Returns:
            [T] float32, 16 kHz mono; sample i is heard i / 16000 s after `start`, to one sample.

        Raises:
            MediaError: `truncated` if more than half a second of the part is missing at either end, `damaged`,
                `too-long` or `not-finite`.
        """
        self._check_length(start, end)
        if end is None:
            self.timeline.check_complete(*self._used)
        limit = start + MAX_SECONDS if end is None else end
        waveform = self.read_sound(self.sound_track, start, limit)
        if not waveform.size:
            raise self._nothing("sound", start)
        there = self.timeline.streams[self.sound_track].begin, start + waveform.size / SAMPLE_RATE
        check_whole(self.path, "sound", (start, -math.inf if end is None else end), there)
        return waveform

    def frames(self, start: float, end: float, fps: float) -> Iterator[Frame]:
        """Pictures of a part of the file, evenly sampled by time.

        A sample is the first frame from its moment on, or the frame that is still shown where the next one comes
        late: so a slide that lasts is given again and again (the same array).

        Args:
            start: Second on the file's clock.
            end: Second at which it ends.
            fps: Samples a second.

        Yields:
            At most `MAX_FRAMES` frames.

        Raises:
            MediaError: `truncated`, `damaged`, `too-long` or `too-large`.
        """
        import av

        self._check_length(start, end)
        step = (end - start) / count_samples(end - start, fps)
        rate = float(self.container.streams[self._picture_track].average_rate or _USUAL_RATE)
        skip = "NONREF" if rate * step >= _SPARSE else "DEFAULT"
        counts, cuts = PacketCounts(), CutFinder()
        wanted, first, last = start, math.inf, -math.inf
        shown: _Shown | None = None
        shot_begin = -math.inf
        try:
            timed = self.read_from(
                self._picture_track, start, lambda packets: self._timed_frames(packets, counts, rate, skip)
            )
            for time, frame in timed:
                if time >= end - TIME_ERROR:
                    last = end
                    break
                first, last = min(first, time), time + _seconds_of(frame, rate)
                shot = cuts.shot(frame)
                if shown is not None and shot != shown.shot:
                    shot_begin = time
                upcoming = _Shown(time, frame, shot, shot_begin)
                while wanted + step / 2 < time:
                    if shown is not None:
                        yield shown.picture(self._maker)
                    wanted += step
                if wanted < time + TIME_ERROR:
                    yield upcoming.picture(self._maker)
                    wanted += step
                shown = upcoming
        except (av.FFmpegError, ValueError) as error:
            raise MediaError("damaged", f"{self.path}: decoding of the pictures stopped: {error}") from error
        counts.check(self.path, first < math.inf)
        if shown is None:
            raise self._nothing("pictures", start)
        check_whole(self.path, "pictures", (start, end), (first, last))
        while wanted < min(last, end) - TIME_ERROR:
            yield shown.picture(self._maker)
            wanted += step

    def _timed_frames(
        self, packets: Iterator[Any], counts: PacketCounts, rate: float, skip: str
    ) -> Iterator[tuple[float, Any]]:
        """Frames of packets, each with its second."""
        first = next(packets, None)  # the file may be opened anew for it
        if first is None:
            return
        stream = first.stream
        stream.codec_context.skip_frame = skip
        time = self.timeline.streams[self._picture_track].begin - 1 / rate
        decoded = decode_packets(itertools.chain([first], packets), counts)
        for frame in deinterlaced(decoded, stream):
            time = frame.time if frame.pts is not None else time + 1 / rate
            if not frame.is_corrupt:
                yield time, frame

    def _check_length(self, start: float, end: float | None) -> None:
        length = (self.end if end is None else end) - start
        if length > MAX_SECONDS:
            raise MediaError(
                "too-long", f"{self.path}: {length / 60:.0f} minutes, at most {MAX_SECONDS / 60:.0f} allowed"
            )
        if start >= self.end:
            raise self._nothing("pictures and sound", start)

    def _nothing(self, what: str, start: float) -> MediaError:
        return MediaError("truncated", f"{self.path}: no {what} from {start - self.begin:.1f} s on")


def count_samples(seconds: float, fps: float) -> int:
    """How many frames `VideoFile.frames` samples of a part."""
    return max(1, min(MAX_FRAMES, math.ceil(seconds * fps - TIME_ERROR)))


@dataclass
class _Shown:
    """A frame on its way to become a picture, once at most."""

    time: float
    frame: Any
    shot: int
    shot_begin: float
    made: Frame | None = None

    def picture(self, maker: PictureMaker) -> Frame:
        if self.made is None:
            self.made = Frame(maker.make(self.frame), self.time, self.shot, self.shot_begin)
        return self.made


def _seconds_of(frame: Any, rate: float) -> float:
    """How long a frame is shown."""
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 1 / rate
