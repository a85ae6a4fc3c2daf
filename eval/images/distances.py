"""All distances between two sets of pictures in one feature space, as one line of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.images.features import ImageFeatures
from eval.images.kid import MIN_HEADLINE_IMAGES, kernel_distance
from eval.images.manifold import precision_recall
from gan.frechet import GaussianStatistics, frechet_distance


@dataclass(frozen=True)
class ImageDistance:
    """One line of a report.

    Attributes:
        system: Name of the pictures that are compared with the real faces.
        feature_space: Name of the feature space.
        num_images: Number of these pictures.
        num_real: Number of real faces.
        frechet_distance: Frechet distance in the feature space.
        kid: Kernel inception distance, mean over subsets; unbiased, so that values with different numbers of pictures
            compare. Unit features of D numbers are multiplied by the root of D
            first.
        kid_std: Standard deviation of the latter over subsets.
        precision: Improved precision: share of the pictures that lie among the real faces.
        recall: Improved recall: share of the real faces that lie among the pictures.
        comparable: Whether both sides have the 2,048 pictures that a headline needs.
        variety: Variety of the drawings; None for other pictures.
    """

    system: str
    feature_space: str
    num_images: int
    num_real: int
    frechet_distance: float
    kid: float
    kid_std: float
    precision: float
    recall: float
    comparable: bool
    variety: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry of `results` in report.json."""
        return {
            "task": "image_quality",
            "system": self.system,
            "feature_space": self.feature_space,
            "variety": self.variety,
            "num_images": self.num_images,
            "num_real_images": self.num_real,
            "frechet_distance": self.frechet_distance,
            "kid": self.kid,
            "kid_std": self.kid_std,
            "improved_precision": self.precision,
            "improved_recall": self.recall,
            "comparable": self.comparable,
        }


def compare(
    system: str,
    space: ImageFeatures,
    features: NDArray[np.floating],
    real_features: NDArray[np.floating],
    owners: tuple[NDArray[np.integer], NDArray[np.integer]],
    seed: int,
    variety: float | None = None,
) -> ImageDistance:
    """All distances of two sets of pictures in one feature space.

    Args:
        system: Name of the pictures that are compared with the real faces.
        space: The feature space.
        features: [N, D] features of these pictures.
        real_features: [M, D] features of the real faces.
        owners: [N] and [M], the people whom they show or are drawn of.
        seed: Seed of subsets.
        variety: Variety of the drawings; None for other pictures.
    """
    ours, theirs = GaussianStatistics(features.shape[1]), GaussianStatistics(features.shape[1])
    ours.add(features)
    theirs.add(real_features)
    # KID's kernel divides products by D. Those of unit vectors are at most 1: the kernel would be almost a straight
    # line, which compares little more than means. Entries of about 1 use its square and cube too.
    scale = space.size**0.5 if space.is_unit else 1.0
    kid = kernel_distance(scale * features, scale * real_features, seed=seed)
    manifolds = precision_recall(real_features, features, owners[1], owners[0], seed=seed)
    return ImageDistance(
        system=system,
        feature_space=space.name,
        num_images=ours.num,
        num_real=theirs.num,
        frechet_distance=frechet_distance(ours.mean, ours.covariance, theirs.mean, theirs.covariance),
        kid=kid.mean,
        kid_std=kid.std,
        precision=manifolds.precision,
        recall=manifolds.recall,
        comparable=min(ours.num, theirs.num) >= MIN_HEADLINE_IMAGES,
        variety=variety,
    )


def extract_all(space: ImageFeatures, batches: Iterator[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Features [N, D] of batches of pictures; the pictures themselves, which are larger, are not kept."""
    return np.concatenate([space(images) for images in batches])


def extract_each(
    spaces: Sequence[ImageFeatures], batches: Iterator[NDArray[np.uint8]], kept: NDArray[np.integer]
) -> tuple[list[NDArray[np.float64]], NDArray[np.uint8]]:
    """Features in several spaces from one pass over batches of pictures, and some of the pictures.

    Args:
        spaces: The feature spaces.
        batches: The pictures.
        kept: Rows, in rising order, of the pictures that are returned.

    Returns:
        [N, D] for each space, and [len(kept), S, S, 3].
    """
    features: list[list[NDArray[np.float64]]] = [[] for _ in spaces]
    pictures, start = [], 0
    for images in batches:
        for blocks, space in zip(features, spaces, strict=True):
            blocks.append(space(images))
        pictures.append(images[kept[(kept >= start) & (kept < start + len(images))] - start])
        start += len(images)
    return [np.concatenate(blocks) for blocks in features], np.concatenate(pictures)
