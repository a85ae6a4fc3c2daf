"""The one family of errors that a user can cause; commands print them as one line and exit with 2."""

from __future__ import annotations


class Wav2FaceError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what to do, in one line."""


class ConfigError(Wav2FaceError):
    """A setting that is unknown, of the wrong type, out of range, or at odds with another."""


class DatasetError(Wav2FaceError):
    """A data set that is missing, damaged, of another schema version, or that does not fit its use."""


class MediaError(Wav2FaceError):
    """One recording or picture that can't be used. It costs that file, never the preparation.

    Attributes:
        reason: A short slug for failure lists and their summary, such as `no-face` or `no-speech`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str]]:
        return type(self), (self.reason, str(self))  # so that it crosses from process to process


class FetchStopped(Wav2FaceError):
    """A site takes this machine for a robot; more downloads would only make it worse."""


class ModelError(Wav2FaceError):
    """A model that is missing, damaged, or that does not fit the data set or another model."""


class StageError(Wav2FaceError):
    """A command of several that were to run one after the other, and that failed; its log is named."""


class OutputError(Wav2FaceError):
    """A place that can't be written to, or that already holds something else."""


def one_line(message: object) -> str:
    """What an error says, in one line, as failure lists and terminals want it."""
    return " ".join(str(message).split())
