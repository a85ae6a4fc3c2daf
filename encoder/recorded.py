"""Settings that a data set recorded, for a voice encoder whose configuration leaves them unset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from data.errors import DatasetError
from data.store.imported import read_imported
from encoder.backbones import SPECTROGRAM_OPTIONS
from encoder.voice_encoder import DEFAULT_WINDOW_SECONDS, EncoderDesign

RECORD_NAME = "spectrogram"
"""Key in the `extra` of dataset.json: window, stride and duration in seconds, fft_length in samples, amp_norm."""


def take_recorded(design: EncoderDesign, extra: dict[str, Any]) -> tuple[EncoderDesign, dict[str, Any]]:
    """Fill the unset settings of a design from a data set's record.

    An option of the spectrogram is unset if `backbone_options` does not name it, `window_seconds` if it is None. A
    value that the user sets wins, also one that equals a default. Backbones with a fixed spectrogram keep it.

    Args:
        design: The user's configuration.
        extra: `DatasetInfo.extra` of the data set.

    Returns:
        The design, with a number for `window_seconds`, and the values that were taken from the record, by name.

    Raises:
        DatasetError: If a recorded value is not a positive number, or the backbone is "imported" and there are no
            imported voice vectors.
    """
    if design.backbone == "imported":
        return _take_imported(design, extra)
    recorded = extra.get(RECORD_NAME) or {}
    options = {
        name: recorded[name]
        for name in SPECTROGRAM_OPTIONS.get(design.backbone, ())
        if recorded.get(name) is not None and name not in design.backbone_options
    }
    taken = dict(options)
    duration = recorded.get("duration")
    if duration is not None and design.window_seconds is None:
        taken["duration"] = duration
    for name, value in taken.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
            raise DatasetError(f"dataset.json: {RECORD_NAME} {name} {value!r}: a positive number expected")
    window_seconds = float(taken.get("duration", design.window_seconds or DEFAULT_WINDOW_SECONDS))
    return replace(
        design, backbone_options={**design.backbone_options, **options}, window_seconds=window_seconds
    ), taken


def _take_imported(design: EncoderDesign, extra: dict[str, Any]) -> tuple[EncoderDesign, dict[str, Any]]:
    """The length of imported voice vectors."""
    if (imported := read_imported(extra)) is None:
        raise DatasetError(
            'model.backbone "imported" needs a data set of scripts/import_features.py; this one holds recordings'
        )
    options = {"hidden_size": imported.voice_size}
    seconds = design.window_seconds or DEFAULT_WINDOW_SECONDS
    return replace(design, backbone_options=options, window_seconds=seconds), dict(options)
