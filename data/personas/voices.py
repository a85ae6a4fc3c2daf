"""Voices of personas: from voice traits to the parameters of a synthetic voice, and clips of its speech.

Robustness lowers the pitch; size lowers the formants (a longer vocal tract); age slows the speech and adds flutter,
roughness and breath noise; adiposity attenuates high frequencies. All else is random and independent of the face:
accent, mean speed, pitch range and small deviations of single formants of a voice; text, speed, room and microphone
of a clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import numpy as np

from data.media.audio import prepare_speech
from data.media.waveform import Waveform
from data.personas.acoustics import add_breath, record, trim
from data.personas.espeak import ESPEAK_RATE, EspeakEngine
from data.personas.population import Population, age_in_years, persona_rng
from data.personas.texts import compose_text

ACCENTS = ("gmw/en-US", "gmw/en", "gmw/en-GB-x-rp", "gmw/en-GB-scotland")
"""Language files of espeak-ng: the English accents of personas."""

MAX_SECONDS = 6.0
"""Longest clip; longer speech is cut with a fade-out."""

MIN_SECONDS = 3.0
"""Shortest speech, pauses included; sentences are added until it is reached."""

PITCH = {"male": 116.0, "female": 204.0}
"""Mean pitch in Hz by sex, at average robustness, without the effect of age."""

PITCH_PER_ROBUSTNESS = -0.115
"""Change of log pitch for each unit of robustness."""

FORMANT_SCALE = {"male": 0.955, "female": 1.115}
"""Factor on all formants by sex, at average size; 1 is espeak-ng's default voice."""

FORMANT_SCALE_PER_SIZE = -0.045
"""Change of the logarithm of that factor for each unit of size."""

WORDS_PER_MINUTE = (190.0, 128.0)
"""Speed of the youngest and of the oldest voices."""

FLUTTER = (1.0, 25.0)
"""Slow fluctuation of the pitch in espeak-ng's units, for the youngest and the oldest voices."""

ROUGHNESS = (-1.0, 5.0)
"""Irregularity of glottal pulses in espeak-ng's steps from 0 to 7, before rounding, for the youngest and the oldest."""

BREATH = 0.01
"""Breath noise of the youngest voices, as `add_breath` takes it."""

BREATH_GROWTH = 2.5
"""Increase of log breath noise from the youngest to the oldest voices."""

DARKNESS_PER_ADIPOSITY = 22.0
"""Attenuation of high frequencies in percent for each unit of adiposity."""

_YOUNG_END, _OLD_END = -2.2, 2.5  # voice trait age of the youngest and the oldest voices
_TRAIT_LIMIT = 3.0  # espeak-ng sounds unnatural beyond
_PRIVATE_LIMIT = 2.3  # largest absolute value of a random normal number

_TARGET_SECONDS = 4.4
_CLIP_RATE_DEVIATION = 0.04  # standard deviation of the logarithm of a clip's speed

_NUM_FORMANTS = 9  # of espeak-ng, from 0 (the glottal one, below the first) to 8
_PITCH_EXCURSION = 0.38  # width of espeak-ng's pitch range, relative to the pitch


@dataclass(frozen=True)
class PrivateVoice:
    """Properties of a voice that are independent of the traits and of the face.

    Attributes:
        accent: One of `ACCENTS`.
        rate: Words a minute to add.
        melody: Factor on the pitch range.
        formant_deviations: Relative deviations of formants 1 to 4.
        consonants: Loudness of consonants in percent.
        roughness: Steps of roughness to add, before rounding.
        breath: Factor on the breath noise.
    """

    accent: str
    rate: float
    melody: float
    formant_deviations: tuple[float, float, float, float]
    consonants: float
    roughness: float
    breath: float


@dataclass(frozen=True)
class VoiceParameters:
    """Parameters of a persona's voice.

    Attributes:
        pitch: Median fundamental frequency in Hz.
        formant_scale: Factor on all formants; 1 is espeak-ng's default voice.
        words_per_minute: Speed.
        flutter: Slow fluctuation of the pitch in espeak-ng's units.
        roughness: Irregularity of glottal pulses, 0 to 7 in espeak-ng's steps.
        breath: Breath noise, as `add_breath` takes it.
        darkness: Attenuation of high frequencies in percent.
        private: Properties that are independent of the traits.
    """

    pitch: float
    formant_scale: float
    words_per_minute: float
    flutter: int
    roughness: int
    breath: float
    darkness: float
    private: PrivateVoice


def draw_private_voice(seed: int, persona: int) -> PrivateVoice:
    """Sample the properties of a persona's voice that are independent of its traits."""
    rng = persona_rng(seed, "voice", persona)
    accent = ACCENTS[rng.integers(len(ACCENTS))]
    normal = np.clip(rng.standard_normal(9), -_PRIVATE_LIMIT, _PRIVATE_LIMIT)
    return PrivateVoice(
        accent=accent,
        rate=5.0 * normal[0],
        melody=float(np.exp(0.18 * normal[1])),
        formant_deviations=tuple((0.010 * normal[2:6]).tolist()),
        consonants=100 + 10 * normal[6],
        roughness=0.3 * normal[7],
        breath=float(np.exp(0.12 * normal[8])),
    )


