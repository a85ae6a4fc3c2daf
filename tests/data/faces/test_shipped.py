from pathlib import Path

import pytest

from data.errors import ModelError
from data.faces.shipped import shipped_weights


def test_a_model_that_does_not_ship_is_one_line() -> None:
    with pytest.raises(ModelError, match=r"no folder .*weights.personas.nobody") as error:
        shipped_weights("nobody")
    assert len(str(error.value).splitlines()) == 1


def test_what_ships_lies_beside_the_packages() -> None:
    root = Path(__file__).resolve().parents[3]
    if not (root / "weights").is_dir():
        pytest.skip("no weights in this checkout")
    assert shipped_weights("model") == root / "weights" / "personas" / "model"
