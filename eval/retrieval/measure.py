"""The retrieval evaluation: everything that docs/protocol.md asks for, measured on one split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from data.errors import DatasetError
from data.faces.protocol import FaceRecognizer
from data.personas.limit import Knowledge
from data.store.dataset import ClipDataset
from eval.attributes.craniofacial import measure_craniofacial
from eval.attributes.groups import SmallGroup, group_columns, split_groups
from eval.attributes.measure import (
    AttributeClassifiers,
    Readings,
    find_sex_reference,
    fit_classifiers,
    labelled_sexes,
    measure_attributes,
    sexes_for_galleries,
)
from eval.attributes.network import AttributeNetwork
from eval.images.kid import MIN_HEADLINE_IMAGES
from eval.images.pictures import choose_pictures
from eval.images.reconstruction import measure_reconstruction
from eval.images.sensitivity import PairSimilarity, measure_sensitivity
from eval.images.similarity import OptionalLpips, find_faces
from eval.model_under_test import ModelUnderTest, load_training_network
from eval.personas.limits import LIMIT_NAMES, limit_scores
from eval.predictions import (
    Predictions,
    clip_noise_keys,
    draw_samples,
    extract_drawing_features,
    extract_face_features,
    predict_split,
)
from eval.retrieval.baselines import (
    MEAN_FACE,
    SHUFFLED,
    TRUE_FEATURE,
    TRUE_FEATURE_BY_T,
    mean_prediction,
    rank_shuffled_voices,
)
from eval.retrieval.bounds import other_photograph, true_feature
from eval.retrieval.breakdowns import measure_groups, measure_lengths
from eval.retrieval.galleries import Gallery, draw_galleries
from eval.retrieval.judges import OtherJudge, measure_other_judge
from eval.retrieval.metrics import (
    METRIC_NAMES,
    PRIMARY_METRICS,
    QueryRanks,
    RetrievalResult,
    Vectors,
    rank_by_scores,
    rank_queries,
)
from eval.retrieval.scorer import Scorer
from eval.retrieval.spaces import spaces_of
from eval.retrieval.variety.measure import VarietyCurve, VarietyMeter, measure_varieties

_TRAIN_PEOPLE = 200


@dataclass(frozen=True)
class Options:
    """Options of a retrieval evaluation.

    Attributes:
        gallery_sizes: Sizes of the galleries of random identities.
        num_draws: Number of galleries of each random kind.
        seed: Seed of galleries, noise and samples.
        varieties: Varieties of the drawings, in rising order.
        insightface_root: Folder that holds `models/<pack>`, where T may be.
        attribute_reader: A second reader of sex and age from drawings; None for E's classifiers alone.
        device: Device that computes the ranks.
        progress: Called with a short text before each part of the work.
    """

    gallery_sizes: tuple[int, ...] = (100, 1000)
    num_draws: int = 100
    seed: int = 0
    varieties: tuple[float, ...] = (0.0,)
    insightface_root: str | None = None
    attribute_reader: AttributeNetwork | None = None
    device: str = "cpu"
    progress: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True)
class RetrievalMeasurement:
    """Everything that a retrieval report shows: its numbers, and what its figures are made from.

    Attributes:
        results: Results of the model.
        floors: Results of systems that ignore the voice.
        bounds: Results of systems that have more information than a voice.
        groups: Results of the model by group of people; `extra` holds `group` and `value`.
        small_groups: Groups of too few people for a result.
        lengths: Results of the model in the joint space by seconds of speech used; `extra` holds `seconds` and
            `long_enough`.
        headline: The gallery of the headlines.
        curves: Ranks by space in the headline gallery.
        limits: Ranks of the best possible rankers in that gallery by their knowledge; empty unless people are personas.
        whole_split: The gallery of all people, for the figures of single queries.
        test: Predictions for the judged split.
        spaces: Vectors by space.
        attributes: Result of `eval.attributes.measure.measure_attributes`; `craniofacial`, as from
            `eval.attributes.craniofacial.measure_craniofacial`, is None for an encoder alone.
        sensitivity: Result of `eval.images.sensitivity.measure_sensitivity`; empty without drawings.
        lpips_missing: Why it has no LPIPS, and how to get its weights; None where they are present.
        reconstruction: As from `eval.images.reconstruction.measure_reconstruction`; None where no feature is drawn.
        faces_found: Share of drawings, and of photographs, in which a detector finds a face; None without drawings.
        varieties: What is measured at each variety; None without drawings.
        f2f_by_training_network: Results of drawings of true features, seen by T; empty where its file is missing.
        other_judges: What other judges than the headline's say.
        notes: What was left out, and why.
    """

    results: list[RetrievalResult]
    floors: list[RetrievalResult]
    bounds: list[RetrievalResult]
    groups: list[RetrievalResult]
    small_groups: list[SmallGroup]
    lengths: list[RetrievalResult]
    headline: Gallery
    curves: dict[str, QueryRanks]
    limits: dict[Knowledge, QueryRanks]
    whole_split: Gallery
    test: Predictions
    spaces: dict[str, Vectors]
    attributes: dict[str, Any]
    sensitivity: list[PairSimilarity]
    lpips_missing: str | None
    reconstruction: dict[str, Any] | None
    faces_found: dict[str, Any] | None
    varieties: VarietyCurve | None
    f2f_by_training_network: list[RetrievalResult]
    other_judges: list[OtherJudge]
    notes: list[str]

    def headlines(self) -> list[RetrievalResult]:
        """The headline result of each space: the headline gallery and the metric of `PRIMARY_METRICS`."""
        gallery = (self.headline.kind, self.headline.size)
        return [
            result
            for result in self.results
            if result.metric == PRIMARY_METRICS[result.space] and (result.gallery_kind, result.gallery) == gallery
        ]


def measure_retrieval(
    model: ModelUnderTest, judges: Sequence[FaceRecognizer], dataset: ClipDataset, train: ClipDataset, options: Options
) -> RetrievalMeasurement:
    """Evaluate a model on a split.

    Args:
        model: The model.
        judges: E, not T, and other judges of the same drawings; without any everything about drawings is left out.
        dataset: The judged split.
        train: The training split, which means and classifiers are taken from.
        options: Options.

    Raises:
        DatasetError: If a split holds too few people who have both a voice and a face.
    """
    seed = options.seed
    judge = judges[0] if judges else None
    notes: list[str] = []
    options.progress("predictions for the judged split")
    test = predict_split(model, judge, dataset, seed=seed)
    options.progress("predictions for training people, for the means")
    train_predictions = predict_split(model, judge, train, seed=seed, max_identities=_TRAIN_PEOPLE)
    options.progress("classifiers of sex and age, fitted to labelled training people")
    classifiers = fit_classifiers(train, judge, seed)
    galleries, sex_note = _galleries(dataset, test, classifiers, options)
    notes += sex_note
    spaces = spaces_of(test, train_predictions)
    judged_by = {"joint": model.face_encoder.name, "feature": model.face_encoder.name}
    if judge is not None:
        judged_by["image"] = judge.info.name
    if "image" not in spaces:
        notes.append(
            "No image space: the model is an encoder alone."
            if model.voice2face is None
            else "No image space: no judge."
        )

    if not dataset.has_media:
        notes.append("Features were imported: no results by length, by pitch, or with pictures.")
    options.progress("ranks")
    scorer = Scorer(options.device)
    results, floors, curves = [], [], {}
    headline = galleries[0]
    for space, vectors in tqdm(spaces.items(), desc="ranks", unit="space", disable=None, delay=2, leave=False):
        for gallery in galleries:
            for metric in METRIC_NAMES:
                extra = {"variety": 0.0, "drawings": 1} if space == "image" else None
                results += scorer.score(test.pool, gallery, vectors, "model", space, metric, judged_by[space], extra)
        primary = PRIMARY_METRICS[space]
        curves[space] = rank_queries(test.pool, headline, vectors, primary, options.device)
        for gallery in galleries:
            shuffled = rank_shuffled_voices(test.pool, gallery, vectors, primary, seed=seed, device=options.device)
            floors += scorer.summarize(shuffled, gallery, SHUFFLED, space, primary, judged_by[space])
            # Centred, the mean prediction is chance by definition; uncentred, it shows the advantage of average faces.
            floors += scorer.score(
                test.pool, gallery, mean_prediction(vectors), MEAN_FACE, space, "cosine", judged_by[space]
            )
    bounds = _bounds(model, judge, test, train_predictions, scorer, options, notes)
    for gallery in galleries:
        for knows, ranks in _limits(dataset, test, gallery).items():
            bounds += scorer.summarize(ranks, gallery, LIMIT_NAMES[knows], "latent", "likelihood", "the truth")
    sensitivity: list[PairSimilarity] = []
    found, varieties, by_training_network, others = None, None, [], []
    if judge is not None and model.voice2face is not None:
        by_training_network = _seen_by_training_network(model, test, train_predictions, scorer, options, notes)
        options.progress("comparisons of drawings")
        sensitivity = measure_sensitivity(model, judge, dataset, test, train_predictions, seed)
        found = _faces_found(model, dataset, test, seed)
        # Fewer faces have no distribution.
        sets = choose_pictures(dataset, MIN_HEADLINE_IMAGES, seed) if len(test.faces) >= 4 else None
        read_sex = None if classifiers.judge is None else classifiers.judge.sex
        meter = VarietyMeter(
            model=model,
            judge=judge,
            dataset=dataset,
            test=test,
            train=train_predictions,
            train_dataset=train,
            gallery=headline,
            seed=seed,
            sex=None if read_sex is None else (read_sex, find_sex_reference(dataset, test, classifiers)),
            sets=sets,
            device=options.device,
        )
        varieties = measure_varieties(meter, options.varieties, options.progress)
        others = [
            measure_other_judge(
                model,
                other,
                dataset,
                train,
                test,
                train_predictions,
                options.varieties,
                scorer,
                options.gallery_sizes,
                options.num_draws,
                seed,
                options.progress,
            )
            for other in judges[1:]
        ]
    return RetrievalMeasurement(
        results=results,
        floors=floors,
        bounds=bounds,
        groups=measure_groups(dataset, headline, curves, judged_by),
        small_groups=split_groups(group_columns(dataset), test.pool.paired())[1],
        lengths=measure_lengths(model, dataset, test, train_predictions, headline, judged_by["joint"], options.device),
        headline=headline,
        curves=curves,
        limits=_limits(dataset, test, headline),
        whole_split=next(g for g in galleries if g.kind == "whole_split"),
        test=test,
        spaces=spaces,
        attributes={
            **measure_attributes(
                dataset, test, train_predictions, classifiers, _read_attributes(model, dataset, test, options)
            ),
            "craniofacial": _craniofacial(model, dataset, test, options),
        },
        sensitivity=sensitivity,
        lpips_missing=OptionalLpips().missing if sensitivity else None,
        reconstruction=measure_reconstruction(model, dataset, test, seed) if model.draws_face_features else None,
        faces_found=found,
        varieties=varieties,
        f2f_by_training_network=by_training_network,
        other_judges=others,
        notes=notes,
    )


def _read_attributes(
    model: ModelUnderTest, dataset: ClipDataset, test: Predictions, options: Options
) -> Readings | None:
    """What the second reader reads; None without one, or without drawings."""
    reader = options.attribute_reader
    if reader is None or model.voice2face is None:
        return None
    options.progress(f"sex and age by {reader.info.name}")
    keys = clip_noise_keys(dataset, test.clips, options.seed)
    return Readings(
        reader.info.name,
        extract_drawing_features(model, reader, test.voice_features, keys, 0.0),
        extract_face_features(reader, dataset, test.faces),
    )


def _craniofacial(
    model: ModelUnderTest, dataset: ClipDataset, test: Predictions, options: Options
) -> dict[str, Any] | None:
    """Craniofacial ratios of drawings; None for a model that does not draw."""
    if model.voice2face is None:
        return None
    options.progress("craniofacial ratios")
    return measure_craniofacial(model, dataset, test, labelled_sexes(dataset), options.seed)


def _galleries(
    dataset: ClipDataset, test: Predictions, classifiers: AttributeClassifiers, options: Options
) -> tuple[list[Gallery], list[str]]:
    people = test.pool.paired()
    sexes, note = sexes_for_galleries(dataset, test, classifiers)
    galleries = draw_galleries(
        test.pool, sizes=options.gallery_sizes, num_draws=options.num_draws, seed=options.seed, sexes=sexes
    )
    if not galleries:
        raise DatasetError(f"{dataset.root}: too few people for a gallery")
    for size in options.gallery_sizes:
        if size > len(people):
            note.append(f"No gallery of {size}: only {len(people)} people of this split have both a voice and a face.")
    return galleries, note


def _bounds(
    model: ModelUnderTest,
    judge: FaceRecognizer | None,
    test: Predictions,
    train: Predictions,
    scorer: Scorer,
    options: Options,
    notes: list[str],
) -> list[RetrievalResult]:
    sizes, num_draws, seed = options.gallery_sizes, options.num_draws, options.seed
    networks = [(model.face_encoder.name, (test.face_features, train.face_features))]
    if judge is not None and test.judge_face_features is not None and train.judge_face_features is not None:
        networks.append((judge.info.name, (test.judge_face_features, train.judge_face_features)))
    bounds: list[RetrievalResult] = []
    for name, faces in networks:
        bounds += other_photograph(test.pool, name, faces, scorer, sizes, num_draws, seed)
    if not bounds:
        notes.append("No bound by another real image: nobody in this split has two faces.")
    if judge is not None and model.voice2face is not None:
        options.progress("drawings from true features")
        bounds += true_feature(model, judge, test, train, networks[1][1], TRUE_FEATURE, scorer, sizes, num_draws, seed)
    return bounds


def _seen_by_training_network(
    model: ModelUnderTest,
    test: Predictions,
    train: Predictions,
    scorer: Scorer,
    options: Options,
    notes: list[str],
) -> list[RetrievalResult]:
    """F2F by T itself, which says how well the generator does what it was trained for."""
    network = load_training_network(model.face_encoder, options.insightface_root)
    if network is None:
        notes.append(
            f"No F2F seen by T: the file of {model.face_encoder.name} is not on this machine "
            "(--insightface-root names the folder of insightface packs)."
        )
        return []
    options.progress("drawings from true features, seen by T")
    faces = (test.face_features, train.face_features)
    sizes, num_draws = options.gallery_sizes, options.num_draws
    return true_feature(model, network, test, train, faces, TRUE_FEATURE_BY_T, scorer, sizes, num_draws, options.seed)


def _limits(dataset: ClipDataset, test: Predictions, gallery: Gallery) -> dict[Knowledge, QueryRanks]:
    """Ranks of the best possible rankers; empty where true traits are not known."""
    scores = {knows: limit_scores(dataset, knows) for knows in LIMIT_NAMES}
    return {knows: rank_by_scores(test.pool, gallery, known) for knows, known in scores.items() if known is not None}


def _faces_found(model: ModelUnderTest, dataset: ClipDataset, test: Predictions, seed: int) -> dict[str, Any]:
    """Detection in at most 200 drawings, one a voice, and in at most 200 photographs of the same people."""
    rows = np.arange(len(test.clips))[:: -(-len(test.clips) // 200)]
    drawings = draw_samples(model, test.voice_features[rows], clip_noise_keys(dataset, test.clips[rows], seed), 0.0)
    faces = test.faces[:: -(-len(test.faces) // 200)]
    photographs = np.stack([dataset.face(int(clip), int(face)) for clip, face in faces])
    return {
        "detector": "dlib HOG, pictures enlarged to 256 px",
        "drawings": float(find_faces(drawings).mean()),
        "num_drawings": len(drawings),
        "photographs": float(find_faces(photographs).mean()),
        "num_photographs": len(photographs),
    }
