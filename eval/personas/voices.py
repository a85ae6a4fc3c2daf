"""Checks of personas' voices: pitch and formants measured by Praat (package praat-parselmouth), not by our own code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import DatasetError, ModelError
from data.media.waveform import SAMPLE_RATE, Waveform
from data.personas.population import Population, draw_population
from data.personas.voices import voice_parameters
from data.store.dataset import ClipDataset

PITCH_RANGE = (60.0, 400.0)
"""Range in Hz in which Praat looks for the fundamental frequency."""

FORMANT_CEILINGS = {"male": 4350.0, "female": 5000.0}
"""Frequencies in Hz below which Praat looks for five formants; espeak-ng's man is larger than Praat assumes."""

MEASURED_FORMANTS = (3, 4)
"""Numbers of the formants whose medians give the scale; lower ones depend more on text and accent."""


@dataclass(frozen=True)
class MeasuredVoices:
    """Measured voices of N personas with C clips each, and the parameters they were made with.

    Attributes:
        is_male: [N] sex.
        pitch: [N, C] median fundamental frequency of each clip in Hz; NaN where Praat finds no voiced frame.
        formant_scale: [N, C] geometric mean of the medians of `MEASURED_FORMANTS` in Hz.
        target_pitch: [N] pitch in Hz that the voice was made with.
        target_scale: [N] scale of the formants that the voice was made with, relative to espeak-ng's own.
    """

    is_male: NDArray[np.bool_]
    pitch: NDArray[np.float64]
    formant_scale: NDArray[np.float64]
    target_pitch: NDArray[np.float64]
    target_scale: NDArray[np.float64]


def measure_clip(waveform: Waveform, is_male: bool) -> tuple[float, float]:
    """Median pitch, and geometric mean of the medians of `MEASURED_FORMANTS`, both in Hz; NaN without a voiced frame.

    Raises:
        ModelError: If praat-parselmouth is not installed.
    """
    try:
        import parselmouth
    except ImportError as error:
        raise ModelError("measuring voices needs praat-parselmouth: pip install 'wav2face[personas]'") from error
    sound = parselmouth.Sound(waveform.astype(np.float64), SAMPLE_RATE)
    pitch = sound.to_pitch(0.01, *PITCH_RANGE)
    frequencies = pitch.selected_array["frequency"]
    is_voiced = frequencies > 0
    if not is_voiced.any():
        return float("nan"), float("nan")
    formants = sound.to_formant_burg(0.01, 5, FORMANT_CEILINGS["male" if is_male else "female"], 0.025, 50)
    medians = [
        np.nanmedian([formants.get_value_at_time(formant, time) for time in pitch.xs()[is_voiced]])
        for formant in MEASURED_FORMANTS
    ]
    return float(np.median(frequencies[is_voiced])), float(np.exp(np.mean(np.log(medians))))


def measure_voices(dataset: ClipDataset, max_personas: int) -> MeasuredVoices:
    """Measure all clips of some personas with Praat.

    Args:
        dataset: A data set of personas.
        max_personas: Number of personas at most, the first of the data set.

    Raises:
        DatasetError: If the data set is not one of personas.
        ModelError: If praat-parselmouth is not installed.
    """
    people = list(range(min(max_personas, len(dataset.identities))))
    population, numbers = whole_population(dataset)
    num_clips = min(len(dataset.voices_of(person)) for person in people)
    is_male, measured, targets = [], [], []
    for person in tqdm(people, unit="persona", desc="measuring voices", disable=None):
        voice = voice_parameters(population, numbers[person])
        is_male.append(bool(population.is_male[numbers[person]]))
        clips = dataset.voices_of(person)[:num_clips]
        measured.append([measure_clip(dataset.waveform(clip), is_male[-1]) for clip in clips])
        targets.append((voice.pitch, voice.formant_scale))
    values, target = np.array(measured), np.array(targets)
    return MeasuredVoices(np.array(is_male), values[..., 0], values[..., 1], target[:, 0], target[:, 1])


def whole_population(dataset: ClipDataset) -> tuple[Population, list[int]]:
    """The population that a data set's personas were drawn from, and the number in it of each identity.

    Raises:
        DatasetError: If the data set is not one of personas.
    """
    about = dataset.info.extra.get("population")
    if about is None:
        raise DatasetError(f"{dataset.root}: not made of personas; make such a data set with scripts/make_personas.py")
    numbers = [int(identity.rpartition("-")[2]) for identity in dataset.identities]
    return draw_population(about["num_identities"], about["seed"]), numbers


def summarize_voices(voices: MeasuredVoices) -> dict[str, float]:
    """Errors of the pitch by clip and by persona, and correlations of the formant scale with its target by sex."""
    errors = voices.pitch / voices.target_pitch[:, None] - 1
    of_personas = np.nanmean(errors, axis=1)
    summary = {
        "num_personas": float(len(errors)),
        "num_clips_each": float(errors.shape[1]),
        "pitch_mean_absolute_error_hz": float(np.nanmean(np.abs(voices.pitch - voices.target_pitch[:, None]))),
        "pitch_mean_relative_error": float(np.nanmean(of_personas)),
        "pitch_median_absolute_relative_error_one_clip": float(np.nanmedian(np.abs(errors))),
        "pitch_median_absolute_relative_error": float(np.nanmedian(np.abs(of_personas))),
        "pitch_within_3_percent": float(np.mean(np.abs(of_personas) < 0.03)),
    }
    for sex, chosen in (("female", ~voices.is_male), ("male", voices.is_male)):
        target = np.log(voices.target_scale[chosen])
        measured = np.log(voices.formant_scale[chosen])
        summary[f"formant_scale_correlation_one_clip_{sex}"] = _correlation(target, measured[:, 0])
        summary[f"formant_scale_correlation_{sex}"] = _correlation(target, np.nanmean(measured, axis=1))
    return summary


def _correlation(target: NDArray[np.float64], measured: Iterable[float]) -> float:
    measured = np.asarray(measured)
    usable = np.isfinite(measured)
    return float(np.corrcoef(target[usable], measured[usable])[0, 1]) if usable.sum() > 2 else float("nan")
