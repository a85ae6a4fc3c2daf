from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from data.errors import ModelError
from data.files import sha256_of_file
from gan import perceptual
from gan.perceptual import load_lpips, normalised_map_distance


def test_the_distance_of_maps_is_zero_to_itself_and_blind_to_their_scale() -> None:
    maps = [torch.randn(2, 4, 3, 3)]
    assert normalised_map_distance(maps, [5 * maps[0]]).abs().max() < 1e-6


def test_opposite_maps_are_four_apart() -> None:
    maps = [torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)]
    torch.testing.assert_close(normalised_map_distance(maps, [-m for m in maps]), torch.full((2,), 8.0))


def test_a_missing_lpips_trunk_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"sha256 7be5be79.*torchvision\.models\.alexnet.*perceptual=face_network"):
        load_lpips("alex", tmp_path / "alexnet.pth")


def test_another_file_in_the_trunks_place_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "alexnet.pth"
    file.write_bytes(b"not it")
    with pytest.raises(ModelError, match="does not begin with 7be5be79"):
        load_lpips("alex", file)


def test_lpips_loads_strictly_and_refuses_another_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    file = tmp_path / "trunk.pth"
    trunk = torchvision.models.alexnet(weights=None)
    torch.save(trunk.state_dict(), file)
    name = f"alexnet-{sha256_of_file(file)[:8]}.pth"
    monkeypatch.setitem(perceptual._TRUNKS, "alex", (name, "alexnet"))
    distance = load_lpips("alex", file)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    assert distance(images, images).abs().max() == 0
    assert (distance(images, images.flip(0)) > 0).all()
    # The trunk is the file's, not a random one.
    torch.testing.assert_close(distance.distance.net.state_dict()["slice1.0.weight"], trunk.features[0].weight.detach())
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        distance((images + 1) / 2, images)
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        distance(images, images * 127)
