"""What a run measures while it trains: its drawings of people of the validation split, on whom it is not trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.store.dataset import ClipDataset
from gan.frechet import GaussianStatistics, frechet_distance
from gan.identity import FaceNetwork

NUM_FACES = 512
"""Faces of the validation split, and as many training faces for the discriminator's scores, at most."""

_BATCH = 64


class ValidationFaces:
    """A fixed choice of faces.

    Attributes:
        crops: [M, 3, S, S] uint8.
        features: [M, D] T's features of the photographs.
    """

    def __init__(self, dataset: ClipDataset, num_faces: int = NUM_FACES) -> None:
        """Choose faces spread over a split.

        Args:
            dataset: The split.
            num_faces: Largest number of faces.
        """
        features, owners = dataset.all_face_features()
        rows = range(0, len(owners), max(1, -(-len(owners) // num_faces)))
        size = dataset.info.face_size
        crops = [torch.from_numpy(dataset.face(*map(int, owners[row])).copy()).permute(2, 0, 1) for row in rows]
        self.crops = torch.stack(crops) if crops else torch.zeros(0, 3, size, size, dtype=torch.uint8)
        self.features = torch.from_numpy(features[list(rows)])

    def __len__(self) -> int:
        return len(self.crops)


class Validation:
    """Scores of a generator on validation faces; the same faces and noise at every call.

    Args:
        faces: Faces of the validation split; at least two.
        training_faces: Faces of the training split.
        feature_mean: [D] mean of T's features of the training faces.
        face_network: T; None where no loss needs it, and then the scores that need it are left out.
        noise_size: Z.
        device: Device of the networks.
    """

    def __init__(
        self,
        faces: ValidationFaces,
        training_faces: ValidationFaces,
        feature_mean: Tensor,
        face_network: FaceNetwork | None,
        noise_size: int,
        device: torch.device,
    ) -> None:
        self._faces, self._training_faces = faces, training_faces
        self._mean = feature_mean.to(device)
        self._face_network = face_network
        self._device = device
        noise = torch.randn(2, len(faces), noise_size, generator=torch.Generator().manual_seed(0))
        self._noise, self._other_noise = noise.to(device)
        self._features = faces.features.to(device)
        self._real = self._embed(lambda rows: _images(faces.crops[rows], device), len(faces))

    @torch.no_grad()
    def measure(self, generator: nn.Module, discriminator: nn.Module | None) -> dict[str, float]:
        """Measure.

        Args:
            generator: The averaged generator.
            discriminator: The discriminator; None where there is none or it has not joined yet.

        Returns:
            `val/f2f_cosine`: centred cosine of T's features of drawing and crop (1 is best);
            `val/frechet_distance`: of the drawings of true features from the crops, in T's space;
            `val/noise_cosine`: centred cosine of T's features of two drawings of a feature with other noise (1: the
            noise is dead); `val/noise_pixels`: their difference as a share of the range of pixels;
            `val/score_training`, `val/score_validation`, `val/score_drawing`: the discriminator's mean scores;
            `val/overfitting`: 0 while validation faces are scored as training faces are, 1 when as drawings.
        """
        values: dict[str, float] = {}
        pixels = torch.zeros((), device=self._device)
        for rows in _slices(len(self._faces)):
            difference = self._draw(generator, self._noise, rows) - self._draw(generator, self._other_noise, rows)
            pixels += difference.abs().mean((1, 2, 3)).sum() / 2
        values["val/noise_pixels"] = float(pixels) / len(self._faces)
        if self._real is not None:
            drawn = self._embed(lambda rows: self._draw(generator, self._noise, rows), len(self._faces))
            again = self._embed(lambda rows: self._draw(generator, self._other_noise, rows), len(self._faces))
            assert drawn is not None and again is not None
            values["val/f2f_cosine"] = _mean_cosine(drawn - self._mean, self._real - self._mean)
            values["val/noise_cosine"] = _mean_cosine(drawn - self._mean, again - self._mean)
            values["val/frechet_distance"] = _frechet(drawn, self._real)
        if discriminator is not None:
            training, validation = self._training_faces, self._faces
            scores = {
                "training": self._score(
                    discriminator, training, lambda rows: _images(training.crops[rows], self._device)
                ),
                "validation": self._score(
                    discriminator, validation, lambda rows: _images(validation.crops[rows], self._device)
                ),
                "drawing": self._score(
                    discriminator, validation, lambda rows: self._draw(generator, self._noise, rows)
                ),
            }
            values |= {f"val/score_{name}": score for name, score in scores.items()}
            gap = scores["training"] - scores["drawing"]
            values["val/overfitting"] = (scores["training"] - scores["validation"]) / gap if gap > 0 else 0.0
        return values

    def _draw(self, generator: nn.Module, noise: Tensor, rows: slice) -> Tensor:
        drawing: Tensor = generator(self._features[rows], noise[rows])
        return drawing.float().clamp(-1, 1)

    @torch.no_grad()
    def _embed(self, images: Callable[[slice], Tensor], count: int) -> Tensor | None:
        if self._face_network is None:
            return None
        return torch.cat([self._face_network(images(rows)) for rows in _slices(count)])

    def _score(self, discriminator: nn.Module, faces: ValidationFaces, images: Callable[[slice], Tensor]) -> float:
        scores = [
            discriminator(images(rows), faces.features[rows].to(self._device).unsqueeze(1))[:, 0]
            for rows in _slices(len(faces))
        ]
        return float(torch.cat(scores).mean())


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, count, _BATCH):
        yield slice(start, start + _BATCH)


def _images(crops: Tensor, device: torch.device) -> Tensor:
    return crops.to(device).float() / 127.5 - 1


def _mean_cosine(features: Tensor, other_features: Tensor) -> float:
    return float(F.cosine_similarity(features, other_features, dim=1).mean())


def _frechet(features: Tensor, other_features: Tensor) -> float:
    statistics = []
    for rows in (features, other_features):
        statistics.append(GaussianStatistics(rows.shape[1]))
        statistics[-1].add(rows.cpu().numpy())
    first, second = statistics
    return frechet_distance(first.mean, first.covariance, second.mean, second.covariance)
