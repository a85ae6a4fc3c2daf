import dataclasses

import numpy as np
import pytest
import torch

from data.errors import ConfigError
from encoder.faces.augment import FaceAugmentConfig, augment_crops
from encoder.faces.inference import to_inputs
from tests.synthetic import draw_face

NOTHING = FaceAugmentConfig(**{field.name: 0.0 for field in dataclasses.fields(FaceAugmentConfig)})


def crops(num_people: int = 4, size: int = 64) -> torch.Tensor:
    return torch.from_numpy(np.stack([draw_face(person, size=size) for person in range(num_people)]))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [64, 128])
def test_without_changes_the_input_is_the_one_that_features_are_made_of(size: int) -> None:
    inputs = augment_crops(crops(size=size), NOTHING, generator())
    expected = to_inputs(crops(size=size).numpy())
    assert inputs.shape == (4, 3, 112, 112)
    assert (inputs - expected).abs().mean() < 0.03  # bilinear here, bicubic there


def test_a_mirrored_face_is_the_input_mirrored() -> None:
    inputs = augment_crops(crops(), NOTHING, generator())
    mirrored = augment_crops(crops(), dataclasses.replace(NOTHING, flip=1.0), generator())
    torch.testing.assert_close(mirrored, inputs.flip(3), atol=1e-4, rtol=0)


def test_equal_generators_change_alike_and_others_do_not() -> None:
    first, again, other = (augment_crops(crops(), FaceAugmentConfig(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FaceAugmentConfig)])
def test_every_change_changes_something_and_stays_in_range(name: str) -> None:
    plain = augment_crops(crops(), NOTHING, generator())
    config = dataclasses.replace(NOTHING, **{name: 1.0 if name in ("flip", "erase") else 0.5})
    changed = augment_crops(crops(), config, generator())
    assert 1e-4 < (changed - plain).abs().mean() < 0.7
    assert changed.abs().max() <= 1.0001


@pytest.mark.parametrize("setting", [{"flip": 1.5}, {"noise": -1.0}, {"shift": float("inf")}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="augment"):
        FaceAugmentConfig(**setting)
