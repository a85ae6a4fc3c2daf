"""Sound and pictures of a part of a video file, exactly cut, in one opened file and without temporary files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError
from data.media.decoding import MAX_SECONDS, Tally, decode_packets, decode_sound, open_media
from data.media.waveform import SAMPLE_RATE, Waveform
from data.videos.watch.cuts import CutFinder
from data.videos.watch.picture import PictureMaker, deinterlaced

T = TypeVar("T")

MAX_FRAMES = 100
"""The most frames that are sampled of a part; longer parts are sampled less often."""

_MISSING_SECONDS = 0.5  # that may be missing at either end: sound and picture seldom end together
_PREROLL = 0.3  # seconds that decoders of sound need before what they give is exact
_RETRIES = (5.0, math.inf)  # seconds further back, where a file has no good index
_SPARSE = 8  # times fewer frames wanted than there are: then those that no other refers to are not decoded
_TIME_ERROR = 1e-3  # seconds; time stamps of many files are whole milliseconds
_USUAL_RATE = 25.0
_VAGUE = ("mpeg",)  # containers in which the first frames after a jump get wrong times
_CLOCKS_FROM_ANYWHERE = ("mpeg", "mpegts")  # broadcasts, whose time stamps begin at any number


@dataclass(frozen=True)
class Frame:
    """A picture of a video.

    Attributes:
        image: [H, W, 3] uint8 RGB, upright, with square pixels, at most `MAX_SIDE` on its longer side.
        time: Second on the file's clock at which it is shown.
        shot: How many cuts lie between the first frame and this one.
        shot_begin: Second on the file's clock of the last of these cuts, -inf before the first.
    """

    image: NDArray[np.uint8]
    time: float
    shot: int
    shot_begin: float = -math.inf


class VideoFile:
    """An opened file with pictures and sound; a context manager.

    Attributes:
        begin: Second of its own clock that is the video's second 0.
        duration: Seconds as the file declares them; 0 where it does not.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a file.

        Raises:
            MediaError: `empty`, `unreadable`, `no-video`, `no-audio` or `too-large`.
        """
        self.path = path
        self._stack = ExitStack()
        self._skip = "DEFAULT"
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        import av

        self._container = container = self._stack.enter_context(open_media(self.path))
        pictures = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not pictures:
            raise MediaError("no-video", f"{self.path}: holds no video stream")
        if not container.streams.audio:
            raise MediaError("no-audio", f"{self.path}: holds no audio stream")
        self._pictures, self._sound = pictures[0], container.streams.audio[0]
        self._first = (container.start_time or 0) / av.time_base
        starts_anywhere = container.format.name in _CLOCKS_FROM_ANYWHERE and self._pictures.start_time is not None
        self.begin = float(self._pictures.start_time * self._pictures.time_base) if starts_anywhere else 0.0
        self._is_fresh = True  # nothing was read yet
        self.duration = (container.duration or 0) / av.time_base
        self._maker = PictureMaker(self.path, self._pictures)

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def waveform(self, start: float, end: float | None) -> Waveform:
        """The sound of a part of the file.

        Args:
            start: Second on the file's clock.
            end: Second at which it ends; None for the file's end.

        Returns:
            [T] float32, 16 kHz mono; sample i is heard i / 16000 s after `start`, to one sample.

        Raises:
            MediaError: `truncated` if more than half a second of the part is missing at either end, `damaged`,
                `too-long`, `empty` or `not-finite`.
        """
        import av

        self._check_length(start, end)
        tally = Tally()
        limit = start + MAX_SECONDS if end is None else end
        pieces: list[tuple[float, Waveform]] = []
        try:
            sound = self._from(start - _PREROLL, lambda: decode_sound(self._container, self._sound, tally))
            for time, piece in sound:
                if time >= limit:
                    break
                if time + piece.size / SAMPLE_RATE > start:
                    pieces.append((time - start, piece))
        except (av.FFmpegError, ValueError) as error:
            raise MediaError("damaged", f"{self.path}: decoding of the sound stopped: {error}") from error
        tally.check(self.path, bool(pieces))
        if not pieces:
            raise self._nothing("sound", start)
        last = pieces[-1][0] + pieces[-1][1].size / SAMPLE_RATE
        self._check_whole(
            "sound", start, self._declared_end() if end is None else end, start + pieces[0][0], start + last
        )
        return self._joined(pieces, round(min(last, limit - start) * SAMPLE_RATE))

    def _joined(self, pieces: list[tuple[float, Waveform]], num_samples: int) -> Waveform:
        """Each piece in its place; nothing is heard where there is none."""
        waveform = np.zeros(num_samples, np.float32)
        for time, piece in pieces:
            at = round(time * SAMPLE_RATE)
            piece = piece[max(0, -at) : max(0, num_samples - at)]
            at = max(0, at)
            waveform[at : at + piece.size] = piece
        if not np.isfinite(waveform).all():
            raise MediaError("not-finite", f"{self.path}: holds samples that are NaN or infinite")
        return waveform

    def _declared_end(self) -> float:
        """Where the sound ends by the container's index; -inf where there is none."""
        sound = self._sound
        if sound.duration and self._container.format.name.startswith(("mov", "matroska")):
            return float(((sound.start_time or 0) + sound.duration) * sound.time_base)
        return -math.inf

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
        rate = float(self._pictures.average_rate or _USUAL_RATE)
        self._skip = "NONREF" if rate * step >= _SPARSE else "DEFAULT"
        tally, cuts = Tally(), CutFinder()
        wanted, first, last = start, math.inf, -math.inf
        shown: _Shown | None = None
        shot_begin = -math.inf
        try:
            for time, frame in self._from(start, lambda: self._timed_frames(tally, rate)):
                if time >= end - _TIME_ERROR:
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
                if wanted < time + _TIME_ERROR:
                    yield upcoming.picture(self._maker)
                    wanted += step
                shown = upcoming
        except (av.FFmpegError, ValueError) as error:
            raise MediaError("damaged", f"{self.path}: decoding of the pictures stopped: {error}") from error
        tally.check(self.path, first < math.inf)
        if shown is None:
            raise self._nothing("pictures", start)
        self._check_whole("pictures", start, end, first, last)
        while wanted < min(last, end) - _TIME_ERROR:
            yield shown.picture(self._maker)
            wanted += step

    def _timed_frames(self, tally: Tally, rate: float) -> Iterator[tuple[float, Any]]:
        """Frames from where the container stands, each with its second."""
        self._pictures.codec_context.skip_frame = self._skip
        time = self._first - 1 / rate
        for frame in deinterlaced(decode_packets(self._container, self._pictures, tally), self._pictures):
            time = frame.time if frame.pts is not None else time + 1 / rate
            if not frame.is_corrupt:
                yield time, frame

    def _from(self, start: float, decode: Callable[[], Iterator[tuple[float, T]]]) -> Iterator[tuple[float, T]]:
        """What a decoder gives from a moment on or from earlier: as far back as it takes, for lack of an index."""
        for further_back in _RETRIES if self._container.format.name in _VAGUE else (0.0, *_RETRIES):
            is_beginning = self._go_to(start - further_back)
            decoded = decode()
            earliest = next(decoded, None)
            if is_beginning or (earliest is not None and earliest[0] <= start + _TIME_ERROR):
                break
        if earliest is not None:
            yield earliest
            yield from decoded

    def _go_to(self, second: float) -> bool:
        """To a keyframe before a moment, as far as the index knows one; returns whether nothing lies before."""
        import av

        if self._is_fresh and second <= self._first:
            self._is_fresh = False
            return True
        if second > self._first - _RETRIES[0]:
            try:
                self._container.seek(math.floor(max(second, self._first) * av.time_base), backward=True)
                self._is_fresh = False
                return False
            except av.FFmpegError:
                pass
        # A jump to the beginning may leave out the first packets of a stream.
        self._stack.close()
        self._open()
        self._is_fresh = False
        return True

    def _check_length(self, start: float, end: float | None) -> None:
        length = (self.duration if end is None else end) - start
        if length > MAX_SECONDS:
            raise MediaError(
                "too-long", f"{self.path}: {length / 60:.0f} minutes, at most {MAX_SECONDS / 60:.0f} allowed"
            )
        if self.duration and start >= self._first + self.duration:
            raise self._nothing("pictures and sound", start)

    def _check_whole(self, what: str, start: float, end: float, first: float, last: float) -> None:
        if first > start + _MISSING_SECONDS or last < end - _MISSING_SECONDS:
            raise MediaError(
                "truncated",
                f"{self.path}: {what} only from {first - self.begin:.1f} to {last - self.begin:.1f} s, "
                f"wanted from {start - self.begin:.1f} to {end - self.begin:.1f} s",
            )

    def _nothing(self, what: str, start: float) -> MediaError:
        return MediaError("truncated", f"{self.path}: no {what} from {start - self.begin:.1f} s on")


def count_samples(seconds: float, fps: float) -> int:
    """How many frames `VideoFile.frames` samples of a part."""
    return max(1, min(MAX_FRAMES, math.ceil(seconds * fps - _TIME_ERROR)))


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
