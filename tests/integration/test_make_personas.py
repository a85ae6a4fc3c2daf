"""Data sets of personas by the command that people type: killed, repeated, and asked for the impossible."""

import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from data.errors import ConfigError, ModelError, OutputError
from data.media.waveform import SAMPLE_RATE
from data.personas import build
from data.personas.build import PersonasConfig, build_personas
from data.personas.faces import render_faces
from data.personas.population import TRAIT_COLUMNS, draw_population
from data.personas.traits import read_traits
from data.store.dataset import ClipDataset
from tests.commands import assert_one_line, call_script, kill_once, script, start_script
from tests.synthetic import TinyWorld, make_tiny_pack

pytest.importorskip("espeakng_loader")

NUM_IDENTITIES, NUM_IMAGES, NUM_CLIPS = 20, 3, 2
FRACTIONS = (0.5, 0.25, 0.25)


@pytest.fixture(scope="module")
def pack_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("insightface")
    make_tiny_pack(root)
    return root


def config(pack_root: Path, out: Path, **changes: object) -> PersonasConfig:
    settings: dict = {
        "num_identities": NUM_IDENTITIES,
        "num_images": NUM_IMAGES,
        "num_clips": NUM_CLIPS,
        "face_encoder": "insightface:tiny",
        "insightface_root": str(pack_root),
        "split_fractions": FRACTIONS,
        "num_workers": 1,
    }
    return PersonasConfig(out, **{**settings, **changes})


def options(pack_root: Path, out: Path, num_workers: int = 2) -> list[object]:
    """The same as `config`, as a user gives it."""
    return [
        *("--out", out, "--identities", NUM_IDENTITIES, "--images", NUM_IMAGES, "--clips", NUM_CLIPS),
        *("--face-encoder", "insightface:tiny", "--insightface-root", pack_root),
        *("--split-fractions", *FRACTIONS, "--workers", num_workers),
    ]


@pytest.fixture(scope="module")
def made(pack_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set made in this process."""
    out = tmp_path_factory.mktemp("personas") / "made"
    assert not build_personas(config(pack_root, out)).was_there
    return out


def assert_same_bytes(folder: Path, other: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert [name for name in names if (folder / name).read_bytes() != (other / name).read_bytes()] == []


def test_the_data_set_holds_faces_voices_features_and_the_truth(made: Path) -> None:
    dataset = ClipDataset(made, "all")
    assert len(dataset.identities) == NUM_IDENTITIES and len(dataset) == NUM_IDENTITIES * NUM_CLIPS
    assert dataset.identities[7] == "persona-00007"
    assert [int(dataset.num_faces[clip]) for clip in dataset.voices_of(7)] == [2, 1]
    population = draw_population(NUM_IDENTITIES, seed=0)
    truth = read_traits(dataset)
    assert truth is not None and truth.seed == 0 and np.array_equal(truth.is_male, population.is_male)
    for name in TRAIT_COLUMNS:
        assert np.array_equal(getattr(truth, name), getattr(population, name))
    clip = dataset.clip(dataset.voices_of(7)[1])
    assert clip.attributes.age == pytest.approx(42 + 16 * population.traits[7, 0])
    assert clip.attributes.sex == ("male" if population.is_male[7] else "female")
    assert clip.waveform is not None and 2.9 * SAMPLE_RATE <= clip.waveform.size <= 6 * SAMPLE_RATE
    expected = render_faces(population, np.array([7]), np.array([1]), 64)[0]
    assert np.abs(clip.faces[0].astype(int) - expected).max() <= 1
    assert np.linalg.norm(clip.face_features, axis=1) == pytest.approx(1, abs=1e-5)
    assert dataset.info.extra["population"]["voice_noise"]["adiposity"] == 0.6
    tests = ClipDataset(made, "test")
    own = [dataset.identities.index(name) for name in tests.identities]
    assert 0 < len(own) < NUM_IDENTITIES
    assert np.array_equal(read_traits(tests).voice_traits, population.voice_traits[own])


def test_other_data_sets_know_no_traits(tiny_world: TinyWorld) -> None:
    assert read_traits(ClipDataset(tiny_world.dataset, "all")) is None


def test_two_workers_one_of_them_killed_make_the_same_bytes(pack_root: Path, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start_script("make_personas", *options(pack_root, out))
    workers: list[psutil.Process] = []
    while not workers:
        assert process.poll() is None, "ended without workers"
        time.sleep(0.05)
        children = psutil.Process(process.pid).children()
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    workers[0].kill()
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "a second" in output and str(out) in output
    assert_same_bytes(out, made)


def test_a_killed_run_is_completed_with_the_same_bytes(pack_root: Path, made: Path, tmp_path: Path) -> None:
    out, arguments = tmp_path / "out", options(pack_root, tmp_path / "out", num_workers=1)
    kill_once(tmp_path / ".out.partial" / "train-00000-of-00001.parquet", script("make_personas", *arguments))
    assert not out.exists()
    done = call_script("make_personas", *arguments)
    assert done.returncode == 0, done.stderr
    assert_same_bytes(out, made)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_again_does_nothing_and_another_seed_needs_overwrite(pack_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small = {"num_identities": 2, "num_images": 1, "num_clips": 1, "split_fractions": (1.0, 0.0, 0.0)}
    build_personas(config(pack_root, out, **small))
    assert build_personas(config(pack_root, out, **small)).was_there
    with pytest.raises(OutputError, match=r"made otherwise \(seed\).*--overwrite"):
        build_personas(config(pack_root, out, **small, seed=1))
    assert build_personas(config(pack_root, out, **small, seed=1, overwrite=True)).info.request["seed"] == 1
    assert read_traits(ClipDataset(out, "all")).seed == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_identities": 0}, "--identities 0: use a number from 1 to 1,000,000"),
        ({"num_identities": 1_000_001}, "--identities 1000001"),
        ({"num_images": -3}, "--images -3"),
        ({"num_clips": 100_000}, "--clips 100000"),
        ({"face_size": 100}, "face size 100: use one of 64, 128, 256"),
        ({"seed": -1}, "--seed -1"),
        ({"num_workers": 0}, "--workers 0"),
        ({"split_fractions": (0.5, 0.5, 0.5)}, "split fractions"),
    ],
)
def test_absurd_settings_are_refused_before_the_work(
    pack_root: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        build_personas(config(pack_root, tmp_path / "out", **changes))
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_told_before_the_work(
    pack_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build._cached_synthesizer.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ModelError, match=r"wav2face\[personas\]"):
        build_personas(config(pack_root, tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_a_mistake_on_the_command_line_is_one_line_and_exit_2(pack_root: Path, tmp_path: Path) -> None:
    done = call_script("make_personas", *options(pack_root, tmp_path / "out"), "--clips", 0)
    assert_one_line(done, "--clips 0: use a number from 1 to 1,000")
    assert not list(tmp_path.iterdir())
