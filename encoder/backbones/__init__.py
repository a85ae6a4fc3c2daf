"""Voice backbones: networks from a waveform to the vector that the heads read."""

from __future__ import annotations

from typing import Any

from data.errors import ConfigError
from encoder.backbones.base import Backbone
from encoder.backbones.concat import Concat
from encoder.backbones.conv1d import Conv1D
from encoder.backbones.ge2e import GE2E
from encoder.backbones.imported import Imported
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
        name: "ge2e", "imported", one of `UNTRAINED`, "hf:<id or folder>", "onnx:<file>" or "concat".
        options: Arguments of its constructor, complete as `complete_backbone` gives them: width and hidden_size for
            those of `UNTRAINED`, fuser and segment_seconds for inception1d, those of `SPECTROGRAM_OPTIONS`, the
            transformers configuration and layers for hf, frontend, sha256 and output for onnx, parts for concat, each
            with its name and options, hidden_size for imported.

    Raises:
        ConfigError: If there is no such backbone, or it takes no such option.
        ModelError: If a library or file it needs is missing.
    """
    kind, _, rest = name.partition(":")
    try:
        if name == "ge2e":
            return GE2E(**options)
        if name == "imported":
            return Imported(**options)
        if name in UNTRAINED:
            return UNTRAINED[name](**options)
        if kind == "hf" and rest:
            from encoder.backbones.hf import HuggingFace

            layers = options.get("layers", "last")
            return HuggingFace(rest, {key: value for key, value in options.items() if key != "layers"}, layers)
        if kind == "onnx" and rest:
            from encoder.backbones.onnx import OnnxNetwork

            return OnnxNetwork(rest, **options)
        if kind == "concat":
            return Concat([build_backbone(*part) for part in list_parts(name, options)])
    except TypeError as error:
        raise ConfigError(f"backbone_options of {name}: {error}") from error
    raise ConfigError(
        f'backbone "{name}" is unknown: ge2e, {", ".join(UNTRAINED)}, hf:<id or folder>, onnx:<file> or '
        "concat:[<backbone>,<backbone>]"
    )


def complete_backbone(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and options from which a new model and its later copies are built.

    Args:
        name: As `build_backbone` takes it, or "concat:[<backbone>,<backbone>]".
        options: Options that the user gave.

    Returns:
        The options with the transformers configuration of hf, hash and front end of onnx; concat as name and parts.

    Raises:
        ConfigError: If options contradict each other or are missing.
        ModelError: If a transformers model or a file can't be read.
    """
    kind, _, rest = name.partition(":")
    if kind == "concat":
        parts = [complete_backbone(*part) for part in list_parts(name, options)]
        return "concat", {"parts": [{"name": part, "options": its_options} for part, its_options in parts]}
    if kind == "hf" and "model_type" not in options:
        from encoder.backbones.hf import read_config

        return name, {**read_config(rest), **options}
    if kind == "onnx":
        from encoder.backbones.onnx import complete_options

        return name, complete_options(rest, options)
    return name, options


def list_parts(name: str, options: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Names and options of the backbones that a concat consists of; another backbone alone.

    Raises:
        ConfigError: If the parts can't be read, or there are fewer than two.
    """
    kind, _, rest = name.partition(":")
    if kind != "concat":
        return [(name, options)]
    if rest:
        if options or not (rest.startswith("[") and rest.endswith("]")):
            raise ConfigError(
                f"backbone {name}: write concat:[ge2e,onnx:<file>], or concat with backbone_options "
                '{"parts": [{"name": "ge2e"}, {"name": "onnx:<file>", "options": {"frontend": "wespeaker"}}]}'
            )
        parts: list[Any] = [{"name": part.strip()} for part in rest[1:-1].split(",")]
    else:
        parts = list(options.get("parts", ()))
    if len(parts) < 2 or options.keys() - {"parts"}:
        raise ConfigError(f"backbone {name} needs the option parts, a list of two or more, and no other")
    for part in parts:
        if not isinstance(part, dict) or not {"name"} <= part.keys() <= {"name", "options"}:
            raise ConfigError(f"backbone {name}: a part is a name and options, not {part}")
        if str(part["name"]).startswith("concat"):
            raise ConfigError(f"backbone {name}: a part can't be a concat itself")
    return [(str(part["name"]), dict(part.get("options") or {})) for part in parts]


def check_training(name: str, options: dict[str, Any], freeze: bool) -> None:
    """Refuse a backbone that can't be frozen, or can't be trained.

    Args:
        name: As `complete_backbone` takes it.
        options: Its options.
        freeze: Whether it is frozen.

    Raises:
        ConfigError: If it, or one of its parts, has no published weights to freeze, or no gradients to be trained by.
    """
    for part, _ in list_parts(name, options):
        if freeze and part in UNTRAINED:
            raise ConfigError(f"{part} has no published weights to freeze: set --freeze-backbone false")
        if not freeze and part == "imported":
            raise ConfigError("imported voice vectors have no network to train: freeze the backbone")
        if not freeze and part.startswith("onnx:"):
            raise ConfigError(f"{part} can't be trained, because an ONNX file has no gradients: freeze the backbone")
