"""Draw sheets of personas' faces: python scripts/draw_personas.py {grid,traverse} --out SHEET.jpg.

grid      personas in rows; with --images above 1, one column for each persona
traverse  one persona with other traits: a row each for age, size, robustness, adiposity and sex, all else kept
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import ConfigError, OutputError
from data.faces.alignment import FACE_SIZES
from data.personas.population import draw_population
from data.personas.sheets import draw_grid, draw_traverse
from training.command import CommandParser, run_command


def main(argv: list[str]) -> None:
    """Parse, draw, save."""
    parser = CommandParser(description="Draw sheets of personas' faces.")
    parser.add_argument("sheet", choices=("grid", "traverse"), help="many personas, or one with other traits")
    parser.add_argument("--out", required=True, help="the picture to write, .jpg or .png")
    parser.add_argument("--face-size", type=int, default=128, help="side of a face in pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the population (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first persona (default: %(default)s)")
    parser.add_argument("--personas", type=int, default=70, help="number of personas in a grid (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=10, help="pictures in a row of a grid (default: %(default)s)")
    parser.add_argument("--images", type=int, default=1, help="pictures of each in a grid (default: %(default)s)")
    parser.add_argument("--quality", type=int, default=88, help="quality of a JPEG, 1 to 95 (default: %(default)s)")
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


if __name__ == "__main__":
    run_command(main)
