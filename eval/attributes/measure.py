"""Whose sex is known, whose can be guessed from photographs, and whether model and voice agree about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.faces.protocol import FaceRecognizer
from data.store.dataset import ClipDataset
from eval.attributes.classifiers import (
    MIN_LABELS,
    LinearModel,
    area_under_curve,
    fit_logistic,
    fit_ridge,
    median_pitch,
    pitch_threshold,
)
from eval.intervals import bootstrap_interval
from eval.predictions import Predictions, extract_face_features

_MAX_LABELLED = 1000


@dataclass(frozen=True)
class FaceClassifiers:
    """What can be read off a face feature; each None where too few training people are labelled.

    Attributes:
        sex: Logit of female.
        age: Years.
        num_sex: Labelled training people.
        num_age: Likewise.
        mean_age: Of the training people.
    """

    sex: LinearModel | None
    age: LinearModel | None
    num_sex: int
    num_age: int
    mean_age: float


@dataclass(frozen=True)
class AttributeClassifiers:
    """Face classifiers in E's and in T's feature space, and the pitch that divides the sexes' voices.

    Attributes:
        judge: On E's features; None without a judge.
        training: On T's features.
        pitch: Hz.
        pitch_measured: Whether `pitch` was measured on labelled training voices, not assumed.
    """

    judge: FaceClassifiers | None
    training: FaceClassifiers
    pitch: float
    pitch_measured: bool


def fit_classifiers(train: ClipDataset, judge: FaceRecognizer | None, seed: int) -> AttributeClassifiers:
    """Learn to read sex, age and voices from the labelled people of the training split, one face each."""
    labelled = [
        person
        for person in range(len(train.identities))
        if train.faces_of(person) and (train.attributes(person).sex or train.attributes(person).age is not None)
    ]
    if len(labelled) > _MAX_LABELLED:
        chosen = np.random.default_rng([seed, 5]).choice(len(labelled), _MAX_LABELLED, replace=False)
        labelled = [labelled[i] for i in sorted(chosen.tolist())]
    attributes = [train.attributes(person) for person in labelled]
    female = np.array([a.sex == "female" for a in attributes], dtype=bool)
    sexed = np.array([a.sex is not None for a in attributes], dtype=bool)
    ages = np.array([np.nan if a.age is None else a.age for a in attributes], dtype=np.float64)
    keys = np.array([train.faces_of(person)[0] for person in labelled], dtype=np.int64).reshape(-1, 2)

    def fit(features: NDArray[np.floating]) -> FaceClassifiers:
        aged = np.isfinite(ages)
        enough = min((female & sexed).sum(), (~female & sexed).sum()) >= MIN_LABELS
        return FaceClassifiers(
            sex=fit_logistic(features[sexed], female[sexed]) if enough else None,
            age=fit_ridge(features[aged], ages[aged]) if aged.sum() >= 2 * MIN_LABELS else None,
            num_sex=int(sexed.sum()),
            num_age=int(aged.sum()),
            mean_age=float(ages[aged].mean()) if aged.any() else float("nan"),
        )

    all_features, all_keys = train.all_face_features()
    rows = {(int(clip), int(face)): row for row, (clip, face) in enumerate(all_keys)}
    training = all_features[[rows[(int(clip), int(face))] for clip, face in keys]]
    voiced = [i for i, person in enumerate(labelled) if sexed[i] and train.voices_of(person)]
    pitches = np.array([median_pitch(train.waveform(train.voices_of(labelled[i])[0])) for i in voiced])
    measured = min(female[voiced].sum(), (~female[voiced]).sum()) >= MIN_LABELS // 2 if voiced else False
    return AttributeClassifiers(
        judge=None if judge is None else fit(extract_face_features(judge, train, keys)),
        training=fit(training),
        pitch=pitch_threshold(pitches, female[voiced]),
        pitch_measured=bool(measured),
    )


def labelled_sexes(dataset: ClipDataset) -> NDArray[np.str_]:
    """[identities] "female", "male", or "" where the data set does not say."""
    return np.array([dataset.attributes(person).sex or "" for person in range(len(dataset.identities))], dtype="<U6")


def sexes_for_galleries(
    dataset: ClipDataset, test: Predictions, classifiers: AttributeClassifiers
) -> tuple[NDArray[np.str_], list[str]]:
    """The sex of each person for same-sex galleries, and what a reader must know of it.

    Labels where both sexes have enough of them. Else a classifier on photographs tells the others' sex, and where
    too few training people are labelled for one, the pitch of the voice does.

    Returns:
        [identities] "female", "male" or "", and sentences for the report.
    """
    sexes = labelled_sexes(dataset)
    people = test.pool.paired()
    labelled = int((sexes[people] != "").sum())
    if labelled >= 0.9 * len(people):
        return sexes, []
    reader, features = _best_classifiers(test, classifiers)
    for person in people[sexes[people] == ""]:
        if reader.sex is not None:
            is_female = reader.sex(features[test.pool.face_identities == person]).mean() > 0
        else:
            clips = test.clips[test.pool.query_identities == person]
            pitches = [median_pitch(dataset.waveform(int(clip))) for clip in clips]
            if not np.isfinite(pitches).any():
                continue
            is_female = np.nanmedian(pitches) > classifiers.pitch
        sexes[person] = "female" if is_female else "male"
    teller = "a classifier on their photographs" if reader.sex is not None else "the pitch of their voice"
    return sexes, [
        f"Same-sex galleries: sex is labelled for {labelled} of {len(people)} people; for the others {teller} tells "
        "it, which is right as often as the section on attributes says."
    ]


def measure_attributes(
    dataset: ClipDataset, test: Predictions, train: Predictions, classifiers: AttributeClassifiers
) -> dict[str, Any]:
    """How far the sex and the age of what the model says agree with voices, labels and photographs.

    The model speaks through a drawing, read by a classifier on E's features of photographs, and through the
    regressed feature, read by one on T's. Three references: labels; the pitch of the voice (above or below
    the threshold); the same classifier on the person's true face. All drawings share a look that photographs lack, and
    a classifier of photographs reads it as a sex or an age; so drawings are read a second time with their mean over
    training voices brought to the mean of training photographs.
    """
    labels = labelled_sexes(dataset)[test.pool.query_identities]
    pitches = np.array([median_pitch(dataset.waveform(int(clip))) for clip in test.clips])
    first_face = {int(owner): row for row, owner in reversed(list(enumerate(test.pool.face_identities)))}
    own_face = np.array([first_face[int(owner)] for owner in test.pool.query_identities])
    sources: list[tuple[str, FaceClassifiers, NDArray[np.floating], NDArray[np.floating]]] = []
    if (
        classifiers.judge is not None
        and test.judge_drawing_features is not None
        and test.judge_face_features is not None
    ):
        sources.append(("drawing", classifiers.judge, test.judge_drawing_features, test.judge_face_features))
        if train.judge_drawing_features is not None and train.judge_face_features is not None:
            look = train.judge_drawing_features.mean(0) - train.judge_face_features.mean(0)
            sources.append(
                (
                    "drawing, common look removed",
                    classifiers.judge,
                    test.judge_drawing_features - look,
                    test.judge_face_features,
                )
            )
    sources.append(("regressed feature", classifiers.training, test.voice_features, test.face_features))
    sex_rows: list[dict[str, Any]] = []
    age_rows: list[dict[str, Any]] = []
    told: set[int] = set()  # what a reader says of true faces does not depend on the drawings
    for said_by, reader, said, faces in sources:
        if reader.sex is not None:
            logits, face_logits = reader.sex(said), reader.sex(faces)[own_face]
            references = [
                ("labels", labels != "", labels == "female"),
                ("pitch of the voice", np.isfinite(pitches), pitches > classifiers.pitch),
                ("classifier on the true face", np.ones(len(logits), dtype=bool), face_logits > 0),
            ]
            for name, known, female in references:
                row = _agreement(logits, female, known, test.pool.query_identities)
                if row is not None:
                    sex_rows.append({"said_by": said_by, "compared_with": name, **row})
        if reader.sex is not None and id(reader) not in told:
            row = _agreement(face_logits, labels == "female", labels != "", test.pool.query_identities)
            if row is not None:
                sex_rows.append({"said_by": f"true face, as the {said_by}", "compared_with": "labels", **row})
        if reader.age is not None:
            row = _age_error(dataset, test, reader, said)
            if row is not None:
                age_rows.append({"said_by": said_by, **row})
            row = None if id(reader) in told else _age_error(dataset, test, reader, faces[own_face])
            if row is not None:
                age_rows.append({"said_by": f"true face, as the {said_by}", **row})
        told.add(id(reader))
    pitch_row = _agreement(
        pitches - classifiers.pitch,
        labels == "female",
        (labels != "") & np.isfinite(pitches),
        test.pool.query_identities,
    )
    if pitch_row is not None:
        sex_rows.append({"said_by": "pitch of the voice", "compared_with": "labels", **pitch_row})
    return {
        "sex": sex_rows,
        "age": age_rows,
        "pitch_threshold_hz": classifiers.pitch,
        "pitch_threshold_measured": classifiers.pitch_measured,
        "labelled_training_people": {"sex": classifiers.training.num_sex, "age": classifiers.training.num_age},
    }


def _best_classifiers(
    test: Predictions, classifiers: AttributeClassifiers
) -> tuple[FaceClassifiers, NDArray[np.floating]]:
    if classifiers.judge is not None and test.judge_face_features is not None:
        return classifiers.judge, test.judge_face_features
    return classifiers.training, test.face_features


def _agreement(
    logits: NDArray[np.floating],
    female: NDArray[np.bool_],
    known: NDArray[np.bool_],
    owners: NDArray[np.int64],
) -> dict[str, Any] | None:
    if known.sum() < 5:
        return None
    right = ((logits > 0) == female)[known].astype(np.float64)
    people, rows = np.unique(owners[known], return_inverse=True)
    share = float(female[known].mean())
    return {
        "num": int(known.sum()),
        "people": len(people),
        "agreement": float(right.mean()),
        "ci95": bootstrap_interval(right, rows, len(people)),
        "majority": max(share, 1 - share),
        "area_under_curve": area_under_curve(logits[known], female[known]),
    }


def _age_error(
    dataset: ClipDataset, test: Predictions, reader: FaceClassifiers, features: NDArray[np.floating]
) -> dict[str, Any] | None:
    assert reader.age is not None
    ages = np.array([dataset.attributes(int(owner)).age for owner in test.pool.query_identities], dtype=np.float64)
    known = np.isfinite(ages)
    if known.sum() < 5:
        return None
    errors = np.abs(reader.age(features[known]) - ages[known])
    people, rows = np.unique(test.pool.query_identities[known], return_inverse=True)
    return {
        "num": int(known.sum()),
        "people": len(people),
        "mean_absolute_error": float(errors.mean()),
        "ci95": bootstrap_interval(errors, rows, len(people)),
        "mean_age_for_everybody": float(np.abs(reader.mean_age - ages[known]).mean()),
    }
