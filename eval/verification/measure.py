"""Verification and matching of voices and faces in the joint space, as the field of face-voice association measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import ModelError
from data.store.dataset import ClipDataset
from encoder.error_rates import ErrorRates
from eval.attributes.groups import MIN_GROUP
from eval.intervals import bootstrap_interval
from eval.model_under_test import ModelUnderTest
from eval.predictions import Floats, Pool, Predictions, predict_split
from eval.retrieval.baselines import SHUFFLED, shuffle_voices
from eval.retrieval.metrics import Vectors
from eval.verification.trials import Direction, MatchingTrials, Others, PairTrials, TrialDraws

OTHERS_NAMES = {"all": "all", "same_sex": "same sex", "same_nationality": "same nationality", "list": "as listed"}
DIRECTIONS: tuple[Direction, ...] = ("voice_to_face", "face_to_voice")
_NUM_SHUFFLES = 10
_NUM_RESAMPLES = 500


@dataclass(frozen=True)
class VerificationResult:
    """One line of a report: how well pairs of one person are told from pairs of two.

    Attributes:
        system: The model, or a floor.
        others: People from whom the second person of a pair is drawn; "list" for a published list.
        pairs_same: Number of pairs of one person.
        pairs_different: Number of pairs of two people.
        identities: Number of people in them.
        equal_error_rate: In [0, 1]; chance .5.
        equal_error_rate_ci95: 95 % bootstrap interval over people.
        area_under_curve: In [0, 1]; chance .5.
        area_under_curve_ci95: Likewise.
        extra: More keys for the entry in report.json: `language` and `heard`, or `list`.
    """

    system: str
    others: Others | Literal["list"]
    pairs_same: int
    pairs_different: int
    identities: int
    equal_error_rate: float
    equal_error_rate_ci95: tuple[float, float]
    area_under_curve: float
    area_under_curve_ci95: tuple[float, float]
    extra: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The entry of `results` in report.json."""
        entry = {k: v for k, v in asdict(self).items() if k != "extra"}
        return {"task": "verification", "space": "joint", "metric": "cosine", **entry, "chance": 0.5, **self.extra}


@dataclass(frozen=True)
class MatchingResult:
    """One line of a report: how often the right one of N candidates has the highest score.

    Attributes:
        system: The model, or a floor.
        direction: Which side asks.
        others: People from whom wrong candidates are drawn.
        candidates: N, the right one included.
        trials: Number of questions.
        identities: Number of people asked for.
        accuracy: Share of right answers, ties in random order.
        ci95: 95 % bootstrap interval over people.
        chance: 1 / N.
    """

    system: str
    direction: Direction
    others: Others
    candidates: int
    trials: int
    identities: int
    accuracy: float
    ci95: tuple[float, float]
    chance: float

    def as_json(self) -> dict[str, Any]:
        """The entry of `results` in report.json."""
        return {"task": "matching", "space": "joint", "metric": "cosine", **asdict(self)}


@dataclass(frozen=True)
class Options:
    """Options of a verification.

    Attributes:
        num_pairs: Pairs of one person at most; as many of two people are drawn.
        num_candidates: Each N of matching 1 of N.
        heard_languages: Languages that the model was trained on; None for those of the training split.
        seed: Seed of all draws.
        progress: Called with a short text before each part of the work.
    """

    num_pairs: int = 10_000
    num_candidates: tuple[int, ...] = (2, 4, 6, 8, 10)
    heard_languages: tuple[str, ...] | None = None
    seed: int = 0
    progress: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True)
class VerificationMeasurement:
    """Everything that a verification report shows.

    Attributes:
        verification: Results of the model.
        matching: Results of the model.
        floors: Results of shuffled voices.
        curves: Rates of false and of true acceptances by kind of others.
        notes: What was left out, and why.
    """

    verification: list[VerificationResult]
    matching: list[MatchingResult]
    floors: list[VerificationResult | MatchingResult]
    curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    notes: list[str]

    def headline(self) -> VerificationResult:
        """The result for pairs with anybody else."""
        return next(result for result in self.verification if result.others == "all")


