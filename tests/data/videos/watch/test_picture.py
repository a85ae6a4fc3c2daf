from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from data.videos.watch.picture import PictureMaker

FPS = 25


def write_parts(path: Path, parts: list[tuple[tuple[int, int], Fraction]]) -> Path:
    """A video whose pictures change inside one stream: each part has a size and a shape of pixels of its own.

    A white square on grey, half as high as the picture, is square where it is shown.
    """
    with av.open(str(path), "w") as output:
        stream = None
        number = 0
        for (width, height), aspect in parts:
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
            encoder.sample_aspect_ratio = aspect
            encoder.options = {"bf": "0", "crf": "10"}
            if stream is None:
                stream = output.add_stream("libx264", rate=FPS)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.time_base = Fraction(1, FPS)
            image = np.full((height, width, 3), 128, np.uint8)
            half_width, half_height = round(height / aspect / 4), height // 4
            image[
                height // 2 - half_height : height // 2 + half_height, width // 2 - half_width : width // 2 + half_width
            ] = 255
            for _ in range(5):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                number += 1
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    output.mux(packet)
            for packet in encoder.encode(None):
                packet.stream = stream
                output.mux(packet)
    return path


def sides_of_square(picture: np.ndarray) -> tuple[int, int]:
    """Width and height of what is white."""
    white = picture.min(axis=2) > 200
    return int(white.any(axis=0).sum()), int(white.any(axis=1).sum())


@pytest.mark.parametrize(
    ("size", "aspect"),
    [((240, 320), Fraction(1)), ((640, 480), Fraction(1)), ((640, 240), Fraction(1)), ((320, 240), Fraction(4, 3))],
)
def test_pictures_keep_their_shape_where_size_or_pixels_change_inside_a_file(
    tmp_path: Path, size: tuple[int, int], aspect: Fraction
) -> None:
    path = write_parts(tmp_path / "changing.ts", [((320, 240), Fraction(1)), (size, aspect)])
    with av.open(str(path)) as container:
        maker = PictureMaker(path, container.streams.video[0])
        pictures = [maker.make(frame) for frame in container.decode(video=0)]
    assert len(pictures) == 10 and {picture.shape for picture in pictures} == {(240, 320, 3)}
    for picture in (pictures[0], pictures[-1]):
        width, height = sides_of_square(picture)
        assert width > 30 and abs(width - height) <= 4
