"""Pictures of personas: faces that depend on sex, four traits and random numbers of their own."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import ConfigError
from data.faces.alignment import FACE_SIZES
from data.personas.population import Population, persona_rng
from data.personas.rendering.draws import PrivateDraws
from data.personas.rendering.parameters import read_traits
from data.personas.rendering.photo import draw_photo
from data.personas.rendering.portrait import draw_person, render

_CHUNK = 16  # pictures a batch: so many fit into the cache of a core


def render_faces(
    population: Population, personas: NDArray[np.integer], images: NDArray[np.integer], face_size: int
) -> NDArray[np.uint8]:
    """Render aligned pictures of personas.

    A picture depends on the population's seed, the persona's sex and face traits, and the numbers of persona and
    picture: not on the rest of the batch (to one grey level), nor on the other traits.

    Args:
        population: All personas.
        personas: [M] indices of personas, repeated or not.
        images: [M] numbers of pictures, from 0.
        face_size: Side of the pictures: 64, 128 or 256 pixels.

    Returns:
        [M, S, S, 3] uint8 RGB, covering `data.faces.alignment.CROP_REGION`.

    Raises:
        ConfigError: For another size.
    """
    return render_with_landmarks(population, personas, images, face_size)[0]


def render_with_landmarks(
    population: Population, personas: NDArray[np.integer], images: NDArray[np.integer], face_size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """As `render_faces`, and [M, 5, 2] the true landmarks in pixels, in the order of `ARCFACE_TEMPLATE`."""
    if face_size not in FACE_SIZES:
        raise ConfigError(f"face size {face_size}: personas are drawn at {', '.join(map(str, FACE_SIZES))} pixels")
    assert personas.shape == images.shape and personas.ndim == 1
    if not len(personas):
        return np.zeros((0, face_size, face_size, 3), np.uint8), np.zeros((0, 5, 2))
    _keep_memory()
    threads = torch.get_num_threads()
    # Thousands of small operations: with several threads most of the time is spent on synchronisation.
    torch.set_num_threads(1)
    try:
        parts = [
            _render_chunk(population, personas[start : start + _CHUNK], images[start : start + _CHUNK], face_size)
            for start in range(0, len(personas), _CHUNK)
        ]
    finally:
        torch.set_num_threads(threads)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _render_chunk(
    population: Population, personas: NDArray[np.integer], images: NDArray[np.integer], face_size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    seed = population.seed
    face_draws = PrivateDraws(persona_rng(seed, "face", int(persona)) for persona in personas)
    image_draws = PrivateDraws(
        persona_rng(seed, "image", int(persona), int(image)) for persona, image in zip(personas, images, strict=True)
    )
    traits = read_traits(population.is_male[personas], population.face_traits[personas])
    return render(draw_person(traits, face_draws), draw_photo(image_draws), face_size)


@lru_cache(maxsize=1)
def _keep_memory() -> None:
    """Let glibc keep freed memory: page faults of temporary arrays would take a quarter of the time."""
    try:
        library = ctypes.CDLL(None)
        for parameter, value in ((-3, 1 << 30), (-1, 2**31 - 1), (-2, 64 << 20)):  # mmap and trim threshold, padding
            library.mallopt(parameter, value)
    except (OSError, AttributeError):  # another C library
        pass
