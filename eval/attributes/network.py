"""A network that reads sex and age from a face, as a second reader beside the classifiers on E's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError, ModelError
from data.faces.alignment import ARCFACE_REGION
from data.faces.analyzer import embed_crops
from data.faces.insightface import open_network
from data.faces.protocol import FaceEncoderInfo
from data.files import sha256_of_file

_BATCH_SIZE = 16
_OUTPUTS = ["male", "age"]


class AttributeNetwork:
    """A network with the outputs `male` [N, 1] (a probability) and `age` [N, 100] (shares of the years 1 to 100).

    It has the form of a face network whose feature is [logit of female, years], so that what reads drawings and
    faces for E reads them for it too. It reads what ArcFace networks read; scripts/import_face_network.py makes one.
    """

    region = ARCFACE_REGION

    def __init__(self, name: str) -> None:
        """Load a network by name, `onnx:<file>`.

        Raises:
            ConfigError: If the name is none.
            ModelError: If the file or a package is missing, or it is no such network.
        """
        path = Path(name.removeprefix("onnx:")).expanduser()
        if not name.startswith("onnx:") or not path.name:
            raise ConfigError(f"attribute reader '{name}': use onnx:<file> of a network that tells sex and age")
        if not path.is_file():
            raise ModelError(f"attribute reader {name}: no file {path}; scripts/import_face_network.py makes one")
        self._session = open_network(path, ("CPUExecutionProvider",))
        (image,) = self._session.get_inputs()
        if not set(_OUTPUTS) <= {output.name for output in self._session.get_outputs()}:
            raise ModelError(
                f"attribute reader {name}: no outputs male and age; scripts/import_face_network.py makes one"
            )
        self._input = image.name
        self.input_size = int(image.shape[-1])
        self.info = FaceEncoderInfo(path.stem, sha256_of_file(path), len(_OUTPUTS), str(path.resolve()))

    def embed(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[N, 2] logit of female, and years, of [N, input_size, input_size, 3] uint8 RGB already cut to `region`."""
        rows = [np.zeros((0, 2), np.float32)]
        for start in range(0, len(inputs), _BATCH_SIZE):
            pixels = inputs[start : start + _BATCH_SIZE].transpose(0, 3, 1, 2).astype(np.float32)
            male, ages = self._session.run(_OUTPUTS, {self._input: (pixels - 127.5) / 127.5})
            sure = np.clip(male[:, 0].astype(np.float64), 1e-7, 1 - 1e-7)
            years = ages @ np.arange(1, ages.shape[1] + 1)
            rows.append(np.stack([np.log((1 - sure) / sure), years], axis=1).astype(np.float32))
        return np.concatenate(rows)

    def read(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probability of male [N] and age [N] in years of stored crops or drawings [N, S, S, 3] uint8 RGB."""
        rows = embed_crops(self, crops).astype(np.float64)
        return 1 / (1 + np.exp(rows[:, 0])), rows[:, 1]
