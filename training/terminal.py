"""Standard streams that printing can't break: any encoding, a closed pipe, a full disk."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import Any, TextIO, cast

_NOBODY_READS = (errno.EPIPE, errno.EIO)  # the reader of the pipe has ended; the terminal was closed


class ProtectedFile(io.FileIO):
    """The raw file of a standard stream, whose writes never raise.

    After the first write that fails, output is discarded and the program goes on: what it computes and writes to its
    own files does not depend on who reads its messages.

    Attributes:
        error: The failure, such as a full disk; None as long as all was written, or if only the reader has gone.
        shows_bars: Whether programs may take it for a terminal, on which they draw progress bars.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        """Write to an open file descriptor, which stays open."""
        super().__init__(descriptor, "w", closefd=False)
        self.name = name
        self.error: OSError | None = None
        self.shows_bars = True

    def isatty(self) -> bool:
        """Whether it is a terminal that shows bars."""
        return self.shows_bars and super().isatty()

    def write(self, content: Any, /) -> int:
        """Write all bytes, or discard them."""
        view = memoryview(content).cast("B")
        num_written = 0
        try:
            while num_written < len(view):
                written = super().write(view[num_written:])
                if written is None:  # a terminal that another program has made non-blocking
                    select.select([], [self], [])
                num_written += written or 0
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                self.error = error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
        return len(view)


def protect_output() -> None:
    """Replace stdout and stderr of this process by streams that printing can't break.

    Characters that a stream's encoding lacks are written as escapes (`zo\\xeb.wav`). A stream that was closed before
    the start discards everything. Streams that other programs have put in place, such as pytest's, are left alone.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Takes the free descriptor as well, so that no file of ours gets what libraries print.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, protect_stream(stream))


def protect_stream(stream: TextIO) -> TextIO:
    """A text stream to the same file whose `write` and `flush` never raise; other kinds of streams are returned."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = getattr(stream.buffer, "raw", stream.buffer)  # with PYTHONUNBUFFERED there is no buffer between
    if not isinstance(raw, io.FileIO):  # a console of Windows
        stream.reconfigure(errors="backslashreplace")
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    protected = ProtectedFile(stream.fileno(), stream.name)
    is_buffered = raw is not stream.buffer
    return io.TextIOWrapper(
        cast(Any, io.BufferedWriter(protected) if is_buffered else protected),
        encoding=stream.encoding,
        errors="backslashreplace",
        newline="\n" if os.linesep == "\n" else None,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class SilentOutput(io.StringIO):
    """In the place of stdout: messages are discarded.

    Attributes:
        result: The stream in whose place it is, for the one result that is asked for.
    """

    def __init__(self, result: TextIO) -> None:
        super().__init__()
        self.result = result

    def write(self, text: str, /) -> int:
        """Discard a text."""
        return len(text)


def silence() -> None:
    """Discard what this process prints on stdout from now on, and let stderr show no progress bars; errors remain."""
    if not isinstance(sys.stdout, SilentOutput):
        sys.stdout = SilentOutput(sys.stdout)
    raw = _raw(sys.stderr)
    if isinstance(raw, ProtectedFile):
        raw.shows_bars = False


def is_silent() -> bool:
    """Whether `silence` was called."""
    return isinstance(sys.stdout, SilentOutput)


def result_stream() -> TextIO:
    """The stream for a result: stdout, also after `silence`."""
    return sys.stdout.result if isinstance(sys.stdout, SilentOutput) else sys.stdout


def _raw(stream: TextIO) -> object:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is no buffer between


def output_error(stream: TextIO | None) -> OSError | None:
    """Why output of a protected stream was lost, once everything is flushed; None if nothing was."""
    if stream is None:
        return None
    stream.flush()
    raw = _raw(stream)
    return raw.error if isinstance(raw, ProtectedFile) else None
