"""Voices of personas, for visitors who don't want to speak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import ModelError
from data.media.waveform import Waveform
from data.personas.population import TRAITS, age_in_years, draw_population
from data.personas.voices import VoiceSynthesizer

_SEED = 2_000  # no data set of the project is made from it: no model met these personas
_NUM_DRAWN = 40


@dataclass(frozen=True)
class PersonaVoice:
    """A persona's voice.

    Attributes:
        name: A few words about the persona.
        speech: [T] float32 at 16 kHz.
    """

    name: str
    speech: Waveform


def make_voices(num: int = 4) -> list[PersonaVoice]:
    """Voices of personas of both sexes, from young to old; none where the synthesizer is not installed."""
    population = draw_population(_NUM_DRAWN, _SEED)
    years = age_in_years(population.traits[:, TRAITS.index("age")])
    chosen = []
    for number in range(num):
        same_sex = sorted(np.flatnonzero(population.is_male == (number % 2 == 1)), key=lambda i: years[i])
        share = (number // 2 + 0.5) / ((num + 1) // 2)  # of them, from the youngest on
        chosen.append(int(same_sex[int(share * len(same_sex))]))
    try:
        with VoiceSynthesizer() as synthesizer:
            return [
                PersonaVoice(
                    f"{'man' if population.is_male[i] else 'woman'}, {years[i]:.0f}",
                    synthesizer.speak(population, persona=i, clip=0),
                )
                for i in chosen
            ]
    except ModelError:
        return []
