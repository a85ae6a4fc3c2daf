"""How faces are found and described: the settings that all preparations share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from data.faces.analyzer import FaceAnalyzer
from data.faces.protocol import Device
from data.faces.registry import cached_analyzer, cached_recognizer


@dataclass(frozen=True)
class FaceRecipe:
    """How pictures become crops and face features.

    Attributes:
        face_analyzer: Detector and face network, as `load_analyzer` takes them.
        face_encoder: Face network T in the place of the analyzer's, as `load_recognizer` takes it; None for the
            analyzer's own.
        insightface_root: Folder that holds `models/<pack>/`; None for `~/.insightface`.
        face_size: Side of the crops in pixels.
        device: Device that face networks run on.
    """

    face_analyzer: str
    face_encoder: str | None = None
    insightface_root: str | None = None
    face_size: int = 128
    device: Device = "cpu"


def load_face_networks(recipe: FaceRecipe) -> FaceAnalyzer:
    """Detector and T of a recipe, loaded once a process.

    Raises:
        ConfigError: If a name is unknown.
        ModelError: If a file or a package is missing.
    """
    analyzer = cached_analyzer(recipe.face_analyzer, recipe.insightface_root, recipe.device)
    if recipe.face_encoder is None:
        return analyzer
    return replace(analyzer, recognizer=cached_recognizer(recipe.face_encoder, recipe.insightface_root, recipe.device))
