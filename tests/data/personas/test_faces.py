"""What pictures of personas depend on, and that they look like faces to a detector."""

from dataclasses import replace

import numpy as np
import pytest

from data.errors import ConfigError
from data.faces.alignment import ARCFACE_TEMPLATE, CROP_REGION, FACE_SIZES
from data.personas.faces import render_faces, render_with_landmarks
from data.personas.population import Population, draw_population


@pytest.fixture(scope="module")
def population() -> Population:
    return draw_population(40, seed=4)


def faces_of(population: Population, personas: list[int], images: list[int], size: int = 64) -> np.ndarray:
    return render_faces(population, np.array(personas, int), np.array(images, int), size)


@pytest.mark.parametrize("size", FACE_SIZES)
def test_faces_are_rgb_bytes_of_the_wanted_size_and_use_the_whole_range(population: Population, size: int) -> None:
    faces = faces_of(population, [0, 1, 2], [0, 0, 3], size)
    assert faces.shape == (3, size, size, 3) and faces.dtype == np.uint8
    assert (faces.max(axis=(1, 2, 3)) > 180).all() and (faces.min(axis=(1, 2, 3)) < 40).all()
    assert (faces.std(axis=(1, 2)) > 15).all()


def test_no_faces_are_an_empty_array(population: Population) -> None:
    assert faces_of(population, [], [], 128).shape == (0, 128, 128, 3)


@pytest.mark.parametrize("size", [0, 63, 96, 512])
def test_another_size_is_refused_and_the_possible_ones_are_named(population: Population, size: int) -> None:
    with pytest.raises(ConfigError, match=f"face size {size}.*64, 128, 256"):
        faces_of(population, [0], [0], size)


def test_a_picture_is_the_same_whatever_else_is_drawn(population: Population) -> None:
    personas, images = list(range(20)), [number % 3 for number in range(20)]
    together = faces_of(population, personas, images).astype(int)
    backwards = faces_of(population, personas[::-1], images[::-1])[::-1]
    alone = np.concatenate([faces_of(population, [one], [image]) for one, image in zip(personas, images, strict=True)])
    assert np.abs(together - backwards).max() <= 1
    assert np.abs(together - alone).max() <= 1


def test_the_same_call_gives_the_same_bytes_and_a_larger_population_the_same_people(population: Population) -> None:
    first = faces_of(population, [3, 7], [0, 1])
    assert np.array_equal(first, faces_of(population, [3, 7], [0, 1]))
    assert np.array_equal(first, faces_of(draw_population(60, seed=4), [3, 7], [0, 1]))
    assert not np.array_equal(first, faces_of(draw_population(40, seed=5), [3, 7], [0, 1]))


def test_published_pictures_stay_as_they_are() -> None:
    """Brightness of 4 x 4 tiles of three pictures: weights are trained on them. Processors differ by a grey level."""
    published = [
        [[127, 131, 155, 159], [120, 145, 174, 163], [122, 156, 179, 157], [108, 121, 143, 150]],
        [[102, 131, 134, 102], [99, 145, 166, 116], [87, 139, 163, 99], [82, 100, 118, 93]],
        [[111, 170, 145, 130], [112, 169, 143, 114], [111, 158, 129, 115], [110, 132, 110, 112]],
    ]
    faces = faces_of(draw_population(3, seed=0), [0, 1, 2], [0, 1, 2]).astype(float)
    tiles = faces.reshape(3, 4, 16, 4, 16, 3).mean(axis=(2, 4, 5))
    assert np.abs(tiles - published).max() < 2


def test_only_sex_and_face_traits_reach_the_picture(population: Population) -> None:
    """The causal rule: whatever the shared traits and the voice's copy, the face stays the same."""
    others = replace(
        population,
        traits=population.traits[::-1].copy(),
        voice_traits=np.full_like(population.voice_traits, 1.7),
    )
    personas, images = [0, 5, 9, 14], [0, 1, 0, 2]
    assert np.array_equal(faces_of(population, personas, images), faces_of(others, personas, images))


@pytest.mark.parametrize("trait", range(4))
def test_each_face_trait_changes_the_picture_gradually(population: Population, trait: int) -> None:
    def picture(value: float) -> np.ndarray:
        traits = np.zeros_like(population.face_traits)
        traits[:, trait] = value
        return faces_of(replace(population, face_traits=traits), [1, 2, 3, 4], [0, 0, 0, 0]).astype(float)

    middle, near, far = picture(0.0), picture(0.3), picture(1.5)
    assert 0 < np.abs(near - middle).mean() < np.abs(far - middle).mean()


def test_sex_changes_the_picture(population: Population) -> None:
    changed = replace(population, is_male=~population.is_male)
    assert np.abs(faces_of(population, [1], [0]).astype(float) - faces_of(changed, [1], [0])).mean() > 3


def test_a_persona_looks_more_like_itself_than_like_others(population: Population) -> None:
    """Private draws persist over a persona's pictures; pose, light, clothes and background don't."""
    personas = np.arange(40)
    first, second = (
        render_faces(population, personas, np.full(40, number), 64)[:, 12:56, 10:54].astype(np.float64)
        for number in (0, 1)
    )
    assert not np.array_equal(first, second)
    flat = [part.reshape(40, 22, 2, 22, 2, 3).mean(axis=(2, 4)).reshape(40, -1) for part in (first, second)]
    flat = [part - part.mean(axis=1, keepdims=True) for part in flat]
    distance = np.linalg.norm(flat[0][:, None] - flat[1][None], axis=2)
    same, different = np.diag(distance), distance[~np.eye(40, dtype=bool)]
    assert same.mean() < 0.85 * different.mean()
    assert (distance.argmin(axis=1) == personas).mean() > 8 / 40


def test_landmarks_lie_where_the_template_has_them(population: Population) -> None:
    _, landmarks = render_with_landmarks(population, np.arange(32), np.zeros(32, int), 64)
    scale = 64 / CROP_REGION.side
    template = (ARCFACE_TEMPLATE - (CROP_REGION.left, CROP_REGION.top)) * scale
    offset = landmarks - template
    eyes = offset[:, :2]
    assert np.abs(eyes.mean(axis=0)).max() < 0.8
    assert np.abs(eyes).max() < 3
    assert np.abs(offset.mean(axis=0)).max() < 1.6
    assert eyes.std() > 0.2  # as imprecise as a detector


def test_eyes_are_where_the_landmarks_are(population: Population) -> None:
    faces, landmarks = render_with_landmarks(population, np.arange(24), np.zeros(24, int), 128)
    busier = 0
    for face, points in zip(faces.astype(float), landmarks, strict=True):
        for x, y in points[:2].round().astype(int):
            eye, cheek = (face[row - 4 : row + 5, x - 5 : x + 6].std(axis=(0, 1)).mean() for row in (y, y + 17))
            busier += eye > 1.5 * cheek
    assert busier > 0.85 * 48


def test_a_detector_of_real_faces_finds_them() -> None:
    pytest.importorskip("dlib")
    from data.faces.dlib import DlibDetector

    detector = DlibDetector()
    drawn = draw_population(16, seed=11)
    faces, landmarks = render_with_landmarks(drawn, np.repeat(np.arange(16), 2), np.tile([0, 1], 16), 128)
    found = [detector.detect(face) for face in faces]
    assert sum(bool(one) for one in found) >= 31
    errors = [
        np.linalg.norm(one[0].landmarks - points, axis=1) for one, points in zip(found, landmarks, strict=True) if one
    ]
    assert np.mean([error[:2].mean() for error in errors]) < 3.5  # px, eyes
