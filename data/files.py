"""Atomic writes of files, hashes of files, and locks between processes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from data.errors import ModelError


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name, force it to disk and rename it.

    Args:
        path: Place of the file; replaced if it exists.
        content: Content of the file; text is written as UTF-8.

    Raises:
        OSError: If the disk is full or the folder can't be written to.
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
    if os.name == "nt":  # Windows can't open folders, and journals renames itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_lock(path: Path, time_limit: float | None = None) -> Iterator[None]:
    """Hold an exclusive lock among the processes of this machine; it is released however the process ends.

    Args:
        path: Lock file, with a dot before its name; made in an existing folder and removed afterwards.
        time_limit: Seconds to wait while another process has the lock; 0 for not at all, None for ever.

    Raises:
        TimeoutError: If another process has the lock.
        OSError: If the file can't be written.
    """
    with FileLock(path, timeout=-1 if time_limit is None else time_limit):
        held = path.stat()
        try:
            yield
        finally:
            # Removed while the lock is held: filelock detects a removed file and tries again with a new one.
            with suppress(OSError):  # Windows can't remove open files
                if os.path.samestat(path.stat(), held):
                    path.unlink()


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
