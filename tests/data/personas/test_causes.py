"""The causal rule: nothing but sex and the noisy traits reaches both face and voice, or the limit would be void."""

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from data.personas.faces import render_faces
from data.personas.population import Population, draw_population, persona_rng
from data.personas.rendering.draws import PrivateDraws
from data.personas.rendering.parameters import read_traits
from data.personas.rendering.photo import draw_photo
from data.personas.rendering.portrait import draw_person
from data.personas.voices import ACCENTS, VoiceSynthesizer, draw_private_voice, voice_parameters

NUM_PEOPLE = 2000

Numbers = NDArray[np.float64]


@pytest.fixture(scope="module")
def people() -> Population:
    return draw_population(NUM_PEOPLE, seed=3)


def numbers_in(*parameters: object) -> Numbers:
    """[N, K] all that varies in data classes of tensors of [N, ...]."""
    columns = [
        getattr(part, entry.name).double().reshape(NUM_PEOPLE, -1).numpy()
        for part in parameters
        for entry in fields(part)
        if isinstance(getattr(part, entry.name), Tensor)
    ]
    return varying(np.concatenate(columns, axis=1))


def varying(columns: Numbers) -> Numbers:
    return columns[:, columns.std(0) > 1e-9]


def face_numbers(people: Population, is_male: NDArray[np.bool_], face_traits: NDArray[np.float32]) -> Numbers:
    """All parameters of all faces, from given traits and everybody's private draws."""
    draws = PrivateDraws(persona_rng(people.seed, "face", persona) for persona in range(NUM_PEOPLE))
    person = draw_person(read_traits(is_male, face_traits), draws)
    return numbers_in(person.skull, person.features, person.skin, person.hair)


def private_face_numbers(people: Population) -> Numbers:
    """What is left of faces if all traits are alike, with the first picture of each."""
    nobody, average = np.zeros(NUM_PEOPLE, np.bool_), np.zeros((NUM_PEOPLE, 4), np.float32)
    draws = PrivateDraws(persona_rng(people.seed, "image", persona, 0) for persona in range(NUM_PEOPLE))
    return np.concatenate([face_numbers(people, nobody, average), numbers_in(draw_photo(draws))], axis=1)


def private_voice_numbers(people: Population) -> Numbers:
    rows = []
    for persona in range(NUM_PEOPLE):
        voice = draw_private_voice(people.seed, persona)
        accent = [float(voice.accent == name) for name in ACCENTS[1:]]
        own = [voice.rate, voice.melody, voice.consonants, voice.roughness, voice.breath, *voice.formant_deviations]
        first_clip = persona_rng(people.seed, "clip", persona, 0).standard_normal(4)
        rows.append([*accent, *own, *first_clip])
    return np.array(rows)


def voice_numbers(people: Population) -> Numbers:
    rows = []
    for persona in range(NUM_PEOPLE):
        voice = voice_parameters(people, persona)
        row = [voice.pitch, voice.formant_scale, voice.words_per_minute, voice.flutter, voice.roughness]
        rows.append([*row, voice.breath, voice.darkness])
    return np.array(rows)


def largest_correlation(left: Numbers, right: Numbers) -> float:
    """In units of its standard deviation under independence."""
    left, right = ((part - part.mean(0)) / part.std(0) for part in (left, right))
    return float(np.abs(left.T @ right).max() / np.sqrt(NUM_PEOPLE))


def predicted_share(causes: Numbers, effects: Numbers) -> float:
    """The largest share of variance of any effect that a linear fit on one half predicts in the other half."""
    half = NUM_PEOPLE // 2
    inputs = np.column_stack([np.ones(NUM_PEOPLE), (causes - causes.mean(0)) / causes.std(0)])
    outputs = (effects - effects.mean(0)) / effects.std(0)
    ridge = 10 * np.eye(inputs.shape[1])
    weights = np.linalg.solve(inputs[:half].T @ inputs[:half] + ridge, inputs[:half].T @ outputs[:half])
    errors = outputs[half:] - inputs[half:] @ weights
    return float(1 - ((errors**2).mean(0) / outputs[half:].var(0)).min())


def test_what_is_private_to_the_voice_tells_nothing_about_the_face(people: Population) -> None:
    truth = np.column_stack([people.is_male, people.traits, people.face_traits]).astype(np.float64)
    faces = np.concatenate([face_numbers(people, people.is_male, people.face_traits), truth], axis=1)
    voices = private_voice_numbers(people)
    # 5.5 standard deviations: thousands of pairs are looked at.
    assert largest_correlation(voices, faces) < 5.5
    assert predicted_share(voices, faces) < 0.02


def test_what_is_private_to_the_face_tells_nothing_about_the_voice(people: Population) -> None:
    truth = np.column_stack([people.is_male, people.traits, people.voice_traits]).astype(np.float64)
    voices = np.concatenate([voice_numbers(people), private_voice_numbers(people), truth], axis=1)
    faces = private_face_numbers(people)
    assert faces.shape[1] > 80
    assert largest_correlation(faces, voices) < 5.5
    assert predicted_share(faces, voices) < 0.02


def test_a_leak_would_be_seen(people: Population) -> None:
    voices, faces = private_voice_numbers(people), private_face_numbers(people)
    faces[:, 0] += 0.2 * faces[:, 0].std() * voices[:, 3] / voices[:, 3].std()
    assert largest_correlation(faces, voices) > 6 and predicted_share(voices, faces) > 0.02


def test_what_both_share_is_seen_on_both_sides(people: Population) -> None:
    assert predicted_share(voice_numbers(people), people.face_traits.astype(np.float64)) > 0.3
    faces = face_numbers(people, people.is_male, people.face_traits)
    assert predicted_share(faces, people.voice_traits.astype(np.float64)) > 0.3


def test_changing_the_voices_traits_leaves_the_pictures_as_they_are_and_the_other_way_round() -> None:
    people = draw_population(3, seed=1)
    zeros = np.zeros_like(people.traits)
    who, images = np.array([0, 2]), np.array([0, 1])
    pictures = render_faces(people, who, images, 64)
    without_voices = replace(people, traits=zeros, voice_traits=zeros)
    assert np.array_equal(render_faces(without_voices, who, images, 64), pictures)
    without_faces = replace(people, traits=zeros, face_traits=zeros)
    assert not np.array_equal(render_faces(without_faces, who, images, 64), pictures)
    pytest.importorskip("espeakng_loader")
    with VoiceSynthesizer() as synthesizer:
        clip = synthesizer.speak(people, 2, 1)
        assert np.array_equal(synthesizer.speak(without_faces, 2, 1), clip)
        assert not np.array_equal(synthesizer.speak(without_voices, 2, 1), clip)
