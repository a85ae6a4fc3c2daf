"""Files that are whole or absent, whatever stops the machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from data.errors import ModelError


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name, force it to disk and rename it.

    Args:
        path: Where it shall be; replaced if it exists.
        content: What it shall hold; text is written as UTF-8.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            # A file name that is no UTF-8 may be in a text, as lone surrogates.
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries (new names, renames) to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ModelError: If it can't be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    return digest.hexdigest()
