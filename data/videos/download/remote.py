"""Sections of remote videos: only the bytes of the section are fetched, its packets are copied as they are."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import MediaError
from data.videos.download.completeness import origin_comment

_INDEXED = ("mov", "matroska")  # containers whose index leads to a second
_CHUNK_BYTES = 8 << 20  # size of one request; sites slow down longer ones
_SKIP_BYTES = 1 << 18  # shorter gaps are read and discarded, which is faster than another request
_MIN_READ, _MAX_READ = 1 << 7, 1 << 16
_READ_SECONDS = 0.25  # longest duration of one read from a slow server; between reads the deadline is checked
_SLACK_SECONDS = 1.0  # streams may end so much before the duration that their container declares


class NotCuttableError(Exception):
    """A video of which no section can be had: the whole of it has to be fetched."""


@dataclass(frozen=True)
class Limits:
    """Limits of one download.

    Attributes:
        deadline: Moment at which it is given up, on the clock of `time.monotonic`.
        max_bytes: Largest number of bytes in all.
    """

    deadline: float
    max_bytes: int

    def check(self, num_bytes: int, expected: int = 0) -> None:
        """Refuse a download that takes too long or is too large.

        Args:
            num_bytes: Number of bytes received so far.
            expected: Number of bytes of the whole download; 0 where unknown.

        Raises:
            MediaError: `network` or `too-large`.
        """
        if max(num_bytes, expected) > self.max_bytes:
            raise MediaError("too-large", f"larger than the {self.max_bytes / 2**20:.0f} MiB allowed")
        if time.monotonic() > self.deadline:
            raise MediaError("network", f"too slow: only {num_bytes} bytes came in the time allowed for a download")


class RemoteFile(io.RawIOBase):
    """A file behind HTTP byte ranges, through yt-dlp's network: its headers, cookies, proxies and time limits.

    Attributes:
        error: Error that ended reading early. PyAV loses exceptions of its callbacks; it is given the end of the file
            instead.
        num_bytes: Number of bytes received so far.
    """

    def __init__(self, downloader: Any, url: str, headers: Mapping[str, str], limits: Limits) -> None:
        """Ask for the first bytes.

        Raises:
            NotCuttableError: If the server sends the whole file instead.
            yt_dlp.networking.exceptions.RequestError: If it does not answer as it should.
        """
        self._downloader, self._url, self._headers, self._limits = downloader, url, headers, limits
        self._response: Any = None
        self._position = self._at = self._until = 0  # of the reader, of the response, its end
        self._step = _MIN_READ
        self._size: int | None = None
        self.error: Exception | None = None
        self.num_bytes = 0
        self._request(0)

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def tell(self) -> int:
        """Position of the byte that is read next."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position; the server is asked only when bytes are read."""
        assert self._size is not None
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; none at the end of the file, or once `error` is set."""
        assert self._size is not None
        if self._position >= self._size or size == 0 or self.error is not None:
            return b""
        try:
            return self._read_some(size)
        except Exception as error:  # of the network, whatever library does it
            self.error = error
            return b""

    def check(self) -> None:
        """Raise what ended reading early, if anything did."""
        if self.error is not None:
            raise self.error

    def _read_some(self, size: int) -> bytes:
        from yt_dlp.networking.exceptions import IncompleteRead

        if not self._at <= self._position <= min(self._at + _SKIP_BYTES, self._until - 1):
            self._request(self._position)
        while True:
            self._limits.check(self.num_bytes)
            ahead = self._position - self._at
            wanted = ahead or (self._step if size < 0 else min(size, self._step))
            start = time.monotonic()
            data = self._response.read(min(wanted, self._until - self._at))
            elapsed = time.monotonic() - start
            self._step = max(_MIN_READ, self._step // 2) if elapsed > _READ_SECONDS else min(_MAX_READ, self._step * 2)
            if not data:
                raise IncompleteRead(self._at, self._until - self._at)
            self.num_bytes += len(data)
            self._at += len(data)
            if not ahead:
                self._position += len(data)
                return bytes(data)

    def close(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            self._response.close()
        super().close()

    def _request(self, start: int) -> None:
        """Ask for a chunk."""
        from yt_dlp.networking import Request

        if self._response is not None:
            self._response.close()
        headers = {**self._headers, "Accept-Encoding": "identity", "Range": f"bytes={start}-{start + _CHUNK_BYTES - 1}"}
        self._response = self._downloader.urlopen(Request(self._url, headers=headers))
        # "bytes 0-99/1234"
        unit, _, span = (self._response.headers.get("Content-Range") or "").partition(" ")
        span, _, size = span.partition("/")
        first, _, last = span.partition("-")
        if self._response.status != 206 or unit != "bytes" or not size.isdigit() or first != str(start):
            raise NotCuttableError("the server does not send byte ranges")
        if self._size not in (None, int(size)):
            raise NotCuttableError("the file has changed meanwhile")
        self._size, self._at, self._until = int(size), start, int(last) + 1


def cut_section(
    downloader: Any, formats: Sequence[Mapping[str, Any]], window: tuple[float, float], path: Path, limits: Limits
) -> None:
    """Copy the packets of a section, from the keyframe before it on, with their own time stamps.

    The file's comment says where on its clock the video begins; see `check_source`.

    Args:
        downloader: yt-dlp's.
        formats: As yt-dlp chose them: one file, or one with the pictures and one with the sound.
        window: First and last second of the video. More is copied where keyframes lie so; less where the video ends.
        path: An MP4 file to be written.
        limits: What it may cost.

    Raises:
        NotCuttableError: If the whole video has to be fetched instead.
        MediaError: `out-of-range`, `truncated`, `not-a-video`, `network` or `too-large`.
        yt_dlp.networking.exceptions.RequestError: If the server does not send what it should.
    """
    import av

    start, end = window
    with ExitStack() as stack:
        inputs = []
        for chosen in formats:
            if chosen.get("protocol") not in ("http", "https") or chosen.get("fragments"):
                raise NotCuttableError("it comes in fragments")
            remote = stack.enter_context(
                RemoteFile(downloader, chosen["url"], chosen.get("http_headers") or {}, limits)
            )
            inputs.append((remote, stack.enter_context(_open(remote))))
        output = stack.enter_context(av.open(str(path), "w", format="mp4"))
        copies: dict[Any, Any] = {}
        kinds: set[str] = set()
        try:
            for _, container in inputs:
                for kind, streams in _wanted_streams(container).items():
                    if streams and kind not in kinds:
                        kinds.add(kind)
                        for stream in streams:
                            copies[stream] = output.add_stream_from_template(stream)
                            copies[stream].disposition = stream.disposition
            if not copies:
                raise MediaError("not-a-video", "neither pictures nor sound in it")
            origin = min(_begin(stream) for stream in copies)
            output.metadata["comment"] = origin_comment(origin)
            output.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            raise NotCuttableError(f"MP4 can't hold it: {error}") from error
        for remote, container in inputs:
            _copy_packets(remote, container, output, copies, (start, end), origin)


def _wanted_streams(container: Any) -> dict[str, list[Any]]:
    """The best pictures, and all tracks of sound: which one has speech only a decoder can tell."""
    pictures = container.streams.best("video")
    return {"video": [pictures] if pictures is not None else [], "audio": list(container.streams.audio)}


def _begin(stream: Any) -> float:
    """Second of its first time stamp; FFmpeg counts the samples with which an encoder starts out of it."""
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def _open(remote: RemoteFile) -> Any:
    """PyAV's container, if sections can be cut out of its kind by time."""
    import av

    try:
        container = av.open(remote, metadata_errors="ignore", buffer_size=_MAX_READ)
    except av.FFmpegError as error:
        remote.check()
        remote.seek(0)
        head = remote.read(12)
        remote.check()
        if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
            raise MediaError("truncated", f"its index is missing or damaged ({error})") from error
        raise MediaError("not-a-video", f"no audio or video that FFmpeg can read ({error})") from error
    if remote.error is not None or not container.format.name.startswith(_INDEXED):
        container.close()
        remote.check()
        raise NotCuttableError(f"{container.format.name} has no index of times")
    return container


