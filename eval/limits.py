"""How well anybody could do on personas: their latents are known, so the best possible ranking is too."""

from __future__ import annotations

import numpy as np

from data.dataset import ClipDataset
from data.personas.limit import Knowledge, optimal_scores
from eval.galleries import Gallery, Pool
from eval.ranks import RankCounts
from eval.retrieval import Answers

LIMIT_NAMES: dict[Knowledge, str] = {
    "shared": "best possible, shared traits known",
    "voice": "best possible, the voice's traits known",
    "sex": "best possible, only sex known",
}
"""Names of the systems in a report; "voice" bounds every model, "shared" what more clips of a voice can't reach."""


def limit_answers(dataset: ClipDataset, pool: Pool, gallery: Gallery, knows: Knowledge) -> Answers | None:
    """What a Bayes-optimal ranker answers to the very questions that a model is asked.

    Args:
        dataset: The judged split.
        pool: Whose voices ask for whose faces.
        gallery: Which of them meet.
        knows: What the ranker knows of a voice: the traits that voice and face share, what the voice shows of
            them, or sex alone.

    Returns:
        None for data sets that are not made of personas.
    """
    latents = dataset.persona_traits()
    if latents is None:
        return None
    known = latents.traits if knows == "shared" else latents.voice_traits
    scores = optimal_scores(latents.is_male, known, latents.is_male, latents.face_traits, knows)
    better, tied = [], []
    for draw in gallery.draws:
        own = scores[np.ix_(pool.query_owners[draw.queries], pool.face_owners[draw.faces])]
        right = own[np.arange(len(own)), draw.targets][:, None]
        better.append((own > right).sum(axis=1))
        tied.append((own == right).sum(axis=1) - 1)
    rows = np.concatenate([draw.queries for draw in gallery.draws])
    return Answers(RankCounts(np.concatenate(better), np.concatenate(tied)), rows, pool.query_owners[rows])
