"""The face score: how surely each drawing shows somebody, and how many different people all drawings show.

It is the Inception score (Salimans et al. 2016) over a classifier of faces: exp(E KL(p(y | x) || p(y))), the
exponential of the entropy of the mean posterior less the mean entropy of the posteriors. With VGGFace2's ResNet-50 and
its 8,631 people it is the VGGFace score of SF2F (Bai et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import rel_entr, softmax

from data.errors import ModelError
from data.faces.insightface import open_network
from data.files import sha256_of_file

NUM_PARTS = 5
"""Parts of the pictures whose scores are averaged, as SF2F does."""

TEMPERATURE = 0.05
"""Divisor of cosines to the people's mean features, which makes them logits."""

MIN_CLASSES = 20
"""People whose photographs must make a class each, for a score in E's space."""


@dataclass(frozen=True)
class FaceScore:
    """The score of one set of pictures by one classifier.

    Attributes:
        system: Name of the pictures.
        classifier: Name of the classifier.
        num_classes: Number of people it tells apart.
        num_images: Number of pictures, in all parts together.
        score: Mean over `NUM_PARTS` parts; between 1 and the smaller of the numbers of classes and of pictures in a
            part. It grows with the number of pictures in a part.
        score_std: Standard deviation over the parts.
        temperature: Divisor of cosines; None for a network whose outputs are logits or probabilities themselves.
    """

    system: str
    classifier: str
    num_classes: int
    num_images: int
    score: float
    score_std: float
    temperature: float | None

    def as_json(self) -> dict[str, Any]:
        """The entry of `face_scores` in report.json."""
        return {"task": "face_score", **asdict(self)}


