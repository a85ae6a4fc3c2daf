"""Checkpoints: all that a resume needs, in named folders that appear by an atomic rename.

    checkpoints/000000012800/{NAME.safetensors, NAME.json, checkpoint.json}
    checkpoints/latest            the name of the newest complete folder

Tensors go to safetensors, scalars and structure to JSON; nothing is pickled.
"""

from __future__ import annotations

import json
import shutil
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from data.errors import ModelError
from data.files import sync_folder, write_file
from training.run import Run

_FORMAT_VERSION = 1


class Stateful(Protocol):
    """An object whose state is nested dicts, lists, tensors and scalars: modules, optimizers, averages."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Restore a state; raises if it does not fit."""
        ...


class Checkpoints:
    """Registry of the parts of a run's state."""

    def __init__(self, run: Run, keep: int = 2) -> None:
        """Start an empty registry.

        Args:
            run: The run whose folder gets the checkpoints.
            keep: Number of newest checkpoints that are kept.
        """
        self.folder = run.folder / "checkpoints"
        self._run = run
        self._keep = keep
        self._registered: dict[str, Stateful] = {}

    def register(self, name: str, part: Stateful) -> None:
        """Add a part of the state under a name, which becomes its file's name.

        Args:
            name: Name that is unique within the run.
            part: Object with `state_dict` and `load_state_dict`; a prepared module is unwrapped.
        """
        if name in self._registered or name == "checkpoint":
            raise ValueError(f"the name {name!r} is taken")
        self._registered[name] = self._run.accelerator.unwrap_model(part) if isinstance(part, nn.Module) else part

    def save(self, images_seen: int) -> None:
        """Write a checkpoint. Every process calls it; the main one writes.

        Args:
            images_seen: Images seen so far; they name the checkpoint.
        """
        if self._run.is_main and not self._run.config.dry_run:
            self._write(f"{images_seen:012d}", images_seen)
        self._run.accelerator.wait_for_everyone()

    def _write(self, name: str, images_seen: int) -> None:
        if self.latest() == name:  # already saved after the same number of images
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*.partial"):
            shutil.rmtree(leftover)
        partial = self.folder / f".{name}.partial"
        partial.mkdir()
        try:
            for part_name, part in self._registered.items():
                tensors: dict[str, torch.Tensor] = {}
                structure = _split(part.state_dict(), "", tensors)
                write_file(partial / f"{part_name}.safetensors", save(tensors))
                write_file(partial / f"{part_name}.json", json.dumps(structure))
            about = {
                "format_version": _FORMAT_VERSION,
                "images_seen": images_seen,
                "parts": list(self._registered),
            }
            write_file(partial / "checkpoint.json", json.dumps(about))
            if (self.folder / name).exists():  # complete, but the process ended before `latest` was written
                shutil.rmtree(self.folder / name)
            partial.rename(self.folder / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync_folder(self.folder)
        write_file(self.folder / "latest", name)
        others = sorted(path for path in self.folder.iterdir() if path.name.isdigit() and path.name != name)
        for old in others[: max(0, len(others) - self._keep + 1)]:
            shutil.rmtree(old)

    def latest(self) -> str | None:
        """Name of the newest complete checkpoint; None if there is none."""
        pointer = self.folder / "latest"
        return pointer.read_text(encoding="utf-8").strip() if pointer.exists() else None

    def load_latest(self) -> int | None:
        """Restore all registered parts. Every process calls it.

        Returns:
            Images seen at that checkpoint; None if there is none.

        Raises:
            ModelError: If the checkpoint is damaged or does not fit the registered parts.
        """
        name = self.latest()
        if name is None:
            return None
        folder = self.folder / name
        try:
            about = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
            if about["format_version"] != _FORMAT_VERSION:
                raise ModelError(f"{folder} has format {about['format_version']}, not {_FORMAT_VERSION}")
            if set(about["parts"]) != set(self._registered):
                raise ModelError(
                    f"{folder} holds {sorted(about['parts'])}, but this run needs {sorted(self._registered)}"
                )
            for part_name, part in self._registered.items():
                structure = json.loads((folder / f"{part_name}.json").read_text(encoding="utf-8"))
                part.load_state_dict(_join(structure, load_file(folder / f"{part_name}.safetensors")))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ModelError(
                f"can't resume from {folder}: {' '.join(str(error).split())[:500]}; "
                "write the name of an older checkpoint into `latest` beside it, or start another run"
            ) from None
        images_seen = about["images_seen"]
        assert isinstance(images_seen, int)
        return images_seen


def _split(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Structure fit for JSON; tensors move to `tensors` under their path."""
    if isinstance(value, torch.Tensor):
        # The layout is kept: another kernel would update an optimizer state of another layout, not bit-exactly.
        channels_last = (
            value.ndim == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
        )
        assert path not in tensors
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"$tensor": path, "channels_last": channels_last}
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _split(item, f"{path}.{key}" if path else key, tensors) for key, item in value.items()}
        return {"$items": [[key, _split(item, f"{path}.{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_split(item, f"{path}.{index}", tensors) for index, item in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{path}: a checkpoint can't hold a {type(value).__name__}")


def _join(structure: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Undo `_split`."""
    if isinstance(structure, list):
        return [_join(item, tensors) for item in structure]
    if not isinstance(structure, dict):
        return structure
    if "$tensor" in structure:
        tensor = tensors[structure["$tensor"]]
        return tensor.contiguous(memory_format=torch.channels_last) if structure["channels_last"] else tensor
    if "$items" in structure:
        return {key: _join(item, tensors) for key, item in structure["$items"]}
    if "$tuple" in structure:
        return tuple(_join(item, tensors) for item in structure["$tuple"])
    return {key: _join(item, tensors) for key, item in structure.items()}
