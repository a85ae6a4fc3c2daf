"""Prepare a data set from VoxCeleb's recordings and folders of faces (VGGFace, VGGFace2, HQ-VoxCeleb).

python scripts/prepare_voxceleb.py --root vox1 vox2 --faces vggface vggface2 --meta vox1_meta.csv vox2_meta.csv \
    --max-voices 20 --max-faces 20 --face-analyzer insightface:buffalo_l --out datasets/voxceleb
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data.errors import ConfigError
from data.sources.command import add_arguments, read_settings, summarize
from data.sources.prepare import PeopleConfig, prepare_people
from data.sources.voxceleb import join_voxceleb, read_meta
from training.command import CommandParser, run_command

_FIRST = 5
_WORDS = {
    "no-faces": "people without a folder of faces",
    "no-voices": "people with faces and without a recording",
    "unknown-name": "folders of faces of nobody in the meta CSVs",
}


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        ConfigError: If settings contradict each other or are out of range.
    """
    parser = CommandParser(
        prog="prepare_voxceleb.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add_list(name: str, text: str, *, required: bool = False) -> None:
        parser.add_argument(name, type=Path, nargs="+", action="extend", default=[], required=required, help=text)

    add_list("--root", "VoxCeleb1 or 2: folders id00012/<video>/<number>.wav or .m4a, at any depth", required=True)
    add_list("--faces", "folders of faces, named as the meta CSVs name people, or by VoxCeleb's id")
    add_list("--meta", "vox1_meta.csv and vox2_meta.csv: whose faces are whose, sex and nationality")
    parser.add_argument("--max-voices", type=int, help="recordings taken of a person, evenly (default: all)")
    parser.add_argument("--max-faces", type=int, help="pictures taken of a person, evenly (default: all)")
    parser.add_argument("--keep-all", action="store_true", help="keep people who lack voices or faces, too")
    add_arguments(parser)
    given = parser.parse_args(argv)
    for name in ("max_voices", "max_faces"):
        value = getattr(given, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {value}: 1 or more are needed")
    if not given.faces and not given.keep_all:
        raise ConfigError("--faces is missing: nobody would have a face; give folders of faces, or --keep-all")
    return given


def main(argv: list[str]) -> None:
    """Join, prepare, and print what was left out."""
    given = parse(argv)
    meta, failures = read_meta(given.meta)
    joined = join_voxceleb(given.root, given.faces, meta, given.max_voices, given.max_faces, keep_all=given.keep_all)
    for reason, names in joined.unjoined.items():
        more = ", ..." if len(names) > _FIRST else ""
        print(f"left out: {len(names):,} {_WORDS[reason]}: {', '.join(names[:_FIRST])}{more}")
    if joined.num_absent:
        print(f"{joined.num_absent:,} people of the meta CSVs have neither recordings nor faces here")
    source = ", ".join(map(str, given.root))
    config = PeopleConfig(**read_settings(given))
    prepared = prepare_people(joined.people, failures + joined.failures, config, source, joined.warnings)
    print(summarize(config.out, prepared))


if __name__ == "__main__":
    run_command(main)
