"""Folders of the small models that ship with the project."""

from __future__ import annotations

from pathlib import Path

from data.errors import ModelError


def shipped_weights(name: str) -> Path:
    """Folder of a model that ships, beside the packages: `weights/personas/<name>`.

    Args:
        name: `model` (the whole voice-to-face model), `face_encoder` or `judge`.

    Raises:
        ModelError: If it is absent, as in an installation without the checkout.

    Example:
        >>> sorted(path.name for path in shipped_weights("model").iterdir())
        ['README.md', 'config.json', 'model.safetensors']
    """
    folder = Path(__file__).resolve().parents[2] / "weights" / "personas" / name
    if not folder.is_dir():
        raise ModelError(f"the model that ships is not here: no folder {folder}; use a checkout of the whole project")
    return folder