def measure_verification(
    model: ModelUnderTest, dataset: ClipDataset, train: ClipDataset, options: Options
) -> VerificationMeasurement:
    """Evaluate a model on the people of a split who have both a voice and a face.

    Args:
        model: The model.
        dataset: The judged split.
        train: The training split, whose languages count as heard.
        options: Options.

    Raises:
        DatasetError: If fewer than two people have both.
        ModelError: If the model has no joint space.
    """
    options.progress("predictions for the judged split")
    test = predict_split(model, None, dataset, draw=False)
    check_joint_space(model, test.voice_embeddings)
    measured = VerificationMeasurement([], [], [], {}, [])
    for others, groups in _groups(dataset).items():
        draws = TrialDraws(test.pool, groups, options.num_pairs, options.seed)
        pairs, name = draws.pairs(), OTHERS_NAMES[others]
        if pairs is None:
            measured.notes.append(f"No pairs with others of the {name}: too few people have one that is known.")
            continue
        options.progress(f"pairs and matching, other people: {name}")
        _measure_pairs(measured, test, pairs, others, options)
        if others == "all":
            measured.verification.extend(_by_language(dataset, train, test, pairs, options, measured.notes))
        for num in options.num_candidates:
            for direction in DIRECTIONS:
                trials = draws.matching(direction, num)
                if trials is None:
                    measured.notes.append(f"No matching 1 of {num}, {name}: no group has {num} people.")
                    break
                _measure_matching(measured, test, trials, others, options)
    return measured


def check_joint_space(model: ModelUnderTest, embeddings: Floats) -> None:
    """Refuse a model whose voices and faces can't be compared.

    Raises:
        ModelError: If it has no embeddings.
    """
    if not embeddings.shape[1]:
        raise ModelError(f"{model.source}: has no joint space of voices and faces; verification needs one")


def rate_pairs(
    scores: NDArray[np.floating],
    is_same: NDArray[np.bool_],
    people: tuple[NDArray[np.int64], NDArray[np.int64]],
    seed: int = 0,
) -> tuple[tuple[float, tuple[float, float]], tuple[float, tuple[float, float]]]:
    """Equal error rate and area under the curve, each with a 95 % bootstrap interval over people.

    A resample draws people with replacement. A pair of two people counts as often as the product of how often both
    were drawn, so that pairs that share a person stay correlated.

    Args:
        scores: [N] scores of the pairs; higher for pairs that are more likely of one person.
        is_same: [N] whether a pair is of one person.
        people: [N] person of each voice, [N] of each face.
        seed: Seed of the resamples.
    """
    rates = ErrorRates(scores, is_same)
    names, rows = np.unique(np.concatenate(people), return_inverse=True)
    of_voice, of_face = np.split(rows, 2)
    random = np.random.default_rng([seed, 13])
    resampled = np.empty((_NUM_RESAMPLES, 2))
    for i in range(_NUM_RESAMPLES):
        drawn = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
        weights = drawn[of_voice] * np.where(is_same, 1, drawn[of_face])
        resampled[i] = rates.equal_error_rate(weights), rates.area_under_curve(weights)
    usable = resampled[np.isfinite(resampled).all(axis=1)]
    values = (rates.equal_error_rate(), rates.area_under_curve())
    # With two or three people a resample may lack pairs of one kind; the interval is then all there can be.
    low, high = np.percentile(usable, (2.5, 97.5), axis=0) if len(usable) else ((0.0, 0.0), (1.0, 1.0))
    equal, area = ((v, (float(a), float(b))) for v, a, b in zip(values, low, high, strict=True))
    return equal, area


def score_pairs(voices: Floats, faces: Floats) -> NDArray[np.float64]:
    """[N] cosines of [N, E] unit embeddings of voices and [N, E] of faces."""
    return np.einsum("ne,ne->n", voices, faces, dtype=np.float64, casting="unsafe")


def matching_hits(voices: Floats, faces: Floats, trials: MatchingTrials) -> NDArray[np.float64]:
    """[K] probability that the right candidate comes first, ties in random order.

    Args:
        voices: [Q, E] unit embeddings of the pool's voices.
        faces: [M, E] unit embeddings of the pool's faces.
        trials: The questions.
    """
    asking, answering = (voices, faces) if trials.direction == "voice_to_face" else (faces, voices)
    own = asking[trials.queries]
    scores = np.stack([score_pairs(own, answering[column]) for column in trials.candidates.T], axis=1)
    first, best = scores[:, 0], scores.max(axis=1)
    return np.where(first == best, 1 / (scores == best[:, None]).sum(axis=1), 0.0)


def _groups(dataset: ClipDataset) -> dict[Others, NDArray[np.str_] | None]:
    attributes = [dataset.attributes(person) for person in range(len(dataset.identities))]
    return {
        "all": None,
        "same_sex": np.array([a.sex or "" for a in attributes], dtype=np.str_),
        "same_nationality": np.array([a.nationality or "" for a in attributes], dtype=np.str_),
    }