def score_posteriors(
    posteriors: NDArray[np.floating], part_size: int, seed: int, num_parts: int = NUM_PARTS
) -> tuple[float, float]:
    """Inception score of class posteriors, mean and standard deviation over parts.

    Args:
        posteriors: [N, C], each row sums to 1.
        part_size: Pictures in a part; N / `num_parts` at most.
        seed: Decides which pictures make a part.
        num_parts: Number of parts.

    Example:
        >>> import numpy as np
        >>> score_posteriors(np.eye(10), 10, 0, num_parts=1)  # each picture surely shows another of 10 people
        (10.0, 0.0)
    """
    order = np.random.default_rng([seed, 11]).permutation(len(posteriors))
    scores = []
    for start in range(0, num_parts * part_size, part_size):
        part = np.asarray(posteriors[order[start : start + part_size]], dtype=np.float64)
        scores.append(np.exp(rel_entr(part, part.mean(0)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def compare_scores(
    posteriors: Mapping[str, NDArray[np.floating]], classifier: str, temperature: float | None, seed: int
) -> list[FaceScore]:
    """The scores of several sets of pictures, in parts of the same size.

    Args:
        posteriors: [N, C] by name of the pictures; N may differ.
        classifier: Name of the classifier.
        temperature: As in `FaceScore`.
        seed: Decides which pictures make a part.

    Returns:
        One score a set; none if a part would hold fewer than two pictures.
    """
    part_size = min(len(rows) for rows in posteriors.values()) // NUM_PARTS
    if part_size < 2:
        return []
    return [
        FaceScore(
            system,
            classifier,
            rows.shape[1],
            NUM_PARTS * part_size,
            *score_posteriors(rows, part_size, seed),
            temperature,
        )
        for system, rows in posteriors.items()
    ]


@dataclass(frozen=True)
class PeopleClassifier:
    """A classifier made of a judge's features, for a judge has no classes: each person of a split is one.

    A posterior is the softmax of the cosines to the people's mean features, divided by `TEMPERATURE`. Everything is
    centred on the mean of all photographs.

    Attributes:
        people: [C] the person of each class, in rising order.
        means: [C, D] mean feature of each person's photographs.
        num_photographs: [C] number of these.
        centre: [D] mean of all photographs' features.
    """

    people: NDArray[np.int64]
    means: NDArray[np.float64]
    num_photographs: NDArray[np.int64]
    centre: NDArray[np.float64]

    def posteriors(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """[N, C] from a judge's features [N, D]."""
        return np.asarray(softmax(self._cosines(features) / TEMPERATURE, axis=1))

    def posteriors_of_photographs(
        self, features: NDArray[np.floating], owners: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """[N, C] from the features of the classes' own photographs, each left out of its person's mean.

        Args:
            features: [N, D].
            owners: [N] the person whom each shows.
        """
        columns = np.searchsorted(self.people, owners)
        num = self.num_photographs[columns, None]
        others = (num * self.means[columns] - features) / (num - 1)
        cosines = self._cosines(features)
        own = (_unit(features - self.centre) * _unit(others - self.centre)).sum(1)
        cosines[np.arange(len(features)), columns] = own
        return np.asarray(softmax(cosines / TEMPERATURE, axis=1))

    def _cosines(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        return _unit(features - self.centre) @ _unit(self.means - self.centre).T


def score_in_judge_space(
    judge: str,
    drawn: tuple[str, NDArray[np.floating]],
    real: tuple[str, NDArray[np.floating]],
    owners: NDArray[np.integer],
    seed: int,
) -> list[FaceScore]:
    """The scores of drawings and of photographs by a judge, whose classes are the people with two photographs.

    Args:
        judge: Name of the judge.
        drawn: Name and features [N, D] of the drawings.
        real: Name and features [M, D] of the photographs.
        owners: [M] the person whom each photograph shows.
        seed: Decides which pictures make a part.

    Returns:
        Two scores; none with fewer than `MIN_CLASSES` classes.
    """
    features = np.asarray(real[1], dtype=np.float64)
    people, rows, num = np.unique(owners, return_inverse=True, return_counts=True)
    sums = np.zeros((len(people), features.shape[1]))
    np.add.at(sums, rows, features)
    several = num > 1
    if several.sum() < MIN_CLASSES:
        return []
    classifier = PeopleClassifier(
        people[several].astype(np.int64), sums[several] / num[several, None], num[several], features.mean(0)
    )
    known = several[rows]
    posteriors = {
        drawn[0]: classifier.posteriors(drawn[1]),
        real[0]: classifier.posteriors_of_photographs(features[known], owners[known]),
    }
    return compare_scores(posteriors, judge, TEMPERATURE, seed)


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float64)


class OnnxClassifier:
    """A classifier of faces in an ONNX file.

    It reads the whole stored crop or drawing, as ArcFace networks read theirs: [N, 3, S, S] RGB,
    (pixel - 127.5) / 127.5, S as the graph says. Its first output of two dimensions [N, C] holds logits or
    probabilities, which are told apart by their values. It looks like a feature space of `eval.images.features`.

    Args:
        path: The file.

    Raises:
        ModelError: If the file or a package is missing, or it is no such network.
    """

    is_unit = False

    def __init__(self, path: str) -> None:
        file = Path(path).expanduser()
        if not file.is_file():
            raise ModelError(f"--classifier {path}: no such file")
        self._session = open_network(file, ("CPUExecutionProvider",))
        (image, *others) = self._session.get_inputs()
        outputs = [output.name for output in self._session.get_outputs() if len(output.shape) == 2]
        square = len(image.shape) == 4 and image.shape[1] == 3 and image.shape[2] == image.shape[3]
        if others or not outputs or not square or not isinstance(image.shape[-1], int):
            raise ModelError(
                f"--classifier {path}: a network with one input [N, 3, S, S], S fixed, and an output [N, classes] is "
                "needed"
            )
        self._input, self._output, self._side = image.name, outputs[0], int(image.shape[-1])
        self._fixed_batch = image.shape[0] if isinstance(image.shape[0], int) else None
        self.name = file.stem
        self.sha256 = sha256_of_file(file)
        self.size = self._run(np.zeros((1, 8, 8, 3), np.uint8)).shape[1]
        if self.size < 2:
            raise ModelError(f"--classifier {path}: its output has {self.size} class, at least 2 are needed")

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """[N, C] posteriors of [N, S, S, 3] uint8 RGB."""
        batch = self._fixed_batch or 16
        rows = [self._run(images[start : start + batch]) for start in range(0, len(images), batch)]
        values = np.concatenate([np.zeros((0, self.size)), *rows])
        if len(values) and values.min() >= 0 and np.abs(values.sum(1) - 1).max() < 1e-3:
            return values
        return np.asarray(softmax(values, axis=1))

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        size = (self._side, self._side)
        resized = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in images]
        if self._fixed_batch is not None:
            resized += [resized[-1]] * (self._fixed_batch - len(resized))
        padded = np.stack(resized)
        pixels = (padded.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        (values,) = self._session.run([self._output], {self._input: pixels})
        return np.asarray(values[: len(images)], dtype=np.float64)
