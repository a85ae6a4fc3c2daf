"""Errors that a user can mend; commands print them as one line and exit with 2."""

from __future__ import annotations

from typing import Literal, get_args

Reason = Literal[
    # Lists and people.
    "bad-row",
    "duplicate-row",
    "unsafe-identity",
    "bad-attribute",
    "empty-identity",
    "unknown-name",
    "no-faces",
    "no-voices",
    # Downloads.
    "gone",
    "private",
    "age-restricted",
    "blocked",
    "live",
    "no-format",
    "not-a-video",
    "network",
    "fetch-failed",
    # Files.
    "empty",
    "unreadable",
    "damaged",
    "not-finite",
    "truncated",
    "clock-jumps",
    "out-of-range",
    "too-large",
    "too-long",
    "no-audio",
    "no-video",
    # Speech.
    "silent",
    "no-speech",
    "too-short",
    # Photographs.
    "16-bit",
    "animated",
    "cmyk",
    "not-square",
    "many-faces",
    "bad-landmarks",
    # Faces.
    "no-face",
    "no-speaker-face",
    "ambiguous-face",
    "lost-face",
    "still-face",
    "small-face",
    "dark-face",
    "bright-face",
    "blurred-face",
    "side-face",
    # The machine.
    "timeout",
    "crashed",
    "unexpected",
]
"""Why a file, a request or a person can't be used. docs/videos.md and docs/dataset.md explain each."""

REASONS: tuple[Reason, ...] = get_args(Reason)


class Wav2FaceError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what to do, in one line.

    Example:
        >>> try:
        ...     ClipDataset("datasets/gone", "train")
        ... except Wav2FaceError as error:
        ...     print(type(error).__name__)
        DatasetError
    """


class ConfigError(Wav2FaceError):
    """A setting that is unknown, of the wrong type, out of range, or at odds with another."""


class DatasetError(Wav2FaceError):
    """A data set that is missing, damaged, of another schema version, or that does not fit its use."""


class MediaError(Wav2FaceError):
    """A recording or picture that can't be used; preparation leaves it out and continues.

    Attributes:
        reason: Short slug for failure lists and their summary, such as `no-face` or `no-speech`.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason

    def __reduce__(self) -> tuple[type[MediaError], tuple[Reason, str]]:
        return type(self), (self.reason, str(self))  # for pickling between processes


class FetchStopped(Wav2FaceError):
    """A site that blocks this machine as a robot; further downloads would prolong the block."""


class ModelError(Wav2FaceError):
    """A model that is missing, damaged, or that does not fit the data set or another model."""


class StepError(Wav2FaceError):
    """A failed command of a pipeline; the message names its log."""


class OutputError(Wav2FaceError):
    """An output that can't be written to, or that already holds something else."""


def one_line(message: object) -> str:
    """Message of an error in one line, for failure lists and terminals."""
    return " ".join(str(message).split())
