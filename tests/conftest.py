"""Fixtures that many tests share; a test that wants to change files copies them first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.synthetic import TinyWorld, make_tiny_dataset

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    """27 made-up people, prepared at 64 px once a session."""
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def real_recordings() -> Path:
    """The private recordings of real people, where they are."""
    folder = SHARED / "real"
    if not folder.is_dir():
        pytest.skip("../shared/real (private recordings) is not here")
    return folder


@pytest.fixture(scope="session")
def real_insightface_root() -> Path:
    """An insightface root with the pack `small`, where it is."""
    folder = SHARED / "insightface"
    if not (folder / "models" / "small").is_dir():
        pytest.skip("../shared/insightface (pack 'small') is not here")
    return folder
