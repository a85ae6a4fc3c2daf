from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from data.errors import ConfigError, DatasetError
from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw
from gan import condition
from gan.condition import ConditionedFaces, collate
from gan.config import ConditionConfig, ObjectiveConfig
from tests.synthetic import TINY_FEATURE_SIZE, TinyWorld

OBJECTIVE = ObjectiveConfig(judged_share=0.5, penalised_share=0.25)


def faces_of(world: TinyWorld, **settings: object) -> ConditionedFaces:
    dataset = ClipDataset(world.dataset, "train")
    predicted = {
        int(clip): torch.full((TINY_FEATURE_SIZE,), 100.0 + clip) for clip in np.flatnonzero(dataset.has_voice)
    }
    return ConditionedFaces(
        dataset,
        predicted,
        ConditionConfig(**{"source": "mix", "random_share": 0.0, **settings}),
        OBJECTIVE,
        noise_size=4,
    )


def test_a_sample_is_a_pure_function_of_its_draw(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world, noise=0.5)
    first, again = faces[PersonDraw(faces.identities[0], 7)], faces[PersonDraw(faces.identities[0], 7)]
    other = faces[PersonDraw(faces.identities[0], 8)]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["noise"], other["noise"])


def test_image_and_condition_belong_to_the_drawn_person(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world, source="face")
    dataset = faces.dataset
    for identity in faces.identities:
        sample = faces[PersonDraw(identity, 3)]
        owned = [(clip, face) for clip, face in dataset.faces_of(identity)]
        features = [torch.from_numpy(dataset.face_features(clip)[face]) for clip, face in owned]
        matches = [i for i, feature in enumerate(features) if torch.equal(feature, sample["condition"])]
        assert matches
        pixels = sample["images"].permute(1, 2, 0).numpy()
        assert pixels.dtype == np.uint8 and any((pixels == dataset.face(*owned[i])).all() for i in matches)
        assert sample["pictured"] and not sample["from_voice"]


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
    assert silent in ConditionedFaces(dataset, predicted, ConditionConfig(source="mix"), OBJECTIVE, 4).identities
    speakers = ConditionedFaces(dataset, predicted, ConditionConfig(source="voice", random_share=0.0), OBJECTIVE, 4)
    assert silent not in speakers.identities
    assert all(speakers[PersonDraw(identity, 0)]["from_voice"] for identity in speakers.identities)


def test_a_batch_can_be_moved_and_cut_and_crops_are_mirrored_on_the_device(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world)
    batch = collate([faces[PersonDraw(i, i)] for i in faces.identities[:8]])
    assert batch.images.dtype == torch.uint8 and 0 < batch.flipped.sum() < 8
    moved = batch.to(torch.device("cpu"))
    expected = batch.images.float() / 127.5 - 1
    for row in range(8):
        image = expected[row].flip(2) if batch.flipped[row] else expected[row]
        torch.testing.assert_close(moved.images[row], image)
    assert moved.images.is_contiguous(memory_format=torch.channels_last)
    part = moved[1:3]
    for field in dataclasses.fields(batch):
        assert torch.equal(getattr(part, field.name), getattr(moved, field.name)[1:3])
    assert callable(batch.pin_memory)  # a DataLoader finds it by this name


def test_crops_in_memory_are_those_of_the_data_set(tiny_world: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = faces_of(tiny_world)
    monkeypatch.setattr(condition, "CROPS_IN_MEMORY_BYTES", 0)
    read = faces_of(tiny_world)
    assert kept._crops.in_memory and not read._crops.in_memory
    for identity in kept.identities:
        assert torch.equal(kept[PersonDraw(identity, 5)]["images"], read[PersonDraw(identity, 5)]["images"])


def test_a_share_of_conditions_is_random_and_belongs_to_no_picture(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world, source="face", random_share=0.25)
    samples = [faces[PersonDraw(faces.identities[k % len(faces.identities)], k)] for k in range(400)]
    assert 70 <= sum(not sample["pictured"] for sample in samples) <= 130
    for sample in samples:
        is_true = (sample["condition"] == faces.true_features).all(1).any()
        assert is_true == sample["pictured"]


def test_random_features_spread_as_true_ones_do_and_further_in_their_main_directions(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world)
    centred = (faces.true_features - faces.mean).double()
    _, singular_values, rows = torch.linalg.svd(centred, full_matrices=False)
    variances = singular_values**2 / (len(centred) - 1)
    drawn = torch.stack([faces._random_feature(np.random.default_rng(seed)) for seed in range(4000)]) - faces.mean
    # E[distance^2] is 1 - 2 * .8 / 3 + .64 / 5 times the sum of variances, whatever the power.
    torch.testing.assert_close(drawn.double().square().sum(1).mean(), 0.5947 * variances.sum(), rtol=0.06, atol=0)
    shares = (drawn.double() @ rows.T).square().mean(0)
    shares = shares / shares.sum()
    assert variances[0] / variances.sum() < shares[0] < variances[0] ** 3 / (variances**3).sum()  # powers 1 and 3
    assert drawn.mean(0).norm() < 0.1 * drawn.norm(dim=1).mean()


def test_random_features_of_equal_faces_are_that_face(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    features, owners = dataset.all_face_features()
    dataset.all_face_features = lambda: (np.full_like(features, 0.1), owners)  # type: ignore[method-assign]
    faces = ConditionedFaces(dataset, {}, ConditionConfig(source="face"), OBJECTIVE, 4)
    drawn = faces._random_feature(np.random.default_rng(0))
    torch.testing.assert_close(drawn, torch.full_like(drawn, 0.1))


def test_the_judged_and_the_penalised_follow_from_the_place_in_the_run_alone(tiny_world: TinyWorld) -> None:
    faces = faces_of(tiny_world)
    samples = [faces[PersonDraw(faces.identities[0], 7, position)] for position in range(16)]
    assert sum(bool(sample["judged"]) for sample in samples) == 8
    assert sum(bool(sample["penalised"]) for sample in samples) == 4
    assert all(torch.equal(sample["condition"], samples[0]["condition"]) for sample in samples)


def test_a_data_set_with_nobody_to_draw_is_refused(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "train")
    dataset.faces_of = lambda identity: []  # type: ignore[method-assign]
    with pytest.raises(DatasetError, match="0 people usable"):
        ConditionedFaces(dataset, {}, ConditionConfig(), OBJECTIVE, 4)


def test_shares_outside_zero_to_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"condition\.voice_share 1\.5"):
        ConditionConfig(voice_share=1.5)
    with pytest.raises(ConfigError, match=r"condition\.noise"):
        ConditionConfig(noise=-1)
    with pytest.raises(ConfigError, match=r"condition\.random_share -0\.1"):
        ConditionConfig(random_share=-0.1)
