"""From a decoded frame to the picture that a player shows: colours, range, fields, shape of pixels and rotation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import MediaError
from data.media.decoding import MAX_PIXELS
from data.videos.watch.colour import Transfer, tone_map

MAX_SIDE = 1280
"""Larger pictures are reduced to this longer side, in pixels."""

_HDR: dict[int, Transfer] = {16: "pq", 18: "hlg"}  # by FFmpeg's number of the transfer function
_UNSPECIFIED, _RESERVED = 2, 3
_BT709 = 1
_HD_HEIGHT = 577  # lines from which pictures without a declared colour space are taken for BT.709
_MAX_PIXEL_ASPECT = 4.0  # beyond it a header is wrong


class PictureMaker:
    """Turns a stream's frames into pictures of one size.

    Frames whose size or shape of pixels changes inside the file are fitted into the size of the first picture, with
    black bars, as players show them in their window.
    """

    def __init__(self, path: str | Path, stream: Any) -> None:
        """Read the stream's properties.

        Args:
            path: Name of the file for messages.
            stream: PyAV's stream of video.

        Raises:
            MediaError: `too-large`.
        """
        from av.video.reformatter import VideoReformatter

        self._path = path
        self._context = stream.codec_context
        self._declared_aspect = stream.sample_aspect_ratio
        self._first_aspect = self._context.sample_aspect_ratio
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._turn: tuple[int, ...] | None = None
        self._check_size(self._context.width, self._context.height)

    def make(self, frame: Any) -> NDArray[np.uint8]:
        """The picture [H, W, 3] uint8 RGB of a frame.

        Raises:
            MediaError: `too-large`.
        """
        from av.video.reformatter import Interpolation

        self._check_size(frame.width, frame.height)
        shown = _shown_size(frame.width, frame.height, self._pixel_aspect())
        if self._size is None:
            self._size = shown
        if (
            self._turn is None
        ):  # once a file: a frame that was asked for it is not freed before the garbage is collected
            self._turn = _display_matrix(frame)
        width, height = _fitted(shown, self._size)
        transfer = _HDR.get(frame.color_trc)
        has_alpha = not transfer and _has_alpha(frame.format)
        pixel_format = "rgb48le" if transfer else "rgba" if has_alpha else "rgb24"
        guess = _BT709 if frame.height >= _HD_HEIGHT else None
        reformatted = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=pixel_format,
            src_colorspace=guess if frame.colorspace in (_UNSPECIFIED, _RESERVED) and not frame.format.is_rgb else None,
            interpolation=Interpolation.AREA if width < frame.width else Interpolation.BICUBIC,
            dst_color_range="JPEG",
            threads=1,
        )
        pixels: NDArray[Any] = reformatted.to_ndarray()
        if transfer:
            pixels = tone_map(pixels, transfer)
        elif has_alpha:
            opacity = pixels[..., 3:].astype(np.uint16)
            pixels = ((pixels[..., :3] * opacity + 255 * (255 - opacity)) // 255).astype(np.uint8)
        return _turned(_centred(pixels, self._size), self._turn)

    def _pixel_aspect(self) -> float:
        """Width of a pixel of the frame that was decoded last, relative to its height."""
        current = self._context.sample_aspect_ratio
        # What a container declares holds for the whole file, unless the pictures themselves change.
        aspects = (self._declared_aspect, current) if current == self._first_aspect else (current,)
        for aspect in aspects:
            if aspect and 1 / _MAX_PIXEL_ASPECT < aspect < _MAX_PIXEL_ASPECT:
                return float(aspect)
        return 1.0

    def _check_size(self, width: int, height: int) -> None:
        if width * height > MAX_PIXELS:
            raise MediaError(
                "too-large",
                f"{self._path}: pictures of {width} x {height}, at most {MAX_PIXELS / 1e6:.0f} million pixels allowed",
            )


def deinterlaced(frames: Iterable[Any], stream: Any) -> Iterator[Any]:
    """Frames without interlacing: those flagged as interlaced go through FFmpeg's filter yadif.

    Args:
        frames: Frames in the order in which they are shown.
        stream: Their stream.

    Yields:
        As many frames, at the same times.
    """
    import av

    graph: Any = None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph = av.filter.Graph()
            source = graph.add_buffer(template=stream, time_base=frame.time_base)
            filters = [source, graph.add("yadif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")]
            graph.link_nodes(*filters).configure()
        graph.vpush(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def _pulled(graph: Any) -> Iterator[Any]:
    import av

    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return


def _shown_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height with square pixels, within the limit; pixels are stretched, never squeezed."""
    shown_width, shown_height = (width * aspect, height) if aspect >= 1 else (width, height / aspect)
    scale = min(1.0, MAX_SIDE / max(shown_width, shown_height))
    return max(1, round(shown_width * scale)), max(1, round(shown_height * scale))


def _fitted(shown: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Largest (width, height) of the shape of `shown` within `size`; a bar of one pixel is no bar."""
    scale = min(size[0] / shown[0], size[1] / shown[1])
    width, height = (max(1, round(side * scale)) for side in shown)
    return size[0] if abs(size[0] - width) <= 1 else width, size[1] if abs(size[1] - height) <= 1 else height


def _centred(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture [H, W, 3] in the middle of a black one of (width, height)."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[y : y + height, x : x + width] = pixels
    return canvas


def _has_alpha(pixel_format: Any) -> bool:
    return pixel_format.name == "pal8" or any(component.is_alpha for component in pixel_format.components)


def _display_matrix(frame: Any) -> tuple[int, ...]:
    """The rotation that a frame needs: a, b, c, d of x' = a x + c y, y' = b x + d y."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data), "<i4")[:5].tolist()
    return a, b, c, d


def _turned(pixels: NDArray[np.uint8], matrix: tuple[int, ...]) -> NDArray[np.uint8]:
    """The picture rotated by right angles and mirrored as the container's display matrix demands."""
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
