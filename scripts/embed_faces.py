"""Rewrite a data set's face features by another face network T: nothing else in it changes."""

from __future__ import annotations

from pathlib import Path

from data.errors import ConfigError
from data.faces.protocol import DEVICES
from data.sources.embed import EmbedConfig, embed_dataset
from data.workers import count_cores
from training.command import CommandParser, run_command


def parse(argv: list[str]) -> EmbedConfig:
    """The command line as a config.

    Raises:
        ConfigError: If a setting is out of range.
    """
    parser = CommandParser(prog="embed_faces.py", description=__doc__)
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="folder of a prepared data set; changed in place")
    add(
        "--face-encoder",
        required=True,
        help="the new T: the model folder of train_face_encoder.py, onnx:<path>, personas, insightface:<pack>, dlib",
    )
    add("--insightface-root", help="holds models/<pack>/*.onnx (default: ~/.insightface)")
    add("--device", choices=DEVICES, default="cpu", help="where the network runs (default: %(default)s)")
    add("--workers", type=int, default=count_cores(), help="processes (default: one a core)")
    given = parser.parse_args(argv)
    if given.workers < 1:
        raise ConfigError(f"--workers {given.workers}: 1 or more are needed")
    return EmbedConfig(given.dataset, given.face_encoder, given.insightface_root, given.workers, given.device)


def main(argv: list[str]) -> None:
    """Rewrite, and print the name of the network."""
    config = parse(argv)
    info, was_changed = embed_dataset(config)
    network = (
        f"{info.face_encoder.name}, {info.face_encoder.feature_size} numbers, sha256 {info.face_encoder.sha256[:16]}"
    )
    done = f"{sum(info.num_faces.values())} features rewritten" if was_changed else "nothing to do"
    print(f"{config.dataset}: {done}; face features: {network}")


if __name__ == "__main__":
    run_command(main)
