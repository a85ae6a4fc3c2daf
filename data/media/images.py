"""Reading of photographs, and encoding of aligned crops."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from data.errors import MediaError

CropFormat = Literal["jpg", "webp"]
"""File suffix of stored crops."""

MAX_IMAGE_PIXELS = 50_000_000
"""Largest picture that is decoded; larger JPEG files are read at half their size or less, others are refused."""

_STILL_MULTI_FRAME_FORMATS = {"MPO"}  # a phone's JPEG with a depth map or a second view behind it

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that makes a picture upright, by its EXIF orientation."""

_PROBES = np.stack(np.meshgrid(*[np.linspace(0, 255, 6)] * 3), axis=-1).reshape(1, -1, 3).astype(np.uint8)
_SAME_COLOUR = 2  # grey levels; a profile that changes colours by no more is sRGB under another name


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a photograph as viewers show it.

    The orientation in EXIF or XMP is applied, colours are converted from the profile in the file to sRGB, grey and
    palette pictures become RGB, transparent parts are shown over white.

    Args:
        path: File in any format that Pillow reads.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        MediaError: `unreadable`, `truncated`, `too-large`, `animated`, `cmyk` (without a profile) or `16-bit`.

    Example:
        >>> read_image("ada.jpg").shape
        (128, 96, 3)
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                _reduce_jpeg(picture)
                _refuse_unusual(picture, path)
                picture.load()
                # Pillow applies and removes the orientation of TIFF files on load.
                transposition = _TRANSPOSITIONS.get(_read_orientation(picture))
                colours = _to_srgb(picture, path)
                return np.asarray(colours if transposition is None else colours.transpose(transposition))
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError("unreadable", f"{path}: not a picture that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise MediaError("too-large", f"{path}: {error}") from error
    except Exception as error:  # damaged files can raise any error
        reason: Literal["truncated", "unreadable"] = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise MediaError(reason, f"{path}: {error or type(error).__name__}") from error


def _reduce_jpeg(picture: Image.Image) -> None:
    """Make a large JPEG file decode at a half, quarter or eighth of its size."""
    width, height = picture.size
    if picture.format in ("JPEG", "MPO") and width * height > MAX_IMAGE_PIXELS:
        factor = next((factor for factor in (2, 4) if width * height <= factor**2 * MAX_IMAGE_PIXELS), 8)
        picture.draft(picture.mode, (width // factor, height // factor))


def _refuse_unusual(picture: Image.Image, path: Path) -> None:
    """Refuse what Pillow would turn into RGB wrongly or only in part."""
    width, height = picture.size
    if width * height > MAX_IMAGE_PIXELS:
        raise MediaError(
            "too-large",
            f"{path}: {width} x {height} pixels, at most {MAX_IMAGE_PIXELS / 1e6:.0f} million allowed",
        )
    if getattr(picture, "is_animated", False) and picture.format not in _STILL_MULTI_FRAME_FORMATS:
        raise MediaError("animated", f"{path}: an animated or multi-page picture; save one frame of it")
    # Pillow opens a 16-bit RGB file as mode RGB; only the decoder's raw mode shows the depth.
    raw_modes = [str(tile[3]) for tile in getattr(picture, "tile", ())]
    if picture.mode.startswith(("I", "F")) or any(";16" in raw_mode for raw_mode in raw_modes):
        raise MediaError("16-bit", f"{path}: more than 8 bits a channel; convert it to 8 bits")


def _read_orientation(picture: Image.Image) -> int:
    """Orientation in EXIF or XMP, 1 to 8; 1 if it is missing or can't be read, as in viewers."""
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return int(value[0] if isinstance(value, tuple | bytes) else value)
    except Exception:  # damaged EXIF data can raise any error
        return 1


def _to_srgb(picture: Image.Image, path: Path) -> Image.Image:
    """Convert a picture to RGB, with the colour profile in the file if it is valid.

    Raises:
        MediaError: `cmyk` if a CMYK picture has no valid profile, without which its colours are unknown.
    """
    flat = picture if picture.mode == "CMYK" else _over_white(picture)
    transform = _open_transform(picture)
    if transform is not None:
        return transform.apply(flat.convert(transform.input_mode))
    if picture.mode == "CMYK":
        raise MediaError("cmyk", f"{path}: a CMYK picture without a colour profile; convert it to RGB")
    return flat


def _over_white(picture: Image.Image) -> Image.Image:
    """Convert to RGB, with transparent parts over white."""
    if "A" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _open_transform(picture: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """Transform from a picture's colour profile to sRGB.

    Returns:
        None if the picture is in sRGB or has no profile; a damaged profile, or one of another colour space, is ignored,
        as in viewers.
    """
    content = picture.info.get("icc_profile")
    mode = {"CMYK": "CMYK", "1": "L", "L": "L", "LA": "L"}.get(picture.mode, "RGB")
    if not content:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if profile.profile.xcolor_space.strip() != {"CMYK": "CMYK", "L": "GRAY", "RGB": "RGB"}[mode]:
            return None
        transform = ImageCms.ImageCmsTransform(
            profile,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    probes = Image.fromarray(_PROBES)
    if mode != "CMYK":
        probes = probes.convert(mode)
        change = np.asarray(transform.apply(probes)).astype(int) - np.asarray(probes.convert("RGB"))
        if np.abs(change).max() <= _SAME_COLOUR:
            return None
    return transform


def encode_crop(crop: NDArray[np.uint8], crop_format: CropFormat = "jpg") -> bytes:
    """Encode a crop for storage.

    Args:
        crop: [S, S, 3] uint8 RGB.
        crop_format: `jpg`, quality 95 with colour at full resolution, or `webp`, without loss.
    """
    buffer = io.BytesIO()
    if crop_format == "jpg":
        Image.fromarray(crop).save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        # A higher effort takes five times as long and saves 4 % of the bytes.
        Image.fromarray(crop).save(buffer, "WEBP", lossless=True, method=2)
    return buffer.getvalue()


def decode_crop(data: bytes) -> NDArray[np.uint8]:
    """The crop [S, S, 3] uint8 RGB in the bytes of `encode_crop`, or of any picture that Pillow reads.

    Raises:
        MediaError: If the bytes are no picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))
    except Exception as error:  # see read_image
        raise MediaError("unreadable", f"a stored crop can't be decoded: {error}") from error
