from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.errors import ConfigError
from eval.verification.listed import measure_files
from eval.verification.pair_lists import ListedPair


def test_features_of_another_network_than_the_models_are_refused() -> None:
    model: Any = SimpleNamespace(face_encoder=SimpleNamespace(sha256="a", name="dlib"))
    analyzer: Any = SimpleNamespace(recognizer=SimpleNamespace(info=SimpleNamespace(sha256="b", name="personas")))
    pairs = [ListedPair(1, None, "a.wav", "a.jpg", None)]
    with pytest.raises(ConfigError, match="features of personas, but the model was trained on those of dlib"):
        measure_files(model, Path(), analyzer, "none", Path("pairs.txt"), pairs)
