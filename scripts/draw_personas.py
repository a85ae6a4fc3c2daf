"""Draw sheets of personas' faces: python scripts/draw_personas.py {grid,traverse} --out SHEET.jpg.

grid      personas in rows; with --images above 1, a column a persona and a row a picture
traverse  what each trait does: a row for age, size, robustness, adiposity and one for sex, all else kept
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.errors import ConfigError, OutputError
from data.faces.alignment import FACE_SIZES
from data.personas.faces import render_faces
from data.personas.population import TRAITS, Population, draw_population
from training.command import CommandParser, run_command

_GAP = 2  # px between pictures
_TRAVERSE_COLUMNS = 8
_REACH = 2.0  # standard deviations to either side
_YOUNGEST, _OLDEST = -1.5, 2.3  # years 18 to 79
_KEPT_AGE = -0.5  # 34 years, in the rows of the other traits


def main(argv: list[str]) -> None:
    """Parse, draw, save."""
    parser = CommandParser(description="Draw sheets of personas' faces.")
    parser.add_argument("sheet", choices=("grid", "traverse"), help="people, or what each trait does to one of them")
    parser.add_argument("--out", required=True, help="the picture to write, .jpg or .png")
    parser.add_argument("--face-size", type=int, default=128, help="side of a face in pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the population (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first persona (default: %(default)s)")
    parser.add_argument("--personas", type=int, default=70, help="how many, in a grid (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=10, help="pictures in a row of a grid (default: %(default)s)")
    parser.add_argument("--images", type=int, default=1, help="pictures of each, in a grid (default: %(default)s)")
    parser.add_argument("--quality", type=int, default=88, help="of a JPEG, 1 to 95 (default: %(default)s)")
    arguments = parser.parse_args(argv)
    out = Path(arguments.out)
    if out.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise OutputError(f"{out}: sheets are saved as JPEG or PNG, choose a name that ends in .jpg or .png")
    if not out.parent.is_dir():
        raise OutputError(f"{out}: there is no folder {out.parent}; create it first")
    if arguments.face_size not in FACE_SIZES:
        raise ConfigError(f"--face-size {arguments.face_size}: one of {', '.join(map(str, FACE_SIZES))} is possible")
    for name, low, high in (
        ("personas", 1, 10_000),
        ("columns", 1, 100),
        ("images", 1, 100),
        ("first", 0, 1_000_000),
        ("seed", 0, 2**63 - 1),
        ("quality", 1, 95),
    ):
        if not low <= getattr(arguments, name) <= high:
            raise ConfigError(f"--{name} {getattr(arguments, name)}: between {low} and {high} are possible")

    if arguments.sheet == "grid":
        population = draw_population(arguments.first + arguments.personas, arguments.seed)
        personas = np.arange(arguments.first, arguments.first + arguments.personas)
        sheet = draw_grid(population, personas, arguments.images, arguments.columns, arguments.face_size)
    else:
        population = draw_population(arguments.first + 1, arguments.seed)
        sheet = draw_traverse(population, arguments.first, arguments.face_size)
    options = {} if out.suffix.lower() == ".png" else {"quality": arguments.quality, "optimize": True}
    Image.fromarray(sheet).save(out, **options)
    print(f"{out}: {sheet.shape[1]} x {sheet.shape[0]} pixels")


def draw_grid(
    population: Population, personas: NDArray[np.int64], num_images: int, columns: int, face_size: int
) -> NDArray[np.uint8]:
    """A sheet of personas: in rows of `columns`, or with several images each a column a persona."""
    numbers = np.repeat(np.arange(num_images), len(personas))
    faces = render_faces(population, np.tile(personas, num_images), numbers, face_size)
    return arrange(faces, len(personas) if num_images > 1 else columns)


def draw_traverse(population: Population, persona: int, face_size: int) -> NDArray[np.uint8]:
    """A sheet of one persona: a row per trait from low to high, and a row of four women and four men."""
    steps = np.linspace(0, 1, _TRAVERSE_COLUMNS)
    rows = []
    for number, trait in enumerate(TRAITS):
        low, high = (_YOUNGEST, _OLDEST) if trait == "age" else (-_REACH, _REACH)
        for step in steps:
            traits = np.array([_KEPT_AGE, 0.0, 0.0, 0.0], np.float32)
            traits[number] = low + (high - low) * step
            rows.append(_draw_as(population, persona, bool(population.is_male[persona]), traits, face_size))
    robustness = np.linspace(-1.5, 1.5, _TRAVERSE_COLUMNS // 2)
    for is_male in (False, True):
        for value in robustness:
            traits = np.array([_KEPT_AGE, 0.0, value, 0.0], np.float32)
            rows.append(_draw_as(population, persona, is_male, traits, face_size))
    return arrange(np.concatenate(rows), _TRAVERSE_COLUMNS)


def arrange(faces: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """[N, S, S, 3] pictures on a black sheet, row by row."""
    side = faces.shape[1] + _GAP
    sheet = np.zeros((-(-len(faces) // columns) * side, min(columns, len(faces)) * side, 3), np.uint8)
    for number, face in enumerate(faces):
        row, column = divmod(number, columns)
        sheet[row * side :, column * side :][: face.shape[0], : face.shape[1]] = face
    return sheet


def _draw_as(
    population: Population, persona: int, is_male: bool, traits: NDArray[np.float32], face_size: int
) -> NDArray[np.uint8]:
    """One picture of a persona with another sex and other face traits, private draws kept."""
    sexes, face_traits = population.is_male.copy(), population.face_traits.copy()
    sexes[persona], face_traits[persona] = is_male, traits
    changed = replace(population, is_male=sexes, face_traits=face_traits)
    return render_faces(changed, np.array([persona]), np.array([0]), face_size)


if __name__ == "__main__":
    run_command(main)