def voice_parameters(population: Population, persona: int) -> VoiceParameters:
    """Parameters of one persona's voice: they depend on its sex, its voice traits and `draw_private_voice`."""
    is_male = bool(population.is_male[persona])
    traits = np.clip(population.voice_traits[persona].astype(np.float64), -_TRAIT_LIMIT, _TRAIT_LIMIT)
    age, size, robustness, adiposity = traits.tolist()
    private = draw_private_voice(population.seed, persona)
    sex = "male" if is_male else "female"
    # Linear over the whole range of the voice trait, so that it can be told from the voice at any age.
    ageing = float(np.clip((age - _YOUNG_END) / (_OLD_END - _YOUNG_END), 0, 1.1))

    def aged(ends: tuple[float, float]) -> float:
        return ends[0] + (ends[1] - ends[0]) * ageing

    return VoiceParameters(
        pitch=PITCH[sex] * np.exp(PITCH_PER_ROBUSTNESS * robustness) * _pitch_by_age(age, is_male),
        formant_scale=FORMANT_SCALE[sex] * np.exp(FORMANT_SCALE_PER_SIZE * size),
        words_per_minute=aged(WORDS_PER_MINUTE) + private.rate,
        flutter=round(aged(FLUTTER)),
        roughness=int(np.clip(round(aged(ROUGHNESS) + private.roughness), 0, 7)),
        breath=BREATH * np.exp(BREATH_GROWTH * ageing) * private.breath,
        darkness=DARKNESS_PER_ADIPOSITY * adiposity,
        private=private,
    )


def _pitch_by_age(age: float, is_male: bool) -> float:
    """Factor on the pitch by age: men's voices rise late in life, women's fall from middle age on."""
    years = float(age_in_years(np.float64(age)))
    if is_male:
        return 1 + 0.10 * float(np.clip((years - 60) / 20, 0, 1))
    return 1 - 0.10 * float(np.clip((years - 45) / 30, 0, 1))


def format_variant(voice: VoiceParameters) -> str:
    """Content of espeak-ng's variant file for a voice."""
    private, darkness = voice.private, voice.darkness
    excursion = _PITCH_EXCURSION * private.melody * voice.pitch
    low = voice.pitch - _median_position(voice) * excursion
    lines = ["language variant", "name persona", f"pitch {round(low)} {round(low + excursion)}"]
    deviations = (0.0, *private.formant_deviations, 0.0, 0.0, 0.0, 0.0)
    for formant in range(_NUM_FORMANTS):
        frequency = round(100 * voice.formant_scale * (1 + deviations[formant]))
        loudness = 100 - 0.9 * darkness if formant >= 3 else 100 + (0.25 * darkness if formant <= 1 else 0)
        width = 100 + 0.5 * darkness
        lines.append(f"formant {formant} {frequency} {_whole(loudness, 30, 190)} {_whole(width, 60, 160)}")
    tone = (
        *(600, 170),
        *(1200, _whole(140 - 0.5 * darkness, 20, 255)),
        *(2000, _whole(120 - darkness, 20, 255)),
        *(3500, _whole(100 - 1.3 * darkness, 20, 255)),
    )
    lines.append("tone " + " ".join(map(str, tone)))
    lines += [f"flutter {voice.flutter}", f"roughness {voice.roughness}"]
    lines.append(f"consonants {round(private.consonants)} {round(private.consonants)}")
    return "\n".join(lines) + "\n"


def _median_position(voice: VoiceParameters) -> float:
    """Where in espeak-ng's pitch range the median of its speech lies, 0 its low and 1 its high end.

    Fitted to medians that Praat measured in clips of 300 personas (scripts/measure_personas.py checks it).
    """
    pitch = 0.112 * np.log(voice.pitch / 154)
    return float(0.68 + pitch + 0.147 * (voice.private.melody - 1) + 0.0031 * (voice.flutter - 13))


def _whole(value: float, low: float, high: float) -> int:
    return round(float(np.clip(value, low, high)))


class VoiceSynthesizer:
    """Synthesizer of personas' clips; a context manager that removes its temporary files."""

    def __init__(self) -> None:
        """Check that espeak-ng can be used.

        Raises:
            ModelError: If it is not installed.
        """
        self._engine = EspeakEngine()

    def __enter__(self) -> VoiceSynthesizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove espeak-ng's temporary folder."""
        self._engine.close()

    def speak(self, population: Population, persona: int, clip: int) -> Waveform:
        """Synthesize one clip.

        Args:
            population: All personas.
            persona: Index of the speaker.
            clip: Number of the clip; the same three arguments give the same samples.

        Returns:
            [T] float32 at 16 kHz, about 3 to 6 seconds, as `prepare_speech` leaves it.
        """
        voice = voice_parameters(population, persona)
        rng = persona_rng(population.seed, "clip", persona, clip)
        haste = np.clip(rng.standard_normal(), -_PRIVATE_LIMIT, _PRIVATE_LIMIT)
        words_per_minute = voice.words_per_minute * np.exp(_CLIP_RATE_DEVIATION * haste)
        num_words = round(_TARGET_SECONDS * words_per_minute / 60)
        with self._engine.fresh():
            self._engine.choose_voice(voice.private.accent, format_variant(voice), round(words_per_minute))
            spoken = self._engine.speak(compose_text(rng, num_words))
            while spoken.size < MIN_SECONDS * ESPEAK_RATE:
                spoken = np.concatenate([spoken, self._engine.speak(compose_text(rng, 1))])
        spoken = trim(spoken, round(MAX_SECONDS * ESPEAK_RATE))
        return prepare_speech(record(add_breath(spoken, voice.breath, rng), rng), "none")
