"""A persona's voice, for what needs speech with words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.media.waveform import SAMPLE_RATE
from eval.app.personas import make_voices


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a persona between two short pauses."""
    pytest.importorskip("espeakng_loader")
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    path = tmp_path_factory.mktemp("voice") / "me.wav"
    soundfile.write(path, 0.4 * np.concatenate([pause, make_voices(1)[0].speech, pause]), SAMPLE_RATE)
    return path
