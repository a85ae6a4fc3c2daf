"""Inception's feature space, on made-up weights of the right shape."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from piq.feature_extractors import fid_inception

from data.errors import ModelError
from eval.images import features
from eval.images.features import InceptionFeatures, find_inception, load_inception, resize_like_clean_fid

pytestmark = pytest.mark.filterwarnings("ignore:.*(pretrained|weight)")  # piq calls torchvision as it was


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A file of random weights that piq's own network also takes, with the name that torch.hub would give it."""
    with pytest.MonkeyPatch.context() as patch:
        # piq builds its network and then loads; without anything to load the weights stay random.
        patch.setattr(fid_inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_: None)
        inception = fid_inception.models.inception_v3
        patch.setattr(
            fid_inception.models,
            "inception_v3",
            lambda num_classes, aux_logits, pretrained: inception(
                num_classes=num_classes, aux_logits=aux_logits, init_weights=False
            ),
        )
        torch.manual_seed(0)
        network = fid_inception.InceptionV3.fid_inception_v3()
    # The published file is older than these counters.
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    path = tmp_path_factory.mktemp("hub") / features.INCEPTION_FILE
    torch.save(state, path)
    return path


@pytest.fixture
def known_hash(weights, monkeypatch):
    monkeypatch.setattr(features, "_INCEPTION_DIGEST", hashlib.sha256(weights.read_bytes()).hexdigest()[:8])


def random_pictures(num: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num, 64, 64, 3), dtype=np.uint8)


def test_legacy_features_are_those_of_piqs_own_network_and_clean_fids_differ(weights, known_hash, monkeypatch):
    images = random_pictures(2)
    network = load_inception(weights)
    legacy, clean = (InceptionFeatures(network, resizing)(images) for resizing in ("legacy", "clean-fid"))
    state = torch.load(weights, weights_only=True)
    monkeypatch.setattr(fid_inception, "load_state_dict_from_url", lambda *_, **__: state)
    theirs = fid_inception.InceptionV3().eval()
    with torch.no_grad():
        (expected,) = theirs(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    assert legacy.shape == clean.shape == (2, 2048)
    np.testing.assert_allclose(legacy, expected[:, :, 0, 0], rtol=1e-4, atol=1e-6)
    assert np.abs(clean - legacy).max() > 1e-2 * np.abs(legacy).max()


def test_the_resize_for_fid_is_antialiased_float_and_clean_fids_own():
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize_like_clean_fid(stripes, 60)
    assert small.dtype == np.float32 and np.abs(small[5:-5, 5:-5] - 127.5).max() < 1.0
    enlarged = resize_like_clean_fid(stripes[:8, :8], 299)
    assert (enlarged % 1).any()  # not rounded to grey levels
    assert enlarged.min() < 0 and enlarged.max() > 255  # bicubic overshoots, and clean-fid does not clip


def test_a_missing_inception_file_that_was_asked_for_is_an_error_and_a_wrong_one_too(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        find_inception(str(tmp_path / "inception.pth"))
    (tmp_path / "inception.pth").write_bytes(b"not it")
    with pytest.raises(ModelError, match="sha256 does not begin with 6726825d"):
        load_inception(tmp_path / "inception.pth")


def test_weights_of_another_shape_are_refused(tmp_path, monkeypatch):
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    digest = hashlib.sha256((tmp_path / "other.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(features, "_INCEPTION_DIGEST", digest[:8])
    with pytest.raises(ModelError, match="not the weights of Inception v3"):
        load_inception(tmp_path / "other.pth")


def test_a_missing_file_is_found_in_torch_hubs_folder_alone_and_never_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_inception(None) is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / features.INCEPTION_FILE).touch()
    assert find_inception(None) == tmp_path / "checkpoints" / features.INCEPTION_FILE
