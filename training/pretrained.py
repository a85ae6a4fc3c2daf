"""Models as folders of model.safetensors, config.json and README.md, on disk or on the Hugging Face hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import huggingface_hub
from huggingface_hub import ModelCard, ModelHubMixin
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from data.errors import ConfigError, ModelError, OutputError, one_line
from data.files import write_file
from data.store.shards import read_info
from training.config import build_config, config_to_dict

_FORMAT_VERSION = 1
_FILES = ("config.json", "model.safetensors", "README.md")

Model = TypeVar("Model", bound="PretrainedModel")


@dataclass(frozen=True)
class TrainingData:
    """A data set that a model was trained on, as config.json keeps it; no path.

    Attributes:
        name: Name of its folder.
        num_identities: People in its training split.
        num_voices: Clips with speech in it.
        num_faces: Crops in it.
        is_synthetic: Whether all people are personas.
        is_private: Whether it is marked as private: models of it are not published.
    """

    name: str
    num_identities: int
    num_voices: int
    num_faces: int
    is_synthetic: bool = False
    is_private: bool = False


def read_training_data(dataset: str | Path) -> TrainingData:
    """What a model keeps of the data set that it is trained on.

    Args:
        dataset: Folder of the data set.

    Raises:
        DatasetError: If it is missing or damaged.
    """
    info = read_info(Path(dataset))
    return TrainingData(
        name=Path(dataset).resolve().name,
        num_identities=info.num_identities["train"],
        num_voices=info.num_voices["train"],
        num_faces=info.num_faces["train"],
        is_synthetic="population" in info.extra,
        is_private=info.is_private,
    )


class PretrainedModel(nn.Module, ModelHubMixin):
    """A module that is built from its config alone, so that it is saved and loaded without pickle.

    Subclasses set `config_class` and `model_type` and take the config as the only argument of `__init__`.
    `push_to_hub` comes from huggingface_hub.

    Attributes:
        config_class: Frozen dataclass of the config.
        model_type: Kind of the model in config.json.
        config: Config of this instance.
        training_data: Data sets that it was trained on, each once; none of models made before this was kept.
    """

    config_class: ClassVar[type]
    model_type: ClassVar[str]

    def __init__(self, config: Any) -> None:
        """Build the model with fresh weights."""
        super().__init__()
        self.config = config
        self.training_data: tuple[TrainingData, ...] = ()

    def record_training_data(self, data: Iterable[TrainingData]) -> None:
        """Add data sets to those that the model was trained on."""
        self.training_data = tuple(dict.fromkeys((*self.training_data, *data)))

    def model_card(self) -> str:
        """Text of the README.md beside the weights: Markdown with the hub's YAML header."""
        return (
            "---\nlibrary_name: wav2face\ntags:\n- wav2face\n- model_hub_mixin\n---\n\n"
            f"# {self.model_type}\n\n"
            f"Made with wav2face; load it with `{type(self).__name__}.from_pretrained`.\n"
        )

    def generate_model_card(self, *_: Any, **__: Any) -> ModelCard:
        """The model card in the type that huggingface_hub expects."""
        return ModelCard(self.model_card())

    def save_pretrained(self, save_directory: str | Path, **_: Any) -> None:
        """Write the model; each file is written by an atomic rename.

        Args:
            save_directory: Folder, created if missing; a model in it is replaced.

        Raises:
            OutputError: If the folder can't be written.
        """
        folder = Path(save_directory)
        weights = {
            name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in self.state_dict().items()
        }
        about = {
            "model_type": self.model_type,
            "format_version": _FORMAT_VERSION,
            "config": config_to_dict(self.config),
        }
        if self.training_data:
            about["training_data"] = [asdict(data) for data in self.training_data]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / "model.safetensors", save(weights, metadata={"format": "pt"}))
            write_file(folder / "README.md", self.model_card())
            write_file(folder / "config.json", json.dumps(about, indent=2) + "\n")
        except OSError as error:
            raise OutputError(f"can't write the model to {folder}: {error}") from None

    @classmethod
    def from_pretrained(cls: type[Model], folder_or_hub_id: str | Path, **hub_options: Any) -> Model:
        """Load a model, in eval mode, on the CPU.

        Args:
            folder_or_hub_id: A folder, or `owner/name` on the Hugging Face hub.
            hub_options: Arguments of `huggingface_hub.snapshot_download`, such as `revision` or `token`.

        Raises:
            ModelError: If the model is missing, damaged, of another kind or version, or can't be fetched.
        """
        folder = find_model(folder_or_hub_id, **hub_options)
        about = _read_config(folder)
        if about["model_type"] != cls.model_type:
            raise ModelError(f"{folder} holds a {about['model_type']}, but a {cls.model_type} is needed")
        try:
            config: Any = build_config(cls.config_class, about["config"], str(folder / "config.json"))
            model = cls(config)
            model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
            model.record_training_data(TrainingData(**data) for data in about.get("training_data", ()))
        except (OSError, SafetensorError, RuntimeError, TypeError, ConfigError) as error:
            raise ModelError(f"can't load {folder}: {' '.join(str(error).split())[:500]}") from None
        return model.eval()


def read_model_type(folder_or_hub_id: str | Path) -> str:
    """Read the kind of model that a folder or hub id holds.

    Raises:
        ModelError: As `PretrainedModel.from_pretrained`.
    """
    return str(_read_config(find_model(folder_or_hub_id))["model_type"])


def find_model(folder_or_hub_id: str | Path, **hub_options: Any) -> Path:
    """Local folder of a model; a hub id is downloaded into huggingface_hub's cache.

    Args:
        folder_or_hub_id: A folder, or `owner/name` on the Hugging Face hub.
        hub_options: Arguments of `huggingface_hub.snapshot_download`, such as `revision` or `token`.

    Raises:
        ModelError: If it is neither, or can't be fetched.
    """
    folder, name = Path(folder_or_hub_id), str(folder_or_hub_id)
    if folder.is_dir():
        return folder
    if isinstance(folder_or_hub_id, Path) or not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        raise ModelError(f"no model folder {name}: check the path, or train one")
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(_FILES), **hub_options))
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        reason = one_line(error)[:300]
        raise ModelError(f"{name} is neither a folder nor a model that the Hugging Face hub gives: {reason}") from None


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no readable model: {path}: {error}") from None
    if not isinstance(about, dict) or not {"model_type", "format_version", "config"} <= about.keys():
        raise ModelError(f"{path} is not the config of a wav2face model")
    if about["format_version"] != _FORMAT_VERSION:
        raise ModelError(f"{path} has format {about['format_version']}, not {_FORMAT_VERSION}: update wav2face")
    return about
