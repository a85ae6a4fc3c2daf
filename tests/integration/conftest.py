"""Videos of personas and a server of them on loopback, for the tests of preparations of lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data.personas.footage.server import VideoServer
from data.personas.footage.videos import make_talking_video


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By what is to be seen: good ones, and those that have to be refused."""
    folder = tmp_path_factory.mktemp("videos")

    def make(name: str, **options: object) -> Path:
        return make_talking_video(folder / f"{name}.mp4", seconds=2.5, keyframe_interval=12, **options)  # type: ignore[arg-type]

    return {
        **{f"persona-{i}": make(f"persona-{i}", persona=i) for i in range(4)},
        "no-audio": make("no-audio", sound="none"),
        "silent": make("silent", sound="silence"),
        "no-speech": make("no-speech", sound="noise"),
        "still-face": make("still-face", still=True),
        "dark-face": make("dark-face", brightness=0.2),
    }


@pytest.fixture
def server(videos: dict[str, Path]) -> Iterator[VideoServer]:
    with VideoServer({}) as running:
        yield running
