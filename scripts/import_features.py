"""Import voice vectors and face features that other programs extracted, as a data set without media.

python scripts/import_features.py --voices voices.npz --faces faces.csv --voice-network ecapa --face-network vggface \
    --out datasets/imported
"""

from __future__ import annotations

from pathlib import Path

from data.sources.arguments import add_split_arguments
from data.sources.features import ImportConfig, import_features
from data.store.clip import SPLITS
from training.command import CommandParser, run_command


def parse(argv: list[str]) -> ImportConfig:
    """The command line as a config."""
    parser = CommandParser(prog="import_features.py", description="Import extracted features as a data set.")
    add = parser.add_argument
    files = "a table (.csv) with id, person and numbers, an .npz with features, id and person, or an .npy beside a .csv"
    add("--voices", type=Path, required=True, help=f"voice vectors: {files}")
    add("--faces", type=Path, required=True, help="face features, likewise")
    add("--out", type=Path, required=True, help="folder of the data set")
    add("--voice-network", required=True, metavar="NAME", help="name of the network that gave the voice vectors")
    add(
        "--face-network",
        required=True,
        metavar="NAME",
        help="name of the network that gave the face features; models fit data sets of the same name and size",
    )
    add_split_arguments(parser)
    add("--overwrite", action="store_true", help="replace a data set that was made from something else")
    given = parser.parse_args(argv)
    return ImportConfig(
        voices=given.voices,
        faces=given.faces,
        out=given.out,
        voice_network=given.voice_network,
        face_network=given.face_network,
        seed=given.seed,
        split_fractions=tuple(given.split_fractions),
        overwrite=given.overwrite,
    )


def main(argv: list[str]) -> None:
    """Import, and print what there is."""
    config = parse(argv)
    info, was_there = import_features(config)
    print(f"{config.out} {'was imported before: nothing to do' if was_there else 'is ready'}")
    print(f"{'split':<8}{'people':>8}{'voices':>8}{'faces':>8}")
    for split in SPLITS:
        counts = (info.num_identities[split], info.num_voices[split], info.num_faces[split])
        print(f"{split:<8}" + "".join(f"{count:>8}" for count in counts))
    print(f"face features: {info.face_encoder.name}, {info.face_encoder.feature_size} numbers")


if __name__ == "__main__":
    run_command(main)
