"""Sex and four shared traits of personas, and the noisy copies of the traits that determine face and voice.

The causal graph is small. A persona has a sex and four shared traits z. The face depends on z plus noise
(face_traits), the voice on z plus other noise (voice_traits), both on the sex. All else about a face or a voice is
drawn independently (`persona_rng`): only the sex and the noisy traits connect the two sides, so the best possible
retrieval can be computed (`data.personas.limit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Trait = Literal["age", "size", "robustness", "adiposity"]
TRAITS: tuple[Trait, ...] = get_args(Trait)
"""The shared traits, in the order of all arrays of traits."""

TRAIT_COLUMNS = ("traits", "face_traits", "voice_traits")
"""Names of the arrays of traits, in `Population` and in data sets."""

FACE_NOISE: dict[Trait, float] = {"age": 0.30, "size": 0.65, "robustness": 0.65, "adiposity": 0.65}
"""Standard deviation of the noise between a shared trait and the face, in units of the trait's own."""

VOICE_NOISE: dict[Trait, float] = {"age": 0.35, "size": 0.30, "robustness": 0.30, "adiposity": 0.60}
"""Standard deviation of the noise between a shared trait and the voice, in units of the trait's own."""

MEAN_AGE = 42.0
"""Years at z = 0."""

AGE_DEVIATION = 16.0
"""Years for each unit of z."""

AGE_RANGE = (18.0, 80.0)
"""Range of the shared age in years."""

TRAIT_RANGES: dict[Trait, tuple[float, float]] = {
    "age": ((AGE_RANGE[0] - MEAN_AGE) / AGE_DEVIATION, (AGE_RANGE[1] - MEAN_AGE) / AGE_DEVIATION),
    "size": (-3.0, 3.0),
    "robustness": (-3.0, 3.0),
    "adiposity": (-3.0, 3.0),
}
"""Each shared trait is a standard normal variable truncated to this range."""

PrivateStream = Literal["face", "image", "voice", "clip"]
_STREAMS: dict[str, int] = {"persona": 0, "face": 1, "image": 2, "voice": 3, "clip": 4}


@dataclass(frozen=True)
class Population:
    """A number of personas.

    Attributes:
        seed: Seed of all random numbers.
        is_male: [N] bool.
        traits: [N, 4] float32, the shared traits z in the order of `TRAITS`, normal within `TRAIT_RANGES`.
        face_traits: [N, 4] float32, unit variance, traits that determine the face: (z + noise) / sqrt(1 + noise^2).
        voice_traits: [N, 4] float32, unit variance, traits that determine the voice, with noise of their own.
    """

    seed: int
    is_male: NDArray[np.bool_]
    traits: NDArray[np.float32]
    face_traits: NDArray[np.float32]
    voice_traits: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.is_male)


def draw_population(num_identities: int, seed: int) -> Population:
    """Sample personas.

    Persona i is a function of (seed, i) alone: a smaller population is the beginning of a larger one.

    Args:
        num_identities: Number of personas, at least 1.
        seed: Seed, at least 0.
    """
    assert num_identities >= 1 and seed >= 0
    # Both arrays are filled row by row: more rows don't change the first ones.
    uniform = _generator(seed, "persona", 0).random((num_identities, 5))
    normal = _generator(seed, "persona", 1).standard_normal((num_identities, 8))
    traits = np.stack([truncated_normal(uniform[:, 1 + i], trait) for i, trait in enumerate(TRAITS)], axis=1)
    return Population(
        seed=seed,
        is_male=uniform[:, 0] < 0.5,
        traits=traits.astype(np.float32),
        face_traits=_blur(traits, normal[:, :4], FACE_NOISE),
        voice_traits=_blur(traits, normal[:, 4:], VOICE_NOISE),
    )


def truncated_normal(quantiles: NDArray[np.float64], trait: Trait) -> NDArray[np.float64]:
    """A shared trait at quantiles in [0, 1) of its truncated normal prior."""
    normal = NormalDist()
    low, high = map(normal.cdf, TRAIT_RANGES[trait])
    return np.array([normal.inv_cdf(low + (high - low) * quantile) for quantile in quantiles.tolist()])


def age_in_years(trait: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Years from the trait age (the shared one, or that of a face or voice)."""
    return MEAN_AGE + AGE_DEVIATION * np.asarray(trait, np.float64)


def persona_rng(seed: int, stream: PrivateStream, *index: int) -> np.random.Generator:
    """Random numbers of one persona's face, voice, image or clip; independent of all others.

    Args:
        seed: Seed of the population.
        stream: Purpose: a persona's `face` or `voice` as a whole, or one `image` or `clip` of it.
        index: Number of the persona, and of the image or clip.
    """
    return _generator(seed, stream, *index)


def _generator(seed: int, stream: str, *index: int) -> np.random.Generator:
    # A spawn key distinguishes (1,) from (1, 0); a list of seeds doesn't.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAMS[stream], *index)))


def _blur(
    traits: NDArray[np.float64], noise: NDArray[np.float64], deviations: dict[Trait, float]
) -> NDArray[np.float32]:
    """Traits plus noise, scaled to unit variance."""
    deviation = np.array([deviations[trait] for trait in TRAITS])
    blurred: NDArray[np.float64] = (traits + deviation * noise) / np.sqrt(1 + deviation**2)
    return blurred.astype(np.float32)
