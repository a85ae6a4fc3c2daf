import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

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


TURNED = 6
"""EXIF's orientation of a picture that has to be turned by 90 degrees clockwise."""


def lying(size: int = 64) -> Image.Image:
    """A picture of `size` x `size / 2` pixels that is white in its upper left corner and has to be turned."""
    pixels = np.zeros((size // 2, size, 3), np.uint8)
    pixels[: size // 4, : size // 4] = 255
    return Image.fromarray(pixels)


def assert_upright(seen: np.ndarray, size: int = 64) -> None:
    assert seen.shape == (size, size // 2, 3)
    assert (seen[4 : size // 4 - 4, size // 4 + 4 :] > 200).all()
    assert (seen[size // 4 + 4 :, : size // 4 - 4] < 50).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_photographs_are_turned_upright(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = TURNED
    lying().save(tmp_path / f"turned.{suffix}", exif=exif)
    assert_upright(read_image(tmp_path / f"turned.{suffix}"))


@pytest.mark.parametrize("orientation", range(9))
def test_each_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    undo = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    undo |= {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM}
    undo |= {7: Image.Transpose.TRANSVERSE}
    stored = Image.fromarray(pixels)
    stored = stored.transpose(undo[orientation]) if orientation in undo else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png"), pixels)


def with_exif(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """A JPEG file of `lying` with these tags: number, type, count and four bytes of value each."""
    buffer = io.BytesIO()
    lying().save(buffer, "JPEG", quality=95)
    tags = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    block = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, len(entries)) + tags + b"\0" * 4
    jpeg = buffer.getvalue()
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


@pytest.mark.parametrize(
    "other",
    [
        (0x128, 8, 1, struct.pack("<hH", -2, 0)),  # signed where Pillow writes unsigned
        (0x10F, 2, 400, struct.pack("<I", 9_000_000)),  # a maker's name beyond the end of the file
        (0x8769, 4, 1, struct.pack("<I", 8)),  # the directory refers to itself
        (0x11A, 5, 1, struct.pack("<I", 4_000_000_000)),
        (0x112, 3, 1, struct.pack("<HH", 6, 0)),  # twice
    ],
)
def test_the_orientation_counts_whatever_other_tags_hold(tmp_path: Path, other: tuple[int, int, int, bytes]) -> None:
    entries = [(0x112, 3, 1, struct.pack("<HH", TURNED, 0)), other]
    (tmp_path / "phone.jpg").write_bytes(with_exif(entries))
    assert_upright(read_image(tmp_path / "phone.jpg"))


@pytest.mark.parametrize("value", [0, 9, 700])
def test_an_orientation_that_means_nothing_turns_nothing(tmp_path: Path, value: int) -> None:
    (tmp_path / "phone.jpg").write_bytes(with_exif([(0x112, 3, 1, struct.pack("<HH", value, 0))]))
    assert read_image(tmp_path / "phone.jpg").shape == (32, 64, 3)


def test_the_orientation_in_xmp_counts_where_exif_has_none(tmp_path: Path) -> None:
    packet = '<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet)
    lying().save(tmp_path / "turned.png", pnginfo=text)
    lying().save(tmp_path / "turned.webp", xmp=packet.encode())
    assert_upright(read_image(tmp_path / "turned.png"))
    assert_upright(read_image(tmp_path / "turned.webp"))


def swapped_profile() -> bytes:
    """sRGB's profile with red and green exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")


def cmyk_profile() -> bytes:
    """A profile of four inks of which only black is seen."""
    corners = b"".join(bytes([255 - 255 * (inks & 1), 128, 128]) for inks in range(16))
    ramp = bytes(range(256))
    identity = struct.pack(">9I", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1" + b"\0" * 4 + bytes([4, 3, 2, 0]) + identity + ramp * 4 + corners + ramp * 3
    head = struct.pack(">I4xI4s4s4s", 128 + 4 + 12 + len(lut), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head = (head + b"\0" * 12 + b"acsp").ljust(68, b"\0") + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(lut)) + lut


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_colours_are_those_of_the_profile_in_the_file(tmp_path: Path, suffix: str) -> None:
    red = Image.new("RGB", (32, 32), (220, 30, 40))
    red.save(tmp_path / f"a.{suffix}", icc_profile=swapped_profile())
    seen = read_image(tmp_path / f"a.{suffix}").mean((0, 1))
    np.testing.assert_allclose(seen, (30, 220, 40), atol=6)
    red.save(tmp_path / f"b.{suffix}", icc_profile=b"no profile at all")
    np.testing.assert_allclose(read_image(tmp_path / f"b.{suffix}").mean((0, 1)), (220, 30, 40), atol=6)


@pytest.mark.parametrize("mode", ["P", "RGBA", "L", "LA", "1"])
def test_a_profile_goes_with_palettes_and_transparency_and_not_with_grey(tmp_path: Path, mode: str) -> None:
    face = Image.fromarray(draw_face(1)).convert(mode)
    face.save(tmp_path / "plain.png")
    face.save(tmp_path / "profile.png", icc_profile=swapped_profile())
    plain = read_image(tmp_path / "plain.png").astype(int)
    exchanged = plain[..., [1, 0, 2]] if mode in ("P", "RGBA") else plain
    assert np.abs(read_image(tmp_path / "profile.png") - exchanged).max() <= 2


def test_srgb_under_its_own_name_changes_no_pixel(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(draw_face(1)).save(tmp_path / "face.png", icc_profile=profile)
    np.testing.assert_array_equal(read_image(tmp_path / "face.png"), draw_face(1))


def test_a_cmyk_picture_is_read_by_its_profile(tmp_path: Path) -> None:
    inks = np.zeros((32, 64, 4), np.uint8)
    inks[:, 32:, 3] = 255
    for suffix in ("jpg", "tiff"):
        Image.fromarray(inks, "CMYK").save(tmp_path / f"print.{suffix}", icc_profile=cmyk_profile())
        seen = read_image(tmp_path / f"print.{suffix}")
        assert (seen[:, :30] > 245).all() and (seen[:, 34:] < 10).all()


def test_a_very_large_jpeg_is_read_at_less_than_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = TURNED
    lying(512).save(tmp_path / "large.jpg", exif=exif)
    for limit, size in ((50_000, 256), (10_000, 128), (5_000, 64)):
        monkeypatch.setattr(images, "MAX_IMAGE_PIXELS", limit)
        assert_upright(read_image(tmp_path / "large.jpg"), size)
    monkeypatch.setattr(images, "MAX_IMAGE_PIXELS", 1_000)
    assert refusal(tmp_path / "large.jpg") == "too-large"


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA", "YCbCr"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "YCbCr" else "png"
    Image.fromarray(draw_face(0)).convert(mode).save(tmp_path / f"face.{suffix}")
    assert read_image(tmp_path / f"face.{suffix}").shape == (64, 64, 3)


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_cmyk_without_a_profile_is_refused(tmp_path: Path) -> None:
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