def _measure_pairs(
    measured: VerificationMeasurement, test: Predictions, pairs: PairTrials, others: Others, options: Options
) -> None:
    scores = score_pairs(test.voice_embeddings[pairs.voices], test.face_embeddings[pairs.faces])
    measured.verification.append(_pair_result("model", others, test.pool, pairs, scores, options.seed))
    measured.curves[others] = ErrorRates(scores, pairs.is_same).curve()
    shuffled = [
        score_pairs(voices[pairs.voices], test.face_embeddings[pairs.faces]) for voices in _shuffles(test, options.seed)
    ]
    times = _NUM_SHUFFLES
    many = PairTrials(np.tile(pairs.voices, times), np.tile(pairs.faces, times), np.tile(pairs.is_same, times))
    floor = _pair_result(SHUFFLED, others, test.pool, many, np.concatenate(shuffled), options.seed)
    measured.floors.append(floor)


def _pair_result(
    system: str,
    others: Others,
    pool: Pool,
    pairs: PairTrials,
    scores: NDArray[np.float64],
    seed: int,
    extra: dict[str, Any] | None = None,
) -> VerificationResult:
    people = pool.query_identities[pairs.voices], pool.face_identities[pairs.faces]
    equal, area = rate_pairs(scores, pairs.is_same, people, seed)
    num_same = int(pairs.is_same.sum())
    num_people = len(np.unique(np.concatenate(people)))
    return VerificationResult(
        system, others, num_same, len(scores) - num_same, num_people, *equal, *area, extra=extra or {}
    )


def _measure_matching(
    measured: VerificationMeasurement, test: Predictions, trials: MatchingTrials, others: Others, options: Options
) -> None:
    pool = test.pool
    identities = pool.query_identities if trials.direction == "voice_to_face" else pool.face_identities
    _, rows = np.unique(identities[trials.queries], return_inverse=True)
    num_people = int(rows.max()) + 1
    systems = {
        "model": matching_hits(test.voice_embeddings, test.face_embeddings, trials),
        SHUFFLED: np.mean(
            [matching_hits(voices, test.face_embeddings, trials) for voices in _shuffles(test, options.seed)], axis=0
        ),
    }
    num = trials.candidates.shape[1]
    for system, hits in systems.items():
        interval = bootstrap_interval(hits, rows, num_people)
        result = MatchingResult(
            system, trials.direction, others, num, len(hits), num_people, float(hits.mean()), interval, 1 / num
        )
        (measured.matching if system == "model" else measured.floors).append(result)


def _shuffles(test: Predictions, seed: int) -> list[Floats]:
    """Embeddings of other people's voices for every voice, ten times."""
    nothing = np.zeros(test.voice_embeddings.shape[1])
    vectors = Vectors(test.voice_embeddings, test.face_embeddings, nothing, nothing)
    shuffles = (shuffle_voices(test.pool, vectors, [seed, i]) for i in range(_NUM_SHUFFLES))
    return [shuffle.queries.astype(np.float32, copy=False) for shuffle in shuffles]


def _by_language(
    dataset: ClipDataset,
    train: ClipDataset,
    test: Predictions,
    pairs: PairTrials,
    options: Options,
    notes: list[str],
) -> list[VerificationResult]:
    """Results by language of the voice, each said to be heard in training or not."""
    languages = dataset.texts("language")
    if languages is None:
        return []
    spoken = np.array([languages[clip] or "" for clip in test.clips.tolist()], dtype=np.str_)[pairs.voices]
    heard: Sequence[str | None] = options.heard_languages or train.texts("language") or ()
    people = test.pool.query_identities[pairs.voices]
    results = []
    for language in np.unique(spoken[spoken != ""]).tolist():
        own = spoken == language
        if len(np.unique(people[own])) < MIN_GROUP:
            notes.append(f"No row for voices in {language}: fewer than {MIN_GROUP} people.")
            continue
        chosen = PairTrials(pairs.voices[own], pairs.faces[own], pairs.is_same[own])
        scores = score_pairs(test.voice_embeddings[chosen.voices], test.face_embeddings[chosen.faces])
        extra = {"language": language, "heard": language in heard}
        results.append(_pair_result("model", "all", test.pool, chosen, scores, options.seed, extra))
    return results
