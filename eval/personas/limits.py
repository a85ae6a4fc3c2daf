"""The best possible retrieval on personas, whose true traits are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.personas.limit import Knowledge, optimal_scores
from data.personas.traits import read_traits
from data.store.dataset import ClipDataset

LIMIT_NAMES: dict[Knowledge, str] = {
    "shared": "best possible, shared traits known",
    "voice": "best possible, the voice's traits known",
    "sex": "best possible, only sex known",
}
"""Names of the systems in a report. "voice" bounds every model that hears one clip, "shared" any number of clips."""


def limit_scores(dataset: ClipDataset, knows: Knowledge) -> NDArray[np.float64] | None:
    """Scores of a Bayes-optimal ranker for each pair of voice and face.

    Args:
        dataset: The judged split.
        knows: What the ranker knows of a speaker: the traits that voice and face share, the traits as the voice
            shows them, or sex alone.

    Returns:
        [identities, identities] scores, voices by faces, higher is better; None if the data set is not one of personas.
    """
    latents = read_traits(dataset)
    if latents is None:
        return None
    known = latents.traits if knows == "shared" else latents.voice_traits
    return optimal_scores(latents.is_male, known, latents.is_male, latents.face_traits, knows)
