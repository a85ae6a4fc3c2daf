from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from data.faces.registry import load_recognizer
from data.store.dataset import ClipDataset
from gan.identity import FaceNetwork, load_face_network
from gan.validation import Validation, ValidationFaces
from tests.synthetic import TinyWorld

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def face_network(tiny_world: TinyWorld) -> FaceNetwork:
    return load_face_network(load_recognizer("insightface:tiny", tiny_world.pack_root).info)


@pytest.fixture(scope="module")
def faces(tiny_world: TinyWorld) -> ValidationFaces:
    return ValidationFaces(ClipDataset(tiny_world.dataset, "val"))


class Copier(nn.Module):
    """Draws the crop whose feature it is given; noise shifts all pixels."""

    def __init__(self, faces: ValidationFaces, noise: float = 0.0) -> None:
        super().__init__()
        self.faces, self.noise = faces, noise

    def forward(self, feature: Tensor, noise: Tensor) -> Tensor:
        rows = torch.cdist(feature, self.faces.features).argmin(1)
        images = self.faces.crops[rows].float() / 127.5 - 1
        return images * (1 - self.noise) + self.noise * noise[:, :1, None, None].tanh()


class Constant(nn.Module):
    """Scores training faces 2, validation faces 1 and everything else -2, by the crops."""

    def __init__(self, training: ValidationFaces, validation: ValidationFaces) -> None:
        super().__init__()
        self.known = [(2.0, training), (1.0, validation)]

    def forward(self, images: Tensor, feature: Tensor) -> Tensor:
        scores = torch.full((len(images), feature.shape[1] + 1), -2.0)
        for score, faces in self.known:
            crops = (faces.crops.float() / 127.5 - 1).flatten(1)
            scores[torch.cdist(images.flatten(1), crops).min(1).values < 1e-2] = score
        return scores


def validation(faces: ValidationFaces, network: FaceNetwork | None, training: ValidationFaces) -> Validation:
    return Validation(faces, training, faces.features.mean(0), network, 4, CPU)


def test_a_generator_that_draws_the_crops_themselves_without_noise_is_measured_as_such(
    faces: ValidationFaces, face_network: FaceNetwork
) -> None:
    values = validation(faces, face_network, faces).measure(Copier(faces), None)
    assert values["val/f2f_cosine"] == pytest.approx(1, abs=1e-5)
    assert values["val/frechet_distance"] == pytest.approx(0, abs=1e-4)
    assert values["val/noise_cosine"] == pytest.approx(1, abs=1e-5) and values["val/noise_pixels"] == 0
    assert not any("score" in name or "overfitting" in name for name in values)


def test_noise_that_changes_drawings_and_wrong_faces_are_seen(
    faces: ValidationFaces, face_network: FaceNetwork
) -> None:
    values = validation(faces, face_network, faces).measure(Copier(faces, noise=0.5), None)
    assert values["val/noise_cosine"] < 0.999 and values["val/noise_pixels"] > 0.05
    assert values["val/f2f_cosine"] < 0.999 and values["val/frechet_distance"] > 1e-3


def test_overfitting_is_the_place_of_validation_faces_between_training_faces_and_drawings(
    tiny_world: TinyWorld, faces: ValidationFaces
) -> None:
    training = ValidationFaces(ClipDataset(tiny_world.dataset, "train"))
    values = validation(faces, None, training).measure(Copier(faces, noise=0.5), Constant(training, faces))
    assert {name: values[f"val/score_{name}"] for name in ("training", "validation", "drawing")} == pytest.approx(
        {"training": 2, "validation": 1, "drawing": -2}
    )
    assert values["val/overfitting"] == pytest.approx(0.25)
    assert "val/f2f_cosine" not in values
    alike = validation(faces, None, faces).measure(Copier(faces), Constant(training, faces))
    assert alike["val/overfitting"] == 0  # nothing is told apart


def test_a_number_of_faces_is_spread_over_the_split(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    few, every = ValidationFaces(dataset, 5), ValidationFaces(dataset)
    assert 3 <= len(few) <= 5 < len(every) and torch.equal(few.crops[0], every.crops[0])
    step = -(-len(every) // 5)
    assert torch.equal(few.features, every.features[::step])
