from __future__ import annotations

import numpy as np
import pytest
import torch

from data.errors import DatasetError
from data.store.clip import Attributes
from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw
from encoder.faces.crops import FaceCrops
from encoder.faces.train import known_difference
from tests.synthetic import TinyWorld


@pytest.fixture
def clips(tiny_world: TinyWorld) -> ClipDataset:
    return ClipDataset(tiny_world.dataset, "train")


@pytest.mark.parametrize("memory_bytes", [0, 10**9])
def test_a_draw_is_one_of_the_persons_own_crops_wherever_they_are_kept(clips: ClipDataset, memory_bytes: int) -> None:
    face_crops = FaceCrops(clips, memory_bytes)
    assert face_crops.num_faces == clips.num_faces.sum() == len(face_crops.classes())
    for label, person in enumerate(face_crops.people):
        own = [clips.face(*place) for place in clips.faces_of(person)]
        drawn = [face_crops[PersonDraw(person, seed)] for seed in range(12)]
        assert {number for _, number in drawn} == {label}
        seen = {crop.numpy().tobytes() for crop, _ in drawn}
        assert seen == {crop.tobytes() for crop in own}


def test_people_without_a_face_are_no_class(clips: ClipDataset) -> None:
    assert set(FaceCrops(clips, 0).people) == {i for i in range(len(clips.identities)) if clips.faces_of(i)}


def test_a_split_without_faces_is_refused(clips: ClipDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "faces_of", lambda person: [])
    with pytest.raises(DatasetError, match="nobody in the train split has a face"):
        FaceCrops(clips, 0)


def test_mean_looks_are_white_and_the_same_each_time(clips: ClipDataset) -> None:
    face_crops = FaceCrops(clips, 10**9)
    looks = face_crops.mean_looks(6)
    assert looks.shape == (len(face_crops), 6) and looks.dtype == torch.float32
    torch.testing.assert_close(looks.mean(dim=0), torch.zeros(6), atol=1e-3, rtol=0)
    torch.testing.assert_close(looks.T @ looks / len(looks), torch.eye(6), atol=1e-3, rtol=0)
    torch.manual_seed(5)
    assert torch.equal(looks, face_crops.mean_looks(6))
    assert face_crops.mean_looks(1000).shape[1] == len(face_crops) - 1


def test_known_attributes_are_of_unit_variance_and_nan_where_unknown(
    clips: ClipDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    face_crops = FaceCrops(clips, 0)
    known = face_crops.known_attributes()
    assert known.shape == (len(face_crops), 2)  # sex and age
    ages = np.array([clips.attributes(person).age for person in face_crops.people], np.float32)
    assert np.array_equal(np.isnan(known[:, 1].numpy()), np.isnan(ages)) and np.isnan(ages).any()
    for column in known.numpy().T:
        assert np.nanmean(column) == pytest.approx(0, abs=1e-5) and np.nanstd(column) == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(clips, "attributes", lambda person: Attributes(None, None, None))
    assert face_crops.known_attributes().shape == (len(face_crops), 0)


def test_unknown_attributes_have_no_difference_and_no_gradient() -> None:
    predicted = torch.tensor([[1.0, 2.0]], requires_grad=True)
    difference = known_difference(predicted, torch.tensor([[0.5, float("nan")]]))
    assert difference.tolist() == [[0.5, 0.0]]
    difference.square().sum().backward()
    assert predicted.grad is not None and predicted.grad.tolist() == [[1.0, 0.0]]
