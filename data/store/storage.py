"""Storage of shards: a local folder or any place that fsspec reaches, with atomic writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from data.errors import ConfigError, OutputError
from data.files import exclusive_lock, write_file

LOCK_NAME = ".lock"
"""Lock file in a folder that a run writes to."""


class Storage:
    """A flat folder of files, each written in one go.

    Attributes:
        url: Path or URL.
        folder: Local folder; None for other places.
    """

    def __init__(self, url: str) -> None:
        """Refer to a place; it is created with the first file.

        Args:
            url: Path, or a URL of fsspec: s3://bucket/folder, memory://folder, ...

        Raises:
            ConfigError: If the protocol is unknown or needs a package that is missing.
        """
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        self.url = url
        try:
            self._filesystem, self._path = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"{url}: fsspec can't reach this place: {error}") from error
        self.folder = Path(self._path) if isinstance(self._filesystem, LocalFileSystem) else None

    def __reduce__(self) -> tuple[type[Storage], tuple[str]]:
        return type(self), (self.url,)

    def names(self) -> list[str]:
        """Names of all files but the lock, sorted; empty if the place does not exist yet."""
        self._filesystem.invalidate_cache()
        try:
            entries: list[Any] = self._filesystem.ls(self._path, detail=False)
        except FileNotFoundError:
            return []
        return sorted({str(entry).rstrip("/").rpartition("/")[2] for entry in entries} - {LOCK_NAME})

    def read(self, name: str) -> bytes | None:
        """Content of a file; None if there is none."""
        try:
            content: bytes = self._filesystem.cat_file(f"{self._path}/{name}")
        except FileNotFoundError:
            return None
        return content

    def write(self, name: str, content: bytes | str) -> None:
        """Write or replace a file: by rename in a local folder, in one request elsewhere.

        Raises:
            OSError: If the disk is full or the place can't be written to.
        """
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_file(self.folder / name, content)
            return
        self._filesystem.makedirs(self._path, exist_ok=True)
        self._filesystem.pipe_file(f"{self._path}/{name}", content.encode() if isinstance(content, str) else content)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with suppress(FileNotFoundError):
            self._filesystem.rm_file(f"{self._path}/{name}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock a local folder against other runs, and remove unfinished files of a killed run.

        Other places are not locked.

        Raises:
            OutputError: If another run is at work there, or the folder can't be made.
        """
        if self.folder is None:
            yield
            return
        with ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(exclusive_lock(self.folder / LOCK_NAME, time_limit=0))
            except TimeoutError as error:
                raise OutputError(
                    f"{self.url}: another run is at work here; wait for it or choose another --out"
                ) from error
            except OSError as error:
                raise OutputError(f"{self.url}: can't be written to: {error.strerror or error}") from error
            for leftover in self.folder.glob(".*.tmp"):
                leftover.unlink()
            yield
