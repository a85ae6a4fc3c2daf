"""Voice backbones: networks from a waveform to the vector that the heads read."""

from __future__ import annotations

from typing import Any

from data.errors import ConfigError
from encoder.backbones.base import Backbone

SPECTROGRAM_OPTIONS = {"speech2face": ("window", "stride", "fft_length", "amp_norm")}
"""Spectrogram options by backbone; other backbones have fixed spectrograms."""


def build_backbone(name: str, options: dict[str, Any]) -> Backbone:
    """Build a backbone with random weights; `load_pretrained` reads published ones.

    Args:
        name: "ge2e", "speech2face", "tdnn" or "hf:<id or folder>".
        options: Arguments of its constructor: width and hidden_size for speech2face and tdnn, those of
            `SPECTROGRAM_OPTIONS`, the transformers configuration for hf.

    Raises:
        ConfigError: If there is no such backbone, or it takes no such option.
        ModelError: If a library it needs is missing.
    """
    try:
        if name == "ge2e":
            from encoder.backbones.ge2e import GE2E

            return GE2E(**options)
        if name == "speech2face":
            from encoder.backbones.speech2face import Speech2Face

            return Speech2Face(**options)
        if name == "tdnn":
            from encoder.backbones.tdnn import TDNN

            return TDNN(**options)
        if name.startswith("hf:"):
            from encoder.backbones.hf import HuggingFace

            return HuggingFace(name.removeprefix("hf:"), options)
    except TypeError as error:
        raise ConfigError(f"backbone_options of {name}: {error}") from error
    raise ConfigError(f'backbone "{name}" is unknown: ge2e, speech2face, tdnn or hf:<id or folder>')


def default_options(name: str) -> dict[str, Any]:
    """Options that a new model needs: a transformers configuration for hf, none for the others.

    Raises:
        ModelError: If the transformers model can't be read.
    """
    if name.startswith("hf:"):
        from encoder.backbones.hf import read_config

        return read_config(name.removeprefix("hf:"))
    return {}
