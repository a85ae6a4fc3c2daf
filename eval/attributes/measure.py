"""Sex and age of predictions, compared with labels, with the pitch of the voice and with photographs."""

from __future__ import annotations

from collections.abc import Sequence
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
    fit_pitch_threshold,
    fit_ridge,
    median_pitch,
)
from eval.attributes.groups import MIN_GROUP
from eval.intervals import bootstrap_interval
from eval.predictions import Predictions, extract_face_features

_MAX_LABELLED = 1000


@dataclass(frozen=True)
class FaceClassifiers:
    """Models that read sex and age from face features of one network, fitted to labelled training people.

    Attributes:
        sex: Classifier whose logit is positive for female; None with too few labelled people.
        age: Regression to years; None with too few labelled people.
        num_sex: Number of training people with a sex.
        num_age: Number of training people with an age.
        mean_age: Mean age of the latter, years; NaN without any.
    """

    sex: LinearModel | None
    age: LinearModel | None
    num_sex: int
    num_age: int
    mean_age: float


@dataclass(frozen=True)
class AttributeClassifiers:
    """Classifiers in E's and in T's feature space, and one of voices.

    Attributes:
        judge: Classifiers on E's features; None without a judge.
        training: Classifiers on T's features.
        pitch_threshold: Pitch in Hz above which a voice counts as a woman's.
        pitch_measured: Whether the threshold was fitted to labelled training voices (else it is the default).
    """

    judge: FaceClassifiers | None
    training: FaceClassifiers
    pitch_threshold: float
    pitch_measured: bool


def fit_classifiers(train: ClipDataset, judge: FaceRecognizer | None, seed: int) -> AttributeClassifiers:
    """Fit all classifiers to the labelled people of the training split, one face and one voice of each.

    Args:
        train: The training split.
        judge: E, or None.
        seed: Chooses people where more than 1,000 are labelled.
    """
    labelled = [
        person
        for person in range(len(train.identities))
        if train.faces_of(person) and (train.attributes(person).sex or train.attributes(person).age is not None)
    ]
    if len(labelled) > _MAX_LABELLED:
        chosen = np.random.default_rng([seed, 5]).choice(len(labelled), _MAX_LABELLED, replace=False)
        labelled = [labelled[i] for i in sorted(chosen.tolist())]
    attributes = [train.attributes(person) for person in labelled]
    is_female = np.array([a.sex == "female" for a in attributes], dtype=bool)
    has_sex = np.array([a.sex is not None for a in attributes], dtype=bool)
    ages = np.array([np.nan if a.age is None else a.age for a in attributes], dtype=np.float64)
    keys = np.array([train.faces_of(person)[0] for person in labelled], dtype=np.int64).reshape(-1, 2)

    def fit(features: NDArray[np.floating]) -> FaceClassifiers:
        has_age = np.isfinite(ages)
        enough = min((is_female & has_sex).sum(), (~is_female & has_sex).sum()) >= MIN_LABELS
        return FaceClassifiers(
            sex=fit_logistic(features[has_sex], is_female[has_sex]) if enough else None,
            age=fit_ridge(features[has_age], ages[has_age]) if has_age.sum() >= 2 * MIN_LABELS else None,
            num_sex=int(has_sex.sum()),
            num_age=int(has_age.sum()),
            mean_age=float(ages[has_age].mean()) if has_age.any() else float("nan"),
        )

    all_features, all_keys = train.all_face_features()
    rows = {(int(clip), int(face)): row for row, (clip, face) in enumerate(all_keys)}
    training = all_features[[rows[(int(clip), int(face))] for clip, face in keys]]
    voiced = [i for i, person in enumerate(labelled) if has_sex[i] and train.voices_of(person)]
    pitches = _pitches(train, [train.voices_of(labelled[i])[0] for i in voiced])
    heard = is_female[voiced][np.isfinite(pitches)]
    measured = min(heard.sum(), (~heard).sum()) >= MIN_LABELS // 2
    return AttributeClassifiers(
        judge=None if judge is None else fit(extract_face_features(judge, train, keys)),
        training=fit(training),
        pitch_threshold=fit_pitch_threshold(pitches, is_female[voiced]),
        pitch_measured=bool(measured),
    )


