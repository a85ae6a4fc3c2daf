"""The whole retrieval evaluation of models whose right scores are known, on the tiny data set."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from data.store.dataset import ClipDataset
from encoder.voice_encoder import VoiceEncoder, VoiceEncoding
from eval.model_under_test import ModelUnderTest
from eval.retrieval.baselines import MEAN_FACE, SHUFFLED
from eval.retrieval.measure import Options, RetrievalMeasurement, measure_retrieval
from tests.synthetic import TinyWorld


class OracleEncoder(torch.nn.Module):
    """Recognises every recording and every face of a data set; its embeddings are one-hot identities."""

    def __init__(self, encoder: VoiceEncoder, dataset: ClipDataset, shift: int = 0) -> None:
        """Learn the recordings and faces by heart; `shift` takes each voice for that of a later person."""
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.sampler = None
        self.regresses_face_features = True
        self.condition_size = encoder.config.feature_size
        self.config = SimpleNamespace(
            face_encoder=encoder.config.face_encoder,
            feature_size=encoder.config.feature_size,
            embedding_size=len(dataset.identities),
        )
        voices = np.flatnonzero(dataset.has_voice)
        people = sorted(
            {int(dataset.identity_of[clip]) for clip in voices if dataset.faces_of(dataset.identity_of[clip])}
        )
        self.taken_for = {person: people[(i + shift) % len(people)] for i, person in enumerate(people)}
        self.person_of = {dataset.waveform(clip).tobytes()[:4000]: int(dataset.identity_of[clip]) for clip in voices}
        features, keys = dataset.all_face_features()
        self.face_features = torch.from_numpy(features)
        self.face_people = torch.from_numpy(dataset.identity_of[keys[:, 0]].astype(np.int64))
        self.num_people = len(dataset.identities)

    def encode(self, waveforms: Sequence[NDArray[np.float32]]) -> VoiceEncoding:
        people = torch.tensor([self.taken_for[self.person_of[w.tobytes()[:4000]]] for w in waveforms])
        features = torch.stack([self.face_features[self.face_people == person].mean(0) for person in people])
        return VoiceEncoding(feature=features, embedding=self.one_hot(people))

    def face(self, features: torch.Tensor) -> torch.Tensor:
        return self.one_hot(self.face_people[torch.cdist(features, self.face_features).argmin(1)])

    def one_hot(self, people: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(people, self.num_people).float()


@pytest.fixture(scope="module")
def dataset(tiny_world: TinyWorld) -> ClipDataset:
    return ClipDataset(tiny_world.dataset, "all")


def measure(tiny_encoder: Any, dataset: ClipDataset, shift: int) -> RetrievalMeasurement:
    encoder: Any = OracleEncoder(VoiceEncoder.from_pretrained(tiny_encoder), dataset, shift)
    model = ModelUnderTest(encoder, None, "an oracle", None)
    return measure_retrieval(model, [], dataset, dataset, Options(gallery_sizes=(5,), num_draws=10))


@pytest.fixture(scope="module")
def perfect(tiny_encoder: Any, dataset: ClipDataset) -> RetrievalMeasurement:
    return measure(tiny_encoder, dataset, shift=0)


def test_an_encoder_that_knows_everybody_finds_everybody_in_every_gallery(perfect):
    joint = [result for result in perfect.results if result.space == "joint"]
    assert {(r.gallery_kind, r.gallery) for r in joint} == {("random", 5), ("whole_split", 24), ("same_sex", 12)}
    assert all(r.recall["1"] == 1.0 and r.ci95["1"] == (1.0, 1.0) and r.median_rank == 1.0 for r in joint)
    assert {r.extra["seconds"]: r.recall["1"] for r in perfect.lengths} == {1.0: 1.0, 3.0: 1.0, 6.0: 1.0}
    groups = {(r.extra["group"], r.extra["value"]): r.identities for r in perfect.groups if r.space == "joint"}
    assert groups["sex", "female"] > 0 and groups["sex", "male"] > 0
    assert [r.space for r in perfect.headlines()] == ["joint", "feature"]


def test_the_floors_of_a_perfect_encoder_know_nobody(perfect):
    floors = {f.system: f for f in perfect.floors if f.space == "joint" and f.gallery == 24}
    assert floors[SHUFFLED].recall["1"] == 0.0  # a one-hot prediction for somebody else is always wrong
    assert floors[MEAN_FACE].recall["1"] == pytest.approx(1 / 24, abs=0.02)


def test_an_encoder_that_takes_everybody_for_somebody_else_finds_nobody(tiny_encoder, dataset):
    measured = measure(tiny_encoder, dataset, shift=1)
    whole = next(r for r in measured.results if (r.space, r.metric, r.gallery) == ("joint", "cosine", 24))
    assert whole.recall["1"] == 0.0
