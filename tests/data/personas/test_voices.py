"""What personas sound like; the synthesizer itself comes with the extra `personas`."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import ModelError
from data.media.waveform import SAMPLE_RATE
from data.personas.population import Population, draw_population
from data.personas.texts import compose_text
from data.personas.voices import VoiceSynthesizer, format_variant, voice_parameters

ROOT = Path(__file__).resolve().parents[3]


def population_with(traits: list[list[float]], is_male: bool = True) -> Population:
    """People of given voice traits, with the private draws of a real population."""
    drawn = draw_population(len(traits), seed=0)
    return replace(drawn, is_male=np.full(len(traits), is_male), voice_traits=np.array(traits, np.float32))


@pytest.mark.slow
def test_clips_are_the_same_samples_in_any_order_and_process() -> None:
    pytest.importorskip("espeakng_loader")
    population = draw_population(6, seed=2)
    wanted = [(0, 0), (3, 1), (5, 0), (3, 0)]
    with VoiceSynthesizer() as synthesizer:
        clips = {key: synthesizer.speak(population, *key) for key in wanted}
    with VoiceSynthesizer() as synthesizer, VoiceSynthesizer() as other_synthesizer:
        for key in reversed(wanted):
            assert np.array_equal(synthesizer.speak(population, *key), clips[key])
            assert np.array_equal(other_synthesizer.speak(population, *key), clips[key])
    program = (
        "from data.personas.population import draw_population\n"
        "from data.personas.voices import VoiceSynthesizer\n"
        "import sys\n"
        "with VoiceSynthesizer() as synthesizer:\n"
        "    sys.stdout.buffer.write(synthesizer.speak(draw_population(9, 2), 3, 1).tobytes())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment)
    assert other.stdout == clips[3, 1].tobytes()


def test_clips_last_about_three_to_six_seconds_and_no_two_are_alike() -> None:
    pytest.importorskip("espeakng_loader")
    slow_and_fast = population_with([[2.5, 0, 0, 0], [-2.2, 0, 0, 0]])
    with VoiceSynthesizer() as synthesizer:
        clips = [synthesizer.speak(slow_and_fast, persona, clip) for persona in (0, 1) for clip in range(4)]
    for clip in clips:
        assert clip.dtype == np.float32 and np.isfinite(clip).all() and np.abs(clip).max() <= 1
        assert 2.9 * SAMPLE_RATE <= clip.size <= 6 * SAMPLE_RATE
    assert len({clip.tobytes() for clip in clips}) == len(clips)


def test_the_measured_pitch_is_the_target(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    parselmouth = pytest.importorskip("parselmouth")
    population = draw_population(12, seed=5)
    errors = []
    with VoiceSynthesizer() as synthesizer:
        for persona in range(len(population)):
            clip = synthesizer.speak(population, persona, 0).astype(np.float64)
            pitch = parselmouth.Sound(clip, SAMPLE_RATE).to_pitch(0.01, 60, 400).selected_array["frequency"]
            errors.append(np.median(pitch[pitch > 0]) / voice_parameters(population, persona).pitch - 1)
    assert np.median(np.abs(errors)) < 0.03 and abs(np.mean(errors)) < 0.02


def test_each_trait_moves_what_it_should() -> None:
    population = population_with([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    middle, older, larger, stronger, heavier = (voice_parameters(population, persona) for persona in range(5))
    assert older.words_per_minute < middle.words_per_minute - 8
    assert older.flutter > middle.flutter and older.roughness >= middle.roughness and older.breath > middle.breath
    assert larger.formant_scale == pytest.approx(0.955 * np.exp(-0.045)) and larger.pitch == middle.pitch
    assert stronger.pitch == pytest.approx(middle.pitch * np.exp(-0.115))
    assert heavier.darkness == 22 and middle.darkness == 0
    woman = voice_parameters(population_with([[0, 0, 0, 0]], is_male=False), 0)
    assert woman.pitch / middle.pitch == pytest.approx(204 / 116)


def test_a_variant_file_has_a_line_for_everything() -> None:
    lines = format_variant(voice_parameters(draw_population(1, seed=0), 0)).splitlines()
    assert [line.split()[0] for line in lines] == [
        *["language", "name", "pitch", *["formant"] * 9, "tone", "flutter", "roughness", "consonants"]
    ]


def test_texts_are_as_long_as_asked_for() -> None:
    rng = np.random.default_rng(0)
    for num_words in (1, 10, 14, 20, 40):
        words = compose_text(rng, num_words).split()
        assert num_words <= len(words) <= num_words + 24
    assert compose_text(np.random.default_rng(1), 12) != compose_text(np.random.default_rng(2), 12)


def test_the_private_folder_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with VoiceSynthesizer():
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_without_espeak_the_extra_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ModelError, match=r"pip install 'wav2face\[personas\]'"):
        VoiceSynthesizer()
