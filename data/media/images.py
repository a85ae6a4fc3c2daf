"""Reading pictures that people bring, and the bytes that aligned crops are stored as."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from data.errors import MediaError

CropFormat = Literal["jpg", "webp"]
"""File suffix of stored crops."""

MAX_IMAGE_PIXELS = 50_000_000
"""Larger pictures are refused before they are decoded."""

_STILL_MULTI_FRAME_FORMATS = {"MPO"}  # a phone's JPEG with a depth map or a second view behind it


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a photograph as it is meant to be seen.

    The EXIF orientation is applied, grey and palette pictures become RGB, transparency is laid over white.

    Args:
        path: Any format that Pillow reads.

    Returns:
        [H, W, 3] uint8 RGB.

    Raises:
        MediaError: `unreadable`, `truncated`, `too-large`, `animated`, `cmyk` or `16-bit`.

    Example:
        >>> read_image("ada.jpg").shape
        (128, 96, 3)
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                _refuse_unusual(picture, path)
                picture.load()
                return _to_rgb(ImageOps.exif_transpose(picture))
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError("unreadable", f"{path}: not a picture that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise MediaError("too-large", f"{path}: {error}") from error
    except Exception as error:  # decoders of damaged files raise whatever they like
        reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise MediaError(reason, f"{path}: {error or type(error).__name__}") from error


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
    if picture.mode == "CMYK":
        raise MediaError("cmyk", f"{path}: a CMYK picture; convert it to RGB with its colour profile")
    # Pillow opens a 16-bit RGB file as mode RGB; only the decoder's raw mode tells.
    raw_modes = [str(tile[3]) for tile in getattr(picture, "tile", ())]
    if picture.mode.startswith(("I", "F")) or any(";16" in raw_mode for raw_mode in raw_modes):
        raise MediaError("16-bit", f"{path}: more than 8 bits a channel; convert it to 8 bits")


def _to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """[H, W, 3] uint8, transparency over white."""
    if "A" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB"))


def encode_crop(crop: NDArray[np.uint8], crop_format: CropFormat = "jpg") -> bytes:
    """The bytes that a crop is stored as.

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
