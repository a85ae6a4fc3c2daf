"""How well anybody could do on personas: their latents are known, so the best possible ranking is too."""

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
"""Names of the systems in a report; "voice" bounds every model, "shared" what more clips of a voice can't reach."""


def limit_scores(dataset: ClipDataset, knows: Knowledge) -> NDArray[np.float64] | None:
    """How well each face fits each voice to a Bayes-optimal ranker.

    Args:
        dataset: The judged split.
        knows: What the ranker knows of a voice: the traits that voice and face share, what the voice shows of
            them, or sex alone.

    Returns:
        [identities, identities] scores, voices by faces, the greater the better; None for data sets that are not
        made of personas.
    """
    latents = read_traits(dataset)
    if latents is None:
        return None
    known = latents.traits if knows == "shared" else latents.voice_traits
    return optimal_scores(latents.is_male, known, latents.is_male, latents.face_traits, knows)
