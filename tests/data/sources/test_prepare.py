from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.errors import OutputError
from data.media.images import read_image
from data.sources.clips import Recipe
from data.sources.prepare import PrepareConfig, prepare_folder
from data.sources.recipe import load_face_networks
from data.store.dataset import ClipDataset
from tests.networks import make_face_encoder
from tests.synthetic import TINY_ANALYZER, TinyWorld, make_recordings


def test_another_face_encoder_makes_the_features_from_the_photographs(tiny_world: TinyWorld, tmp_path: Path) -> None:
    make_recordings(tmp_path / "people", num_identities=2, faces=2, size=128)
    network = str(make_face_encoder(tmp_path / "network"))
    root = str(tiny_world.pack_root)
    recipe = Recipe(TINY_ANALYZER, network, root, face_size=64, voice_activity="none")
    info = prepare_folder(
        PrepareConfig(out=tmp_path / "out", recipe=recipe, num_workers=1, root=tmp_path / "people")
    ).info
    networks = load_face_networks(recipe)
    assert info.face_encoder == networks.recognizer.info
    assert info.request["face_encoder"] == networks.recognizer.info.name
    dataset = ClipDataset(tmp_path / "out", "all")
    stored = {dataset.clip(i).identity: dataset.clip(i) for i in range(len(dataset)) if i % 2 == 0}
    for identity, clip in stored.items():
        photograph = read_image(sorted((tmp_path / "people" / identity / "faces").iterdir())[0])
        np.testing.assert_allclose(clip.face_features[0], networks.analyze(photograph, 64).feature, atol=1e-5)
    plain = Recipe(TINY_ANALYZER, None, root, face_size=64, voice_activity="none")
    with pytest.raises(OutputError, match="face network"):
        prepare_folder(PrepareConfig(out=tmp_path / "out", recipe=plain, num_workers=1, root=tmp_path / "people"))


def test_without_one_the_record_is_that_of_data_sets_made_before_it_existed(tiny_world: TinyWorld) -> None:
    assert "face_encoder" not in ClipDataset(tiny_world.dataset, "all").info.request
