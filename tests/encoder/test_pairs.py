import numpy as np
import pytest
import torch

from data.store.dataset import ClipDataset
from data.store.sampling import PersonDraw
from encoder.pairs import Pairs, random_crop
from encoder.validation import recall_at_share
from tests.synthetic import TinyWorld


@pytest.fixture(scope="module")
def clips(tiny_world: TinyWorld) -> ClipDataset:
    return ClipDataset(tiny_world.dataset, "train")


def test_a_pair_is_of_one_person_and_follows_from_its_seed(clips: ClipDataset) -> None:
    pairs = Pairs(clips, 8_000)
    for person in pairs.people:
        voice, face, identity = pairs[PersonDraw(person, 7)]
        again = pairs[PersonDraw(person, 7)]
        assert identity == person and voice.shape == (8_000,)
        assert torch.equal(voice, again[0]) and torch.equal(face, again[1])
        own = [clips.face_features(clip)[index] for clip, index in clips.faces_of(person)]
        assert any(np.array_equal(face.numpy(), feature) for feature in own)


def test_other_seeds_give_other_crops(clips: ClipDataset) -> None:
    pairs = Pairs(clips, 8_000)
    person = pairs.people[0]
    assert not torch.equal(pairs[PersonDraw(person, 1)][0], pairs[PersonDraw(person, 2)][0])


def test_outputs_of_a_backbone_are_drawn_instead_of_waveforms(clips: ClipDataset) -> None:
    hidden = torch.arange(len(clips), dtype=torch.float32)[:, None, None].expand(-1, 3, 5)
    pairs = Pairs(clips, 8_000, hidden)
    person = pairs.people[-1]
    voice, _, _ = pairs[PersonDraw(person, 3)]
    assert voice.shape == (5,) and int(voice[0]) in clips.voices_of(person)
    assert pairs.mean_hidden()[-1, 0] == np.mean(clips.voices_of(person))


def test_prototypes_are_mean_features(clips: ClipDataset) -> None:
    pairs = Pairs(clips, 8_000)
    person = pairs.people[0]
    own = np.stack([clips.face_features(clip)[index] for clip, index in clips.faces_of(person)])
    np.testing.assert_allclose(pairs.prototypes()[0].numpy(), own.mean(0), atol=1e-6)


def test_people_without_a_voice_are_not_drawn(clips: ClipDataset) -> None:
    with_both = [i for i in range(len(clips.identities)) if clips.voices_of(i) and clips.faces_of(i)]
    assert Pairs(clips, 8_000).people == with_both


def test_a_short_recording_is_repeated_from_a_random_position() -> None:
    recording = np.arange(3, dtype=np.float32)
    crops = {tuple(random_crop(recording, 6, np.random.default_rng(seed))) for seed in range(20)}
    assert crops == {(0, 1, 2, 0, 1, 2), (1, 2, 0, 1, 2, 0), (2, 0, 1, 2, 0, 1)}


def test_recall_at_a_tenth_of_the_gallery_is_a_tenth_by_chance() -> None:
    assert recall_at_share(torch.eye(40), 0.1) == 1.0
    assert recall_at_share(-torch.eye(40), 0.1) == 0.0
    chance = recall_at_share(torch.rand(2000, 2000, generator=torch.Generator().manual_seed(0)), 0.1)
    assert chance == pytest.approx(0.1, abs=0.02)
