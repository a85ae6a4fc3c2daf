from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from data.errors import ConfigError, DatasetError
from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw
from gan.condition import ConditionedFaces, collate
from gan.config import ConditionConfig
from tests.synthetic import TINY_FEATURE_SIZE, TinyWorld


def faces_of(world: TinyWorld, **settings: object) -> ConditionedFaces:
    dataset = ClipDataset(world.dataset, "train")
    predicted = {
        int(clip): torch.full((TINY_FEATURE_SIZE,), 100.0 + clip) for clip in np.flatnonzero(dataset.has_voice)
    }
    return ConditionedFaces(dataset, predicted, ConditionConfig(**{"noise": 0.0, **settings}), noise_size=4)


def test_a_sample_is_a_pure_function_of_its_draw(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world, noise=0.5)
    first, again = faces[PersonDraw(faces.identities[0], 7)], faces[PersonDraw(faces.identities[0], 7)]
    other = faces[PersonDraw(faces.identities[0], 8)]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["noise"], other["noise"])


def test_image_and_true_feature_belong_to_the_drawn_person(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world, source="face")
    dataset = faces.dataset
    for identity in faces.identities:
        sample = faces[PersonDraw(identity, 3)]
        owned = [(clip, face) for clip, face in dataset.faces_of(identity)]
        features = [torch.from_numpy(dataset.face_features(clip)[face]) for clip, face in owned]
        matches = [i for i, feature in enumerate(features) if torch.equal(feature, sample["true_feature"])]
        assert matches
        pixels = ((sample["images"] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        original = dataset.face(*owned[matches[0]])
        assert (pixels == original).all() or (pixels == original[:, ::-1]).all()
        assert torch.equal(sample["condition"], sample["true_feature"]) and not sample["from_voice"]


def test_the_share_of_conditions_from_voices_is_as_configured(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world, voice_share=0.25)
    with_voice = [i for i in faces.identities if faces.dataset.voices_of(i)]
    samples = [faces[PersonDraw(with_voice[k % len(with_voice)], k)] for k in range(400)]
    from_voice = [sample for sample in samples if sample["from_voice"]]
    assert 70 <= len(from_voice) <= 130
    for sample in from_voice:
        assert sample["condition"][0] >= 100  # the prediction, not the true feature
    assert {float(s["condition"][0]) >= 100 for s in samples} == {True, False}


def test_the_other_condition_is_never_the_persons_own(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world, source="face")
    for seed in range(200):
        identity = faces.identities[seed % len(faces.identities)]
        other = faces[PersonDraw(identity, seed)]["other_condition"]
        for clip, face in faces.dataset.faces_of(identity):
            assert not torch.equal(torch.from_numpy(faces.dataset.face_features(clip)[face]), other)


def test_people_without_a_voice_are_left_out_only_where_voices_alone_are_wanted(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    everybody = faces_of(tiny_world).identities
    silent = everybody[0]
    voices_of = dataset.voices_of
    dataset.voices_of = lambda identity: [] if identity == silent else voices_of(identity)  # type: ignore[method-assign]
    predicted = {int(clip): torch.zeros(TINY_FEATURE_SIZE) for clip in np.flatnonzero(dataset.has_voice)}
    assert silent in ConditionedFaces(dataset, predicted, ConditionConfig(source="mix"), 4).identities
    speakers = ConditionedFaces(dataset, predicted, ConditionConfig(source="voice"), 4)
    assert silent not in speakers.identities
    assert all(speakers[PersonDraw(identity, 0)]["from_voice"] for identity in speakers.identities)


def test_a_batch_can_be_cut_and_moved(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world)
    batch = collate([faces[PersonDraw(i, 0)] for i in faces.identities[:4]])
    part = batch.to(torch.device("cpu"))[1:3]
    assert part.images.shape == (2, 3, 64, 64) and part.images.min() >= -1 and part.images.max() <= 1
    for field in dataclasses.fields(batch):
        assert torch.equal(getattr(part, field.name), getattr(batch, field.name)[1:3])


def test_a_data_set_with_nobody_to_draw_is_refused(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    dataset.faces_of = lambda identity: []  # type: ignore[method-assign]
    with pytest.raises(DatasetError, match="0 people usable"):
        ConditionedFaces(dataset, {}, ConditionConfig(), 4)


def test_shares_outside_zero_to_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"condition\.voice_share 1\.5"):
        ConditionConfig(voice_share=1.5)
    with pytest.raises(ConfigError, match=r"condition\.noise"):
        ConditionConfig(noise=-1)