def _pitches(dataset: ClipDataset, clips: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Median pitch of each clip, Hz; NaN in a data set without recordings."""
    if not dataset.has_media:
        return np.full(len(clips), np.nan)
    return np.array([median_pitch(dataset.waveform(int(clip))) for clip in clips], np.float64)


def labelled_sexes(dataset: ClipDataset) -> NDArray[np.str_]:
    """[identities] "female", "male", or "" where the data set has no label."""
    return np.array([dataset.attributes(person).sex or "" for person in range(len(dataset.identities))], dtype="<U6")


def sexes_for_galleries(
    dataset: ClipDataset, test: Predictions, classifiers: AttributeClassifiers
) -> tuple[NDArray[np.str_], list[str]]:
    """The sex of each person for same-sex galleries.

    Labels are used alone where at least nine people in ten have one. Otherwise people without a label are classified
    by their photographs or, where too few training people are labelled for such a classifier, by the pitch of their
    voice.

    Args:
        dataset: The judged split.
        test: Predictions for its voices, and its faces.
        classifiers: As from `fit_classifiers`.

    Returns:
        [identities] "female", "male" or "", and sentences for the report.
    """
    sexes = labelled_sexes(dataset)
    people = test.pool.paired()
    num_labelled = int((sexes[people] != "").sum())
    if num_labelled >= 0.9 * len(people):
        return sexes, []
    of_faces, features = _best_classifiers(test, classifiers)
    for person in people[sexes[people] == ""]:
        if of_faces.sex is not None:
            is_female = of_faces.sex(features[test.pool.face_identities == person]).mean() > 0
        else:
            clips = test.clips[test.pool.query_identities == person]
            pitches = _pitches(dataset, clips)
            if not np.isfinite(pitches).any():
                continue
            is_female = np.nanmedian(pitches) > classifiers.pitch_threshold
        sexes[person] = "female" if is_female else "male"
    method = "a classifier on their photographs" if of_faces.sex is not None else "the pitch of their voice"
    return sexes, [
        f"Same-sex galleries: sex is labelled for {num_labelled} of {len(people)} people and predicted by {method} for "
        "the others; the section on attributes says how often that is right."
    ]


@dataclass(frozen=True)
class Readings:
    """What a second reader, such as `eval.attributes.network.AttributeNetwork`, reads from drawings and faces.

    Attributes:
        reader: Name of the reader.
        drawings: [Q, 2] logit of female, and years, of one drawing of each voice.
        faces: [M, 2] likewise of the faces.
    """

    reader: str
    drawings: NDArray[np.float32]
    faces: NDArray[np.float32]


def measure_attributes(
    dataset: ClipDataset,
    test: Predictions,
    train: Predictions,
    classifiers: AttributeClassifiers,
    readings: Readings | None = None,
) -> dict[str, Any]:
    """How far sex and age of the model's predictions agree with labels, voices and photographs.

    Two predictions are classified: the drawing (classifier on E's features of photographs) and the regressed feature
    (classifier on T's features). They are compared with three references: labels; the pitch of the voice (above or
    below the threshold); the same classifier on the person's true face. All drawings share a look that photographs
    lack, and a classifier of photographs takes it for a sex or an age. Drawings are therefore classified a second
    time, with their mean over training voices moved to the mean of training photographs.

    Args:
        dataset: The judged split.
        test: Predictions for it.
        train: Predictions for training people, for the means.
        classifiers: As from `fit_classifiers`.
        readings: What a second reader reads from the drawings and faces of `test`.

    Returns:
        `attributes` of report.json: `sex` and `age`, a row for each prediction and reference, and how the classifiers
        were made. In a row, `said_by` names the prediction and `compared_with` the reference.
    """
    labels = labelled_sexes(dataset)[test.pool.query_identities]
    pitches = _pitches(dataset, test.clips)
    first_face = {int(identity): row for row, identity in reversed(list(enumerate(test.pool.face_identities)))}
    own_face = np.array([first_face[int(identity)] for identity in test.pool.query_identities])
    sources: list[tuple[str, FaceClassifiers, NDArray[np.floating], NDArray[np.floating]]] = []
    if (
        classifiers.judge is not None
        and test.judge_drawing_features is not None
        and test.judge_face_features is not None
    ):
        drawings, faces = test.judge_drawing_features, test.judge_face_features
        sources.append(("drawing", classifiers.judge, drawings, faces))
        if train.judge_drawing_features is not None and train.judge_face_features is not None:
            look = train.judge_drawing_features.mean(0) - train.judge_face_features.mean(0)
            sources.append(("drawing, common look removed", classifiers.judge, drawings - look, faces))
    if readings is not None:
        reader = FaceClassifiers(_first_column, _second_column, 0, 0, classifiers.training.mean_age)
        sources.append((f"drawing, by {readings.reader}", reader, readings.drawings, readings.faces))
    if test.voice_embeddings.shape[1]:  # else the voice encoder regresses no face feature
        sources.append(("regressed feature", classifiers.training, test.voice_features, test.face_features))
    sex_rows: list[dict[str, Any]] = []
    age_rows: list[dict[str, Any]] = []
    faces_done: set[int] = set()  # ids of classifiers whose rows about true faces exist already
    for name, of_faces, predicted, faces in sources:
        if of_faces.sex is not None:
            logits, face_logits = of_faces.sex(predicted), of_faces.sex(faces)[own_face]
            references = [
                ("labels", labels != "", labels == "female"),
                ("pitch of the voice", np.isfinite(pitches), pitches > classifiers.pitch_threshold),
                ("classifier on the true face", np.ones(len(logits), dtype=bool), face_logits > 0),
            ]
            for reference, known, is_female in references:
                row = _agreement(logits, is_female, known, test.pool.query_identities)
                if row is not None:
                    sex_rows.append({"said_by": name, "compared_with": reference, **row})
        if of_faces.sex is not None and id(of_faces) not in faces_done:
            row = _agreement(face_logits, labels == "female", labels != "", test.pool.query_identities)
            if row is not None:
                sex_rows.append({"said_by": f"true face, as the {name}", "compared_with": "labels", **row})
        if of_faces.age is not None:
            row = _age_error(dataset, test, of_faces, predicted)
            if row is not None:
                age_rows.append({"said_by": name, **row})
            row = None if id(of_faces) in faces_done else _age_error(dataset, test, of_faces, faces[own_face])
            if row is not None:
                age_rows.append({"said_by": f"true face, as the {name}", **row})
        faces_done.add(id(of_faces))
    pitch_row = _agreement(
        pitches - classifiers.pitch_threshold,
        labels == "female",
        (labels != "") & np.isfinite(pitches),
        test.pool.query_identities,
    )
    if pitch_row is not None:
        sex_rows.append({"said_by": "pitch of the voice", "compared_with": "labels", **pitch_row})
    return {
        "sex": sex_rows,
        "age": age_rows,
        "pitch_threshold_hz": classifiers.pitch_threshold,
        "pitch_threshold_measured": classifiers.pitch_measured,
        "labelled_training_people": {"sex": classifiers.training.num_sex, "age": classifiers.training.num_age},
    }


@dataclass(frozen=True)
class SexReference:
    """The sex that predictions for voices are compared with.

    Attributes:
        name: `labels`, or `pitch of the voice` where fewer than half of the voices are labelled.
        is_female: [Q] bool, the sex of each voice.
        known: [Q] bool, whether it is known.
        identities: [Q] speaker of each voice.
    """

    name: str
    is_female: NDArray[np.bool_]
    known: NDArray[np.bool_]
    identities: NDArray[np.int64]

    def agreement(self, logits: NDArray[np.floating]) -> dict[str, Any] | None:
        """How often predictions have the sex of the reference.

        Args:
            logits: [Q] logit of "female" for each voice's prediction.

        Returns:
            Keys `compared_with`, `num`, `people`, `too_small`, `agreement`, `ci95`, `majority` and `area_under_curve`;
            None with fewer than five known voices.
        """
        row = _agreement(logits, self.is_female, self.known, self.identities)
        return None if row is None else {"compared_with": self.name, **row}


def find_sex_reference(dataset: ClipDataset, test: Predictions, classifiers: AttributeClassifiers) -> SexReference:
    """The labels of a split or, where they are few, the pitch of its voices.

    Args:
        dataset: The judged split.
        test: Predictions for it.
        classifiers: As from `fit_classifiers`.
    """
    identities = test.pool.query_identities
    labels = labelled_sexes(dataset)[identities]
    if (labels != "").mean() >= 0.5:
        return SexReference("labels", labels == "female", labels != "", identities)
    pitches = _pitches(dataset, test.clips)
    return SexReference("pitch of the voice", pitches > classifiers.pitch_threshold, np.isfinite(pitches), identities)


def _first_column(readings: NDArray[np.floating]) -> NDArray[np.float64]:
    return readings[:, 0].astype(np.float64)


def _second_column(readings: NDArray[np.floating]) -> NDArray[np.float64]:
    return readings[:, 1].astype(np.float64)


def _best_classifiers(
    test: Predictions, classifiers: AttributeClassifiers
) -> tuple[FaceClassifiers, NDArray[np.floating]]:
    if classifiers.judge is not None and test.judge_face_features is not None:
        return classifiers.judge, test.judge_face_features
    return classifiers.training, test.face_features


def _agreement(
    logits: NDArray[np.floating],
    is_female: NDArray[np.bool_],
    known: NDArray[np.bool_],
    identities: NDArray[np.int64],
) -> dict[str, Any] | None:
    if known.sum() < 5:
        return None
    right = ((logits > 0) == is_female)[known].astype(np.float64)
    people, rows = np.unique(identities[known], return_inverse=True)
    share = float(is_female[known].mean())
    return {
        "num": int(known.sum()),
        "people": len(people),
        "too_small": len(people) < MIN_GROUP,
        "agreement": float(right.mean()),
        "ci95": bootstrap_interval(right, rows, len(people)),
        "majority": max(share, 1 - share),
        "area_under_curve": area_under_curve(logits[known], is_female[known]),
    }


def _age_error(
    dataset: ClipDataset, test: Predictions, classifiers: FaceClassifiers, features: NDArray[np.floating]
) -> dict[str, Any] | None:
    assert classifiers.age is not None
    ages = np.array(
        [dataset.attributes(int(identity)).age for identity in test.pool.query_identities], dtype=np.float64
    )
    known = np.isfinite(ages)
    if known.sum() < 5:
        return None
    errors = np.abs(classifiers.age(features[known]) - ages[known])
    people, rows = np.unique(test.pool.query_identities[known], return_inverse=True)
    return {
        "num": int(known.sum()),
        "people": len(people),
        "too_small": len(people) < MIN_GROUP,
        "mean_absolute_error": float(errors.mean()),
        "ci95": bootstrap_interval(errors, rows, len(people)),
        "mean_age_for_everybody": float(np.abs(classifiers.mean_age - ages[known]).mean()),
    }
