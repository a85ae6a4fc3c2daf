import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import MediaError
from data.media import images
from data.media.images import decode_crop, encode_crop, read_image
from tests.synthetic import draw_face


def refusal(path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_pictures_come_as_they_are_meant_to_be_seen(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    seen = read_image(tmp_path / "turned.png")
    assert seen.shape == (6, 4, 3)
    assert (seen[0, 3] == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA", "YCbCr"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "YCbCr" else "png"
    Image.fromarray(draw_face(0)).convert(mode).save(tmp_path / f"face.{suffix}")
    assert read_image(tmp_path / f"face.{suffix}").shape == (64, 64, 3)


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_cmyk_is_refused(tmp_path: Path) -> None:
    Image.new("CMYK", (32, 32)).save(tmp_path / "print.jpg")
    assert refusal(tmp_path / "print.jpg") == "cmyk"


def test_16_bit_grey_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    assert refusal(tmp_path / "deep.png") == "16-bit"


def test_16_bit_colour_is_refused_though_pillow_calls_it_rgb(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((8, 8, 3), np.uint16))
    assert refusal(tmp_path / "deep.png") == "16-bit"


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(draw_face(0, i)) for i in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert refusal(tmp_path / "moving.gif") == "animated"


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.fromarray(draw_face(0, size=256)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    assert refusal(path) == "truncated"


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "note.jpg").write_bytes(content)
    assert refusal(tmp_path / "note.jpg") == "unreadable"


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing.png") == "unreadable"
    assert refusal(tmp_path) == "unreadable"


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "huge.png")
    monkeypatch.setattr(images, "MAX_IMAGE_PIXELS", 5_000)
    assert refusal(tmp_path / "huge.png") == "too-large"


def test_a_stored_crop_is_close_to_the_crop() -> None:
    face = draw_face(3, size=128)
    error = decode_crop(encode_crop(face)).astype(float) - face
    assert np.abs(error).mean() < 2


def test_a_png_is_a_stored_crop_too_and_rubbish_is_none() -> None:
    buffer = io.BytesIO()
    Image.fromarray(draw_face(1)).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_crop(buffer.getvalue()), draw_face(1))
    with pytest.raises(MediaError):
        decode_crop(b"rubbish")