def _copy_packets(
    remote: RemoteFile,
    container: Any,
    output: Any,
    copies: Mapping[Any, Any],
    window: tuple[float, float],
    origin: float,
) -> None:
    """Copy one input's streams; see `cut_section`."""
    import av

    start, end = window[0] + origin, window[1] + origin  # on the file's clock
    file_end = _declared_end(container, origin)
    if file_end is not None and start >= file_end:
        raise MediaError("out-of-range", f"the video ends at {file_end - origin:.1f} s")
    streams = [stream for stream in copies if stream.container is container]
    if not streams:
        return
    try:
        container.seek(int(start * av.time_base))
    except av.FFmpegError as error:
        remote.check()
        raise NotCuttableError(f"no way to {start:.1f} s: {error}") from error
    units = {stream.index: float(stream.time_base) for stream in streams}  # of which fractions would be slow
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    finished: set[int] = set()
    try:
        for packet in container.demux(streams):
            if not packet.size:
                continue  # the mark of the end
            if packet.dts is None or packet.pts is None:
                raise NotCuttableError("packets without time stamps")
            index = packet.stream.index
            unit = units[index]
            if packet.dts * unit > end:
                finished.add(index)
                if len(finished) == len(streams):
                    break
                continue
            last[index] = packet.pts * unit
            first.setdefault(index, last[index])
            packet.stream = copies[packet.stream]
            output.mux(packet)
        else:
            remote.check()
    except (av.InvalidDataError, av.EOFError) as error:
        remote.check()
        raise MediaError("truncated", f"it breaks off: {error}") from error
    if first and min(first.values()) > start + _SLACK_SECONDS:
        raise NotCuttableError("its index does not lead to the section")
    reached = max(last.values(), default=origin)
    if file_end is not None and reached < min(end, file_end) - _SLACK_SECONDS:
        raise MediaError("truncated", f"only {reached - origin:.1f} of {file_end - origin:.1f} seconds are there")


def _declared_end(container: Any, origin: float) -> float | None:
    """Last second on the container's clock, as its index declares it."""
    import av

    if not container.duration:
        return None
    duration = container.duration / av.time_base
    # Matroska's length counts from zero in some programs, from the first time stamp in others.
    counts_from_zero = container.format.name.startswith("matroska") and duration > origin
    return float(duration if counts_from_zero else origin + duration)
