"""Sex and age of predictions, on people whose features, voices and labels are made to agree."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.media.waveform import SAMPLE_RATE
from data.store.clip import Attributes
from eval.attributes.measure import (
    AttributeClassifiers,
    Readings,
    SexReference,
    find_sex_reference,
    fit_classifiers,
    measure_attributes,
    sexes_for_galleries,
)
from eval.attributes.text import attribute_section
from eval.predictions import Pool, Predictions

NUM_PEOPLE, SIZE = 60, 6
LOOK = np.array([4.0, 0, 0, 0, 0, 0], np.float32)
"""What all drawings share: a long way towards the female side of the feature that tells the sexes apart."""


def people_of(seed: int, labelled: bool = True) -> tuple[Any, np.ndarray]:
    """What is read of a data set with one voice and one face a person, and the faces' features [N, 6].

    The first feature tells the sex, the second the age. Women have voices of 220 Hz, men of 110.
    """
    random = np.random.default_rng(seed)
    is_female = np.arange(NUM_PEOPLE) % 2 == 0
    ages = random.uniform(20, 70, NUM_PEOPLE)
    features = random.normal(0, 0.1, (NUM_PEOPLE, SIZE))
    features[:, 0] += np.where(is_female, 1, -1)
    features[:, 1] += (ages - 45) / 25
    attributes = [Attributes("female" if f else "male", float(a)) for f, a in zip(is_female, ages, strict=True)]
    time = np.arange(SAMPLE_RATE // 4) / SAMPLE_RATE
    voices = [sum(np.sin(2 * np.pi * (220 if f else 110) * h * time) / h for h in range(1, 9)) for f in is_female]
    keys = np.stack([np.arange(NUM_PEOPLE), np.zeros(NUM_PEOPLE, int)], axis=1)
    dataset = SimpleNamespace(
        identities=range(NUM_PEOPLE),
        has_media=True,
        attributes=lambda person: attributes[person] if labelled else Attributes(),
        faces_of=lambda person: [(person, 0)],
        voices_of=lambda person: [person],
        waveform=lambda clip: voices[clip],
        all_face_features=lambda: (features.astype(np.float32), keys),
    )
    return dataset, features.astype(np.float32)


def predictions_of(features: np.ndarray) -> Predictions:
    """A model whose drawings show the right person with the look of all drawings."""
    people = np.arange(NUM_PEOPLE)
    return Predictions(
        pool=Pool.of_voices(people, people),
        clips=people,
        faces=np.stack([people, np.zeros_like(people)], axis=1),
        voice_features=features,
        voice_embeddings=features,
        face_features=features,
        face_embeddings=features,
        judge_face_features=features,
        judge_drawing_features=features + LOOK,
    )


@pytest.fixture(scope="module")
def classifiers() -> AttributeClassifiers:
    """Fitted on T's features alone; E's are the same here."""
    fitted = fit_classifiers(people_of(0)[0], None, seed=0)
    return AttributeClassifiers(fitted.training, fitted.training, fitted.pitch_threshold, fitted.pitch_measured)


def test_sex_and_age_are_compared_with_labels_voice_and_face_and_the_common_look_is_removed(classifiers):
    dataset, features = people_of(1)
    measured = measure_attributes(dataset, predictions_of(features), predictions_of(people_of(0)[1]), classifiers)
    agreement = {(row["said_by"], row["compared_with"]): row["agreement"] for row in measured["sex"]}
    references = ("labels", "pitch of the voice", "classifier on the true face")
    for reference in references:
        assert agreement["drawing", reference] == 0.5  # with the look, everybody is classified as female
        assert agreement["drawing, common look removed", reference] == 1.0
        assert agreement["regressed feature", reference] == 1.0
    assert agreement["pitch of the voice", "labels"] == agreement["true face, as the drawing", "labels"] == 1.0
    # The area under the curve does not depend on the look.
    assert all(row["area_under_curve"] == 1.0 and row["majority"] == 0.5 for row in measured["sex"])
    errors = {row["said_by"]: row for row in measured["age"]}
    assert errors["regressed feature"]["mean_absolute_error"] < 4
    assert errors["regressed feature"]["mean_age_for_everybody"] > 10
    assert 110 < measured["pitch_threshold_hz"] < 220 and measured["pitch_threshold_measured"]


def test_a_second_reader_of_drawings_is_compared_with_labels_voices_and_what_it_reads_from_the_face(classifiers):
    dataset, features = people_of(1)
    ages = np.array([dataset.attributes(person).age for person in range(NUM_PEOPLE)])
    faces = np.stack([features[:, 0], ages], axis=1)
    drawings = faces * [1, 0] + [0, 40]  # the right sex, and the same age for everybody
    readings = Readings("network", drawings.astype(np.float32), faces.astype(np.float32))
    train = predictions_of(people_of(0)[1])
    measured = measure_attributes(dataset, predictions_of(features), train, classifiers, readings)
    agreement = {(row["said_by"], row["compared_with"]): row["agreement"] for row in measured["sex"]}
    for reference in ("labels", "pitch of the voice", "classifier on the true face"):
        assert agreement["drawing, by network", reference] == 1.0
    errors = {row["said_by"]: row["mean_absolute_error"] for row in measured["age"]}
    assert errors["true face, as the drawing, by network"] == pytest.approx(0, abs=1e-4)
    assert errors["drawing, by network"] == pytest.approx(np.abs(ages - 40).mean(), rel=1e-5)


def test_drawings_are_compared_with_labels_or_with_the_pitch_where_labels_are_few(classifiers):
    logits = np.where(np.arange(NUM_PEOPLE) % 2 == 0, 1.0, -1.0)
    logits[0] = -1
    for labelled, name in ((True, "labels"), (False, "pitch of the voice")):
        dataset, features = people_of(1, labelled)
        reference = find_sex_reference(dataset, predictions_of(features), classifiers)
        row = reference.agreement(logits)
        assert row is not None and row["compared_with"] == name
        assert row["agreement"] == pytest.approx((NUM_PEOPLE - 1) / NUM_PEOPLE) and row["num"] == NUM_PEOPLE


def test_agreement_of_fewer_than_ten_people_is_marked_as_too_small_and_shown_without_a_number():
    is_female = np.arange(40) % 2 == 0
    for num_people, too_small in ((9, True), (10, False)):
        reference = SexReference("labels", is_female, np.ones(40, bool), np.arange(40) % num_people)
        row = reference.agreement(np.where(is_female, 1.0, -1.0))
        assert row is not None and row["too_small"] is too_small and row["people"] == num_people
        attributes = {"sex": [{"said_by": "drawing", **row}], "age": [], "craniofacial": None}
        labelled = {"labelled_training_people": {"sex": 40, "age": 0}}
        text = attribute_section(
            {**attributes, **labelled, "pitch_threshold_hz": 165.0, "pitch_threshold_measured": False}
        )
        assert ("too small: fewer than 10 people" in text) is too_small
        assert ("100.0 (" in text) is not too_small


def test_people_without_a_label_are_put_into_same_sex_galleries_by_their_photographs(classifiers):
    dataset, features = people_of(1, labelled=False)
    sexes, notes = sexes_for_galleries(dataset, predictions_of(features), classifiers)
    assert sexes.tolist() == ["female", "male"] * (NUM_PEOPLE // 2)
    assert "labelled for 0 of 60 people and predicted by a classifier on their photographs" in notes[0]
    labelled, _ = people_of(1)
    sexes, notes = sexes_for_galleries(labelled, predictions_of(-features), classifiers)
    assert sexes.tolist() == ["female", "male"] * (NUM_PEOPLE // 2) and notes == []  # labels win


def test_too_few_labels_make_no_classifier_and_the_pitch_decides():
    nobody = fit_classifiers(people_of(0, labelled=False)[0], None, seed=0)
    assert nobody.training.sex is None and nobody.training.age is None and not nobody.pitch_measured
    dataset, features = people_of(1, labelled=False)
    sexes, notes = sexes_for_galleries(dataset, predictions_of(features), nobody)
    assert sexes.tolist() == ["female", "male"] * (NUM_PEOPLE // 2) and "the pitch of their voice" in notes[0]
