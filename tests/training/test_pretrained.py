from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from torch import nn

from data.errors import ModelError, OutputError
from tests.synthetic import TinyWorld
from training.pretrained import PretrainedModel, TrainingData, read_model_type, read_training_data


@dataclass(frozen=True)
class LayerConfig:
    width: int = 2
    strides: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class ToyConfig:
    name: str
    layer: LayerConfig = field(default_factory=LayerConfig)


class Toy(PretrainedModel):
    config_class = ToyConfig
    model_type = "toy"

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.first = nn.Linear(2, config.layer.width)
        self.tied = self.first


class Other(Toy):
    model_type = "other"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    Toy(ToyConfig("it", LayerConfig(3, (2,)))).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_comes_back_with_its_config_and_weights_in_eval_mode(tmp_path: Path) -> None:
    model = Toy(ToyConfig("it", LayerConfig(3, (2,))))
    model.save_pretrained(tmp_path / "a" / "model")
    loaded = Toy.from_pretrained(tmp_path / "a" / "model")
    assert loaded.config == model.config
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert read_model_type(tmp_path / "a" / "model") == "toy"
    card = (tmp_path / "a" / "model" / "README.md").read_text()
    assert card.startswith("---\n")
    assert "Toy.from_pretrained" in card


def damage_config(folder: Path, **changes: Any) -> None:
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**about, **changes}))


def test_a_model_that_is_damaged_or_another_is_refused_in_one_line(saved: Path) -> None:
    def refuses(says: str, kind: type[Toy] = Toy) -> None:
        with pytest.raises(ModelError, match=says) as error:
            kind.from_pretrained(saved)
        assert "\n" not in str(error.value)

    refuses("holds a toy, but a other is needed", Other)
    weights = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(weights[:50])
    refuses("can't load")
    (saved / "model.safetensors").unlink()
    refuses("model.safetensors")
    (saved / "model.safetensors").write_bytes(weights)
    damage_config(saved, config={"name": "it", "layer": {"width": 4}})
    refuses("size mismatch")
    damage_config(saved, config={"name": "it", "layer": {"widht": 4}})
    refuses("unknown key 'layer.widht' in .*config.json; did you mean 'layer.width'")
    damage_config(saved, config={})
    refuses("name")
    damage_config(saved, format_version=2)
    refuses("has format 2, not 1")
    (saved / "config.json").write_text("{}")
    refuses("not the config of a wav2face model")
    (saved / "config.json").write_text("{")
    refuses("no readable model")
    (saved / "config.json").unlink()
    refuses("no readable model")


def test_a_missing_folder_is_told_so(tmp_path: Path) -> None:
    for name in (tmp_path / "none", str(tmp_path / "none"), "no/such/folder", "../none"):
        with pytest.raises(ModelError, match="no model folder"):
            Toy.from_pretrained(name)


def test_a_hub_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no\nconnection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(ModelError, match=r"owner/toy is neither a folder nor a model that .* gives: no connection"):
        Toy.from_pretrained("owner/toy")


def test_a_hub_model_is_what_the_hub_gives(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, **options: asked.append((name, options)) or str(saved),
    )
    assert Toy.from_pretrained("owner/toy", revision="v1").config.name == "it"
    assert asked[0][0] == "owner/toy"
    assert asked[0][1]["revision"] == "v1"


def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write the model"):
        Toy(ToyConfig("it")).save_pretrained(tmp_path / "file" / "model")


def test_the_hub_gets_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: list[list[str]] = []

    class Hub:
        def __init__(self, **_: Any) -> None: ...

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, folder_path: Path, **_: Any) -> str:
            uploaded.append(sorted(path.name for path in folder_path.iterdir()))
            return "done"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Hub)
    assert Toy(ToyConfig("it")).push_to_hub("owner/toy") == "done"
    assert uploaded == [["README.md", "config.json", "model.safetensors"]]


def test_a_model_keeps_a_record_of_its_data(tmp_path: Path, tiny_world: TinyWorld) -> None:
    model = Toy(ToyConfig("it"))
    people = read_training_data(tiny_world.dataset)
    assert people.name == tiny_world.dataset.name and people.num_identities > 0 and not people.is_private
    model.record_training_data([people, TrainingData("other", 1, 2, 3, is_private=True), people])
    model.save_pretrained(tmp_path)
    assert Toy.from_pretrained(tmp_path).training_data == (people, TrainingData("other", 1, 2, 3, is_private=True))
    assert str(tiny_world.dataset) not in (tmp_path / "config.json").read_text()
    damage_config(tmp_path, training_data=[{"name": "it", "colour": "red"}])
    with pytest.raises(ModelError, match=r"can't load .*colour"):
        Toy.from_pretrained(tmp_path)


def test_a_model_without_a_record_loads(saved: Path) -> None:
    assert "training_data" not in json.loads((saved / "config.json").read_text())
    assert Toy.from_pretrained(saved).training_data == ()
