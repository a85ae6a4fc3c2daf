"""Videos that tell the time, and servers of them, for the tests of downloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.videos.download.preflight import find_ffmpeg
from tests.clock_video import make_clock_video

CLOCK_SECONDS = 12.0


@pytest.fixture(scope="session")
def clock_videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twelve seconds each, by name; keyframes a second apart where nothing else is said."""
    folder = tmp_path_factory.mktemp("clocks")
    kinds = {
        "fast.mp4": {"container_options": {"movflags": "faststart"}},
        "slow.mp4": {"keyframe_interval": 250},  # index at the end, two keyframes
        "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+delay_moov"}},
        "plain.webm": {"video_codec": "libvpx-vp9", "audio_codec": "libopus"},
        "b-frames.mkv": {},
        "broadcast.ts": {},
        "pictures.mp4": {"audio_codec": None, "keyframe_interval": 50},
        "sound.m4a": {"video_codec": ""},
        "sound.webm": {"video_codec": "", "audio_codec": "libopus"},
    }
    return {name: make_clock_video(folder / name, CLOCK_SECONDS, **options) for name, options in kinds.items()}


@pytest.fixture(scope="session", autouse=True)
def known_ffmpeg() -> None:
    """imageio-ffmpeg asks its ffmpeg for the version once a process, before tests that must start none."""
    find_ffmpeg()
