"""Measure how well face networks tell people apart and, on personas, how well traits can be read from their features.

python scripts/evaluate_face_encoder.py --dataset datasets/personas --face-encoder personas
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data.errors import ConfigError
from data.faces.analyzer import embed_crops
from data.faces.protocol import FaceRecognizer
from data.faces.registry import load_recognizer
from data.personas.population import TRAITS
from data.personas.traits import read_traits
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from encoder.faces.verification import MAX_FACES, verify
from eval.personas.readouts import trait_correlations
from training.command import CommandParser, print_result, run_command


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        ConfigError: If an argument is unknown or out of range.
    """
    parser = CommandParser(description="Measure how well face networks tell people apart.", has_result=True)
    add = parser.add_argument
    add("--dataset", required=True, help="folder of a prepared data set")
    add("--face-encoder", nargs="+", required=True, help="names or model folders, as embed_faces.py takes them")
    add("--insightface-root", help="holds models/<pack>/*.onnx (default: ~/.insightface)")
    add("--split", choices=SPLITS, default="test", help="split to measure on (default: %(default)s)")
    add("--max-people", type=int, default=1000, help="people of a split at most (default: %(default)s)")
    add("--no-traits", action="store_true", help="on personas, do not measure traits")
    given = parser.parse_args(argv)
    if given.max_people < 2:
        raise ConfigError(f"--max-people {given.max_people}: 2 or more are needed")
    return given


class Faces:
    """The crops of the first people of a split.

    Attributes:
        identities: [M] int64 identity of each crop.
        crops: The crops, [S, S, 3] uint8.
        personas: True traits by identity; None if the people are not personas.
    """

    def __init__(self, dataset: str, split: str, max_people: int) -> None:
        clips = ClipDataset(Path(dataset), split)  # type: ignore[arg-type]
        people = range(min(len(clips.identities), max_people))
        keys = [(person, key) for person in people for key in clips.faces_of(person)][:MAX_FACES]
        self.identities = np.array([person for person, _ in keys], np.int64)
        self.crops = [clips.face(*key) for _, key in keys]
        self.personas = read_traits(clips)

    def features(self, recognizer: FaceRecognizer, title: str) -> np.ndarray:
        """A network's features [M, D] of the crops; the title is for the progress bar."""
        chunks = range(0, len(self.crops), 64)
        bar = tqdm(chunks, desc=f"{recognizer.info.name}: {title}", disable=None, delay=2)
        empty = np.zeros((0, recognizer.info.feature_size), np.float32)
        parts = [embed_crops(recognizer, np.stack(self.crops[start : start + 64])) for start in bar]
        return np.concatenate([empty, *parts])


def main(argv: list[str]) -> None:
    """Measure each network and print a line or two about it."""
    given = parse(argv)
    recognizers = [load_recognizer(name, given.insightface_root) for name in given.face_encoder]
    faces = Faces(given.dataset, given.split, given.max_people)
    measures_traits = faces.personas is not None and given.split != "train" and not given.no_traits
    others = Faces(given.dataset, "train", given.max_people) if measures_traits else None
    results: list[dict[str, Any]] = []
    lines = []
    for recognizer in recognizers:
        features = faces.features(recognizer, given.split)
        verification = verify(features, faces.identities)
        results.append({"face_network": recognizer.info.name, "sha256": recognizer.info.sha256, **asdict(verification)})
        lines.append(f"{recognizer.info.name}: {verification.summary()}")
        if others is not None and others.personas is not None and faces.personas is not None:
            correlations = trait_correlations(
                others.features(recognizer, "train"),
                others.personas.face_traits[others.identities],
                features,
                faces.personas.face_traits[faces.identities],
                faces.personas.is_male[faces.identities],
            )
            of_traits = dict(zip(TRAITS, map(float, correlations), strict=True))
            results[-1]["trait_correlations"] = of_traits
            traits = ", ".join(f"{trait} {value:.2f}" for trait, value in of_traits.items())
            lines.append(f"  a linear prediction from one picture correlates within sex with the face's {traits}")
    print_result(given, results, lines)


if __name__ == "__main__":
    run_command(main)
