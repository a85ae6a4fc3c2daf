"""Measuring personas by the command that people type."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.personas.build import PersonasConfig, build_personas
from eval.personas.voices import MeasuredVoices, summarize_voices
from tests.commands import assert_one_line, call_script, run_script
from tests.synthetic import TinyWorld, make_tiny_pack

pytest.importorskip("espeakng_loader")
pytest.importorskip("parselmouth")


def test_voices_are_measured_by_praat_and_written_as_json(tmp_path: Path) -> None:
    make_tiny_pack(tmp_path)
    build_personas(
        PersonasConfig(
            tmp_path / "personas",
            num_identities=24,
            num_images=2,
            num_clips=1,
            face_encoder="insightface:tiny",
            insightface_root=str(tmp_path),
            split_fractions=(0.0, 0.0, 1.0),
            num_workers=1,
        )
    )
    arguments = ["--dataset", tmp_path / "personas", "--judge", "none", "--detector", "none"]
    done = run_script("measure_personas", *arguments, "--out", tmp_path / "measured.json")
    assert done.returncode == 0, done.stderr
    assert "equal error rate" in done.stdout and "Hz mean absolute error" in done.stdout
    voices = json.loads((tmp_path / "measured.json").read_text())["voices"]
    assert voices["num_personas"] == 24
    assert voices["pitch_median_absolute_relative_error"] < 0.03
    assert voices["formant_scale_correlation_female"] > 0.6 and voices["formant_scale_correlation_male"] > 0.6


def test_a_data_set_of_other_people_is_one_line_and_exit_2(tiny_world: TinyWorld) -> None:
    assert_one_line(call_script("measure_personas", "--dataset", tiny_world.dataset), "not made of personas")


def test_errors_are_averaged_over_clips_before_they_are_judged() -> None:
    scale = np.exp(np.linspace(-0.1, 0.1, 8))
    voices = MeasuredVoices(
        is_male=np.arange(8) % 2 == 1,
        pitch=np.tile([[98.0, 104.0]], (8, 1)),
        formant_scale=2700 * scale[:, None] * np.array([[1.01, 0.99]]),
        target_pitch=np.full(8, 100.0),
        target_scale=scale,
    )
    summary = summarize_voices(voices)
    assert summary["pitch_mean_absolute_error_hz"] == pytest.approx(3)
    assert summary["pitch_median_absolute_relative_error_one_clip"] == pytest.approx(0.03)
    assert summary["pitch_median_absolute_relative_error"] == pytest.approx(0.01)
    assert summary["pitch_within_3_percent"] == 1
    assert summary["formant_scale_correlation_male"] == pytest.approx(1)
