"""Voice backbones: networks from a waveform to the vector that the heads read."""

from __future__ import annotations

from typing import Any

from data.errors import ConfigError
from encoder.backbones.base import Backbone
from encoder.backbones.conv1d import Conv1D
from encoder.backbones.ge2e import GE2E
from encoder.backbones.inception1d import Inception1D
from encoder.backbones.segan import SEGAN
from encoder.backbones.speech2face import Speech2Face
from encoder.backbones.tdnn import TDNN

SPECTROGRAM_OPTIONS = {"speech2face": ("window", "stride", "fft_length", "amp_norm")}
"""Spectrogram options by backbone; other backbones have fixed spectrograms."""

UNTRAINED: dict[str, type[Backbone]] = {
    "conv1d": Conv1D,
    "inception1d": Inception1D,
    "segan": SEGAN,
    "speech2face": Speech2Face,
    "tdnn": TDNN,
}
"""Backbones without published weights, by name."""


def build_backbone(name: str, options: dict[str, Any]) -> Backbone:
    """Build a backbone with random weights; `load_pretrained` reads published ones.

    Args:
        name: "ge2e", one of `UNTRAINED` or "hf:<id or folder>".
        options: Arguments of its constructor: width and hidden_size for those of `UNTRAINED`, fuser and segment_seconds
            for inception1d, those of `SPECTROGRAM_OPTIONS`, the transformers configuration for hf.

    Raises:
        ConfigError: If there is no such backbone, or it takes no such option.
        ModelError: If a library it needs is missing.
    """
    try:
        if name == "ge2e":
            return GE2E(**options)
        if name in UNTRAINED:
            return UNTRAINED[name](**options)
        if name.startswith("hf:"):
            from encoder.backbones.hf import HuggingFace

            return HuggingFace(name.removeprefix("hf:"), options)
    except TypeError as error:
        raise ConfigError(f"backbone_options of {name}: {error}") from error
    raise ConfigError(f'backbone "{name}" is unknown: ge2e, {", ".join(UNTRAINED)} or hf:<id or folder>')


def default_options(name: str) -> dict[str, Any]:
    """Options that a new model needs: a transformers configuration for hf, none for the others.

    Raises:
        ModelError: If the transformers model can't be read.
    """
    if name.startswith("hf:"):
        from encoder.backbones.hf import read_config

        return read_config(name.removeprefix("hf:"))
    return {}
