import numpy as np
import pytest

from data.faces import alignment
from data.faces.alignment import (
    ARCFACE_REGION,
    ARCFACE_TEMPLATE,
    CROP_REGION,
    Region,
    crop_region,
    extract_region,
    similarity_to_template,
)


def test_a_known_similarity_is_found_again() -> None:
    angle, scale = 0.3, 2.5
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    in_picture = ARCFACE_TEMPLATE @ rotation.T + (40, 90)
    to_template = similarity_to_template(in_picture)
    np.testing.assert_allclose(in_picture @ to_template[:, :2].T + to_template[:, 2], ARCFACE_TEMPLATE, atol=1e-9)


@pytest.mark.parametrize("landmarks", [np.ones((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2))])
def test_landmarks_that_say_nothing_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(ValueError):
        similarity_to_template(landmarks)


def test_cutting_a_crop_of_its_own_size_changes_nothing() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_region(crop[None], CROP_REGION, 64)[0], crop)


def test_arcface_square_of_a_64_px_crop_lies_on_its_pixel_grid() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_region(crop[None], ARCFACE_REGION, 44)[0], crop[12:56, 10:54])


def test_landmarks_land_on_the_template() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    landmarks = ARCFACE_TEMPLATE * 1.5 + (120, 60)
    x, y = landmarks[2].round().astype(int)
    picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    aligned = extract_region(picture, similarity_to_template(landmarks), ARCFACE_REGION, 112)
    bright = np.argwhere(aligned[..., 0] > 128).mean(0)[::-1]
    np.testing.assert_allclose(bright, ARCFACE_TEMPLATE[2], atol=1)


def test_outside_the_picture_its_edge_goes_on() -> None:
    picture = np.full((10, 10, 3), 77, np.uint8)
    aligned = extract_region(picture, np.array([[1.0, 0, 0], [0, 1.0, 0]]), Region(-50, -50, 100), 32)
    assert (aligned == 77).all()


@pytest.mark.parametrize("left, top", [(-700, -100), (-300, -500), (300, 200)])
def test_a_region_far_larger_than_the_picture_needs_no_memory_of_its_size(
    monkeypatch: pytest.MonkeyPatch, left: float, top: float
) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 16, 3)).repeat(40, 0).repeat(40, 1).astype(np.uint8)
    to_template = np.array([[0.9, -0.3, 5.0], [0.3, 0.9, -7.0]])
    region = Region(left, top, 1100)
    whole = extract_region(coarse, to_template, region, 64)
    sizes: list[int] = []
    pad = np.pad

    def watch(image: np.ndarray, margins: object, **options: object) -> np.ndarray:
        padded: np.ndarray = pad(image, margins, **options)  # type: ignore[call-overload]
        sizes.append(padded.shape[0] * padded.shape[1])
        return padded

    monkeypatch.setattr(np, "pad", watch)
    monkeypatch.setattr(alignment, "_MAX_PADDED_PIXELS", 700_000)
    bounded = extract_region(coarse, to_template, region, 64)
    assert sizes and max(sizes) <= 700_000
    assert np.abs(bounded.astype(int) - whole).mean() < 4
