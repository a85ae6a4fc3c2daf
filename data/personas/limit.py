"""Upper bound of retrieval: the recall of the Bayes-optimal ranking, computed from the personas' true traits.

A voice tells at most its sex and voice traits v, a face at most its sex and face traits f. Among faces of the same sex
the best ranking is by

    log p(f | v) / p(f) = sum over traits of log of the integral of p(f | z) p(v | z) p(z) dz / (p(f) p(v)),

where z is the shared trait, a normal variable truncated to `TRAIT_RANGES`. All three factors are normal in z, so
the integral is a normal density of f and v times the probability that a normal variable lies in the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import ConfigError
from data.personas.population import FACE_NOISE, TRAIT_RANGES, TRAITS, VOICE_NOISE

Knowledge = Literal["shared", "voice", "sex"]
"""Knowledge about a voice: the shared traits of its persona, its voice traits, or its sex alone."""

RANKS = (1, 5, 10)

Array = NDArray[np.float64]

_PAIRS_AT_ONCE = 500_000


def optimal_scores(
    query_is_male: NDArray[np.bool_],
    query_traits: NDArray[np.floating],
    gallery_is_male: NDArray[np.bool_],
    gallery_face_traits: NDArray[np.floating],
    knows: Knowledge = "voice",
) -> Array:
    """The Bayes-optimal score of every face for every voice.

    Args:
        query_is_male: [..., Q] sex of each voice.
        query_traits: [..., Q, 4], voice traits, or the shared traits if `knows` is `shared`.
        gallery_is_male: [..., G] sex of each face.
        gallery_face_traits: [..., G, 4] face traits.
        knows: Knowledge about a voice.

    Returns:
        [..., Q, G] float64, log p(face | voice) / p(face) without the constant log 2 of the sex; -inf where the sexes
        differ, else 0 if only the sex is known.
    """
    query_male, gallery_male = query_is_male[..., :, None], gallery_is_male[..., None, :]
    scores = np.zeros(np.broadcast_shapes(query_male.shape, gallery_male.shape))
    if knows != "sex":
        for i, trait in enumerate(TRAITS):
            query = np.asarray(query_traits, np.float64)[..., :, None, i]
            # Multiplied back from unit variance to the shared trait plus noise.
            face_noise, voice_noise = FACE_NOISE[trait], VOICE_NOISE[trait]
            face = np.asarray(gallery_face_traits, np.float64)[..., None, :, i] * np.sqrt(1 + face_noise**2)
            if knows == "shared":
                scores += _log_normal(face, query, face_noise) - _log_marginal(face, face_noise, TRAIT_RANGES[trait])
            else:
                voice = query * np.sqrt(1 + voice_noise**2)
                scores += _log_ratio(face, face_noise, voice, voice_noise, TRAIT_RANGES[trait])
    return np.where(query_male == gallery_male, scores, -np.inf)


def retrieval_limit(
    is_male: NDArray[np.bool_],
    face_traits: NDArray[np.floating],
    voice_traits: NDArray[np.floating],
    gallery_size: int,
    *,
    num_queries: int = 20_000,
    seed: int = 0,
    knows: Knowledge = "voice",
    traits: NDArray[np.floating] | None = None,
    ranks: Sequence[int] = RANKS,
) -> dict[int, float]:
    """Recall of the Bayes-optimal ranking, from a voice to the face of the same persona among others.

    Galleries are random subsets of the given personas: these are shuffled and cut into galleries, and every voice of a
    gallery is a query; repeated until there are enough queries.

    Args:
        is_male: [N] sex of the personas.
        face_traits: [N, 4] their face traits.
        voice_traits: [N, 4] their voice traits.
        gallery_size: Faces in a gallery, at most N.
        num_queries: Least number of queries n; the standard error is at most .5 / sqrt(n).
        seed: Seed of the galleries.
        knows: Knowledge about a voice.
        traits: [N, 4] shared traits, needed for `knows="shared"` alone.
        ranks: Values of k in R@k.

    Returns:
        R@k by k; the expectation over random orders of ties (all faces of a sex, if only the sex is known).

    Raises:
        ConfigError: If there are fewer personas than a gallery holds.
    """
    num_people = len(is_male)
    if not 2 <= gallery_size <= num_people:
        raise ConfigError(f"galleries of {gallery_size} can't be drawn from {num_people} personas")
    if knows == "shared" and traits is None:
        raise ValueError("knows='shared' needs the shared traits")
    known = voice_traits if knows != "shared" or traits is None else traits
    rng = np.random.default_rng(seed)
    hits = dict.fromkeys(ranks, 0.0)
    num_galleries = -(-num_queries // gallery_size)
    galleries_at_once = max(1, _PAIRS_AT_ONCE // gallery_size**2)
    for galleries in np.array_split(
        _draw_galleries(num_people, gallery_size, num_galleries, rng), -(-num_galleries // galleries_at_once)
    ):
        scores = optimal_scores(is_male[galleries], known[galleries], is_male[galleries], face_traits[galleries], knows)
        own = np.diagonal(scores, axis1=1, axis2=2)[:, :, None]
        num_better, num_equal = (scores > own).sum(2), (scores == own).sum(2)
        for k in ranks:
            hits[k] += float(np.clip((k - num_better) / num_equal, 0, 1).sum())
    return {k: count / (num_galleries * gallery_size) for k, count in hits.items()}


def _draw_galleries(num_people: int, size: int, num_galleries: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[num_galleries, size] indices of people, each row without repetition."""
    per_shuffle = num_people // size
    shuffles = [
        rng.permutation(num_people)[: per_shuffle * size].reshape(per_shuffle, size)
        for _ in range(-(-num_galleries // per_shuffle))
    ]
    return np.concatenate(shuffles)[:num_galleries]


def _log_ratio(face: Array, face_noise: float, voice: Array, voice_noise: float, limits: tuple[float, float]) -> Array:
    """log p(face, voice) / (p(face) p(voice)) of one trait, from the trait plus noise of each side (not rescaled)."""
    precision = 1 + face_noise**-2 + voice_noise**-2
    mean = (face * face_noise**-2 + voice * voice_noise**-2) / precision
    # Posterior of the shared trait given the voice, if it were not truncated.
    posterior_variance = 1 / (1 + voice_noise**-2)
    posterior_mean = voice * voice_noise**-2 * posterior_variance
    density = _log_normal(face, posterior_mean, float(np.sqrt(face_noise**2 + posterior_variance)))
    in_range = _log_mass(mean, precision**-0.5, limits)
    return (
        density
        + in_range
        - _log_mass(posterior_mean, posterior_variance**0.5, limits)
        - _log_marginal(face, face_noise, limits)
    )


def _log_marginal(seen: Array, noise: float, limits: tuple[float, float]) -> Array:
    """Log density of a truncated normal trait plus noise."""
    variance = 1 / (1 + noise**-2)
    in_range = _log_mass(seen * noise**-2 * variance, variance**0.5, limits)
    return _log_normal(seen, np.zeros(1), float(np.sqrt(1 + noise**2))) + in_range - _log_mass(np.zeros(1), 1.0, limits)


def _log_normal(value: Array, mean: Array, deviation: float) -> Array:
    return -0.5 * ((value - mean) / deviation) ** 2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)


def _log_mass(mean: Array, deviation: float, limits: tuple[float, float]) -> Array:
    """Log probability that a normal variable lies within limits."""
    low, high = (torch.special.ndtr(torch.from_numpy((limit - mean) / deviation)) for limit in limits)
    mass: Array = torch.log(high - low).numpy()
    return mass
