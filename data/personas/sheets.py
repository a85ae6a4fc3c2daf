"""Sheets of personas' faces: many personas, or one persona with each trait changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.personas.faces import render_faces
from data.personas.population import TRAITS, Population

_PICTURES_AT_ONCE = 16
_GAP = 2  # px between pictures
_TRAVERSE_COLUMNS = 8
_REACH = 2.0  # standard deviations to either side
_YOUNGEST, _OLDEST = -1.5, 2.3  # 18 and 79 years, in standard deviations
_FIXED_AGE = -0.5  # 34 years, in the rows of the other traits


def draw_grid(
    population: Population, personas: NDArray[np.int64], num_images: int, columns: int, face_size: int
) -> NDArray[np.uint8]:
    """A sheet of personas, row by row.

    Args:
        population: The population.
        personas: [N] numbers of the personas.
        num_images: Number of pictures of each; with more than one, a column holds one persona's pictures.
        columns: Number of pictures in a row, with one picture of each.
        face_size: Side of a picture in pixels.

    Returns:
        The sheet, [H, W, 3].
    """
    numbers, shown = np.repeat(np.arange(num_images), len(personas)), np.tile(personas, num_images)
    faces = []
    with tqdm(total=len(shown), desc="drawing personas", unit="picture", disable=None, delay=2, leave=False) as bar:
        for start in range(0, len(shown), _PICTURES_AT_ONCE):
            block = slice(start, start + _PICTURES_AT_ONCE)
            faces.append(render_faces(population, shown[block], numbers[block], face_size))
            bar.update(len(shown[block]))
    return arrange(np.concatenate(faces), len(personas) if num_images > 1 else columns)


def draw_traverse(population: Population, persona: int, face_size: int) -> NDArray[np.uint8]:
    """A sheet of one persona with other traits: a row for each trait from low to high, and a row for sex.

    Args:
        population: The population.
        persona: Number of the persona.
        face_size: Side of a picture in pixels.

    Returns:
        The sheet, [H, W, 3].
    """
    steps = np.linspace(0, 1, _TRAVERSE_COLUMNS)
    rows = []
    for number, trait in enumerate(TRAITS):
        low, high = (_YOUNGEST, _OLDEST) if trait == "age" else (-_REACH, _REACH)
        for step in steps:
            traits = np.array([_FIXED_AGE, 0.0, 0.0, 0.0], np.float32)
            traits[number] = low + (high - low) * step
            rows.append(_draw_as(population, persona, bool(population.is_male[persona]), traits, face_size))
    robustness = np.linspace(-1.5, 1.5, _TRAVERSE_COLUMNS // 2)
    for is_male in (False, True):
        for value in robustness:
            traits = np.array([_FIXED_AGE, 0.0, value, 0.0], np.float32)
            rows.append(_draw_as(population, persona, is_male, traits, face_size))
    return arrange(np.concatenate(rows), _TRAVERSE_COLUMNS)


def arrange(faces: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Pictures [N, S, S, 3] on a black sheet [H, W, 3], row by row."""
    side = faces.shape[1] + _GAP
    sheet = np.zeros((-(-len(faces) // columns) * side, min(columns, len(faces)) * side, 3), np.uint8)
    for number, face in enumerate(faces):
        row, column = divmod(number, columns)
        sheet[row * side :, column * side :][: face.shape[0], : face.shape[1]] = face
    return sheet


def _draw_as(
    population: Population, persona: int, is_male: bool, traits: NDArray[np.float32], face_size: int
) -> NDArray[np.uint8]:
    """One picture of a persona with another sex and other face traits; everything else of the face is kept."""
    sexes, face_traits = population.is_male.copy(), population.face_traits.copy()
    sexes[persona], face_traits[persona] = is_male, traits
    changed = replace(population, is_male=sexes, face_traits=face_traits)
    return render_faces(changed, np.array([persona]), np.array([0]), face_size)
