"""What of a model goes out to the hub, what may not, and the upload."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import yaml

from data.errors import DatasetError, ModelError, OutputError, one_line
from data.files import sha256_of_file
from data.store.shards import read_info
from encoder.voice_encoder import VoiceEncoder
from eval.sharing.card import CARD_NAME, Card, complete_card, format_card, parse_card, read_card
from eval.sharing.metrics import read_metrics
from gan.voice2face import Voice2Face
from training.card import NO_LICENCE
from training.pretrained import PretrainedModel, read_model_type, read_training_data

_CLASSES: dict[str, type[PretrainedModel]] = {kind.model_type: kind for kind in (Voice2Face, VoiceEncoder)}
_WEIGHTS, _CONFIG = "model.safetensors", "config.json"


@dataclass(frozen=True)
class Publication:
    """What would go out.

    Attributes:
        files: Content by name; the weights as a path.
        warnings: What whoever publishes should know.
    """

    files: dict[str, bytes | Path]
    warnings: tuple[str, ...]

    @property
    def card(self) -> str:
        """Text of the model's card."""
        content = self.files[CARD_NAME]
        assert isinstance(content, bytes)
        return content.decode()

    def sizes(self) -> dict[str, int]:
        """Bytes of each file by name."""
        return {
            name: content.stat().st_size if isinstance(content, Path) else len(content)
            for name, content in self.files.items()
        }


def plan_publication(
    folder: Path,
    datasets: Sequence[Path] = (),
    reports: Sequence[Path] = (),
    licence: str | None = None,
    repo: str | None = None,
) -> Publication:
    """Collect what would go out, and refuse what may not.

    Args:
        folder: Folder of a voice encoder or a voice-to-face model.
        datasets: Data sets that the model was trained on, where its config.json keeps no record of them.
        reports: Reports on these very weights, for the card.
        licence: Licence of the model by the hub's name; None keeps the card's.
        repo: `owner/name` that the card's example shall load; None for a folder.

    Raises:
        ModelError: If the folder holds no such model, the model or a data set of it is private, or its data sets are
            not known.
        ConfigError: If the report can't be read.
        DatasetError: If a data set that was given is missing.
    """
    kind = read_model_type(folder)
    if kind not in _CLASSES:
        raise ModelError(f"{folder} holds a {kind}; voice encoders and voice-to-face models are published")
    model = _CLASSES[kind].from_pretrained(folder)
    model.record_training_data(read_training_data(dataset) for dataset in datasets)
    _refuse_private(model, folder)
    metrics = [read_metrics(report) for report in reports]
    sha256 = sha256_of_file(folder / _WEIGHTS)
    for report, measured in zip(reports, metrics, strict=True):
        if measured.model_sha256 != sha256:
            raise ModelError(
                f"{report} is about other weights (sha256 {measured.model_sha256[:12]}, not {sha256[:12]}): "
                "evaluate this model"
            )
    name = repo.partition("/")[2] if repo else folder.resolve().parent.name
    card = complete_card(read_card(folder), parse_card(model.model_card()), name, metrics)
    if licence is not None:
        card.header.pop("license_name", None)
        card.header["license"] = licence
    if repo is not None:
        card = Card(card.header, card.text.replace('"this folder"', f'"{repo}"'))
    config, warnings = _public_config(folder, model)
    if not metrics:
        warnings.append("no --report: the card says that nothing was measured")
    if "**Face features of" in card.text:
        warnings.append("the weights hold face features of training people: publish them only if these people agree")
    if card.header.get("license_name") == NO_LICENCE:
        warnings.append("the card states no licence of the model: give one with --license")
    files: dict[str, bytes | Path] = {
        CARD_NAME: format_card(card).encode(),
        _CONFIG: config,
        _WEIGHTS: folder / _WEIGHTS,
    }
    return Publication(files, tuple(warnings))


def upload(publication: Publication, repo: str, *, is_private: bool = False) -> str:
    """Upload to the hub that huggingface_hub is set to, with its token.

    Args:
        publication: What goes out.
        repo: `owner/name`; created if missing.
        is_private: Whether a new repository is for its owner's eyes alone.

    Returns:
        Address of the commit.

    Raises:
        OutputError: If the hub refuses or can't be reached.
    """
    api = huggingface_hub.HfApi()
    try:
        with tempfile.TemporaryDirectory(prefix="wav2face-publish-") as name:
            folder = Path(name)
            for file, content in publication.files.items():
                if isinstance(content, Path):
                    (folder / file).symlink_to(content.resolve())
                else:
                    (folder / file).write_bytes(content)
            api.create_repo(repo, repo_type="model", private=is_private, exist_ok=True)
            commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Model of wav2face")
        return str(commit.commit_url)
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise OutputError(f"{repo}: the hub did not take it: {one_line(error)[:300]}") from None


def _refuse_private(model: PretrainedModel, folder: Path) -> None:
    """Refuse a model of private data, by its own record and by the data sets that its run's config names.

    Raises:
        ModelError: With the name of the data set.
    """
    for name, is_private in (
        *((data.name, data.is_private) for data in model.training_data),
        *_datasets_of_run(folder),
    ):
        if is_private:
            raise ModelError(
                f"{folder} was trained on {name}, which is marked as private: models of it are not published"
            )
    if not model.training_data:
        raise ModelError(
            f"{folder} keeps no record of the data sets that it was trained on, and one of them may be private: name "
            "them all with --dataset"
        )


def _datasets_of_run(folder: Path) -> Iterator[tuple[str, bool]]:
    """Data sets that the configs of a model's run and of its encoder's run name, where they are still there."""
    for path in (folder.resolve().parent / "config.yaml",):
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            dataset = Path(config["dataset"])
            yield dataset.name, read_info(dataset).is_private
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, DatasetError):
            continue  # the model's own record counts


def _public_config(folder: Path, model: PretrainedModel) -> tuple[bytes, list[str]]:
    """config.json without paths of this machine, and warnings about those that can't be left out.

    Raises:
        ModelError: If it names a file that others can't have.
    """
    about = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    about["training_data"] = [vars(data) for data in model.training_data]
    encoder = about["config"].get("encoder", about["config"])
    encoder["face_encoder"]["path"] = ""
    warnings = [f"config.json names {path}, which others don't have" for path in _paths_in(about["config"])]
    return (json.dumps(about, indent=2) + "\n").encode(), warnings


def _paths_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _paths_in(item)
    elif isinstance(value, str):
        path = value.partition(":")[2] or value
        if path.startswith(("/", "~", "./", "../")):
            yield value
