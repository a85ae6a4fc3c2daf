"""What a data set recorded of how its voices are to be heard, for a design that leaves it open."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from data.errors import DatasetError
from encoder.backbones import SPECTROGRAM_OPTIONS
from encoder.voice_encoder import EncoderDesign

RECORD_NAME = "spectrogram"
"""Where dataset.json keeps it, in `extra`: window, stride and duration in seconds, fft_length in samples, amp_norm."""


def take_recorded(design: EncoderDesign, extra: dict[str, Any]) -> tuple[EncoderDesign, dict[str, Any]]:
    """A design whose open settings are those of the data set.

    Options of the spectrogram are open where `backbone_options` does not name them, `window_seconds` where it has its
    default; a backbone whose spectrogram is fixed keeps it.

    Args:
        design: As the user configured it.
        extra: Of the data set's `DatasetInfo`.

    Returns:
        The design, and what of the record it took, by name.

    Raises:
        DatasetError: If what was recorded is no positive number.
    """
    recorded = extra.get(RECORD_NAME) or {}
    options = {
        name: recorded[name]
        for name in SPECTROGRAM_OPTIONS.get(design.backbone, ())
        if recorded.get(name) is not None and name not in design.backbone_options
    }
    taken = dict(options)
    duration = recorded.get("duration")
    default = next(field.default for field in fields(EncoderDesign) if field.name == "window_seconds")
    if duration is not None and design.window_seconds == default:
        taken["duration"] = duration
    for name, value in taken.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
            raise DatasetError(f"dataset.json: {RECORD_NAME} {name} {value!r}: a positive number expected")
    window_seconds = float(taken.get("duration", design.window_seconds))
    return replace(
        design, backbone_options={**design.backbone_options, **options}, window_seconds=window_seconds
    ), taken
