"""The public API: its names, the examples in their docstrings, and packages of the same names."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import wav2face
from data.personas.footage.vowels import speak
from tests.commands import ROOT
from tests.synthetic import TinyWorld, draw_face

NAMES = [name for name in wav2face.__all__ if name != "__version__"]
PUBLIC = {name: getattr(wav2face, name) for name in NAMES}
# Constants have no docstring of their own; one example of the errors' family shows how all are caught.
WITH_EXAMPLE = [
    name
    for name, value in PUBLIC.items()
    if callable(value)
    and not (isinstance(value, type) and issubclass(value, wav2face.Wav2FaceError) and name != "Wav2FaceError")
]


@pytest.fixture
def examples_folder(tiny_world: TinyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the examples, with the files that they name."""
    for person, name in enumerate(("me", "another")):
        soundfile.write(tmp_path / f"{name}.wav", speak(person, seconds=3), wav2face.SAMPLE_RATE)
    soundfile.write(tmp_path / "silence.wav", np.zeros(wav2face.SAMPLE_RATE), wav2face.SAMPLE_RATE)
    Image.fromarray(draw_face(0, size=128)[:, 16:112]).save(tmp_path / "ada.jpg")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "personas").symlink_to(tiny_world.dataset)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_examples(docstring: str, name: str, names: dict[str, object]) -> int:
    """Run a docstring's examples as `python -m doctest` would; returns how many there were."""
    test = doctest.DocTestParser().get_doctest(docstring, dict(names), name, None, 0)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=report.append)
    assert not result.failed, "".join(report)
    return result.attempted


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_each_public_name_has_an_example_that_runs(name: str, examples_folder: Path) -> None:
    assert run_examples(inspect.getdoc(PUBLIC[name]) or "", name, PUBLIC), f"no example in the docstring of {name}"


def test_the_examples_of_the_page_run_from_an_empty_namespace(examples_folder: Path) -> None:
    assert run_examples(wav2face.__doc__ or "", "wav2face", {}) >= 6
    with Image.open(examples_folder / "me.png") as picture:
        assert "Synthetic" in picture.text["Description"]  # type: ignore[attr-defined]


def test_what_type_checkers_see_is_what_is_imported() -> None:
    tree = ast.parse((ROOT / "wav2face.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in ast.walk(guarded)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == wav2face._MODULE_OF
    assert sorted(wav2face.__all__) == sorted([*seen, "__version__"])
    assert set(wav2face.__all__) <= set(dir(wav2face))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Voice2Fase'"):
        _ = wav2face.Voice2Fase


def test_the_page_of_the_api_shows_every_name_and_its_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pdoc")
    importlib.import_module("scripts.make_api").main(["--out", str(tmp_path / "api.md")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "api.md")
    sections = re.split(r"^## ", (tmp_path / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    page = dict(section.split("\n", 1) for section in sections)
    assert sorted(page) == sorted(NAMES)
    assert all("> ```python\n> >>> " in page[name] for name in WITH_EXAMPLE)
    assert "### Voice2Face.from_pretrained" in page["Voice2Face"] and "[N, 3, S, S]" in page["Voice2Face"]


def run_python(code: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": path or str(ROOT), "PATH": ""}
    return subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.slow
def test_importing_it_loads_no_library(tmp_path: Path) -> None:
    code = "import sys, wav2face; print(wav2face.__version__, {'torch', 'numpy', 'data'} & set(sys.modules))"
    result = run_python(code, tmp_path)  # -S: nothing that is installed can be imported at all
    assert result.stdout.split() == [wav2face.__version__, "set()"], result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["package", "module", "imported before"])
def test_another_package_of_the_same_name_is_told_in_one_line(kind: str, tmp_path: Path) -> None:
    if kind == "module":
        other = tmp_path / "eval.py"
    else:
        (tmp_path / "data").mkdir()
        other = tmp_path / "data" / "__init__.py"
    other.write_text("")
    code = "import data\nimport wav2face" if kind == "imported before" else "import wav2face"
    result = run_python(code, tmp_path, f"{tmp_path}:{ROOT}")
    line = result.stderr.strip().splitlines()[-1]
    name = "eval" if kind == "module" else "data"
    other = other if kind == "module" else other.parent
    assert line.startswith(f"ImportError: wav2face: Python finds another '{name}' ({other})"), result.stderr
    assert str(ROOT / name) in line and "PYTHONPATH" in line


@pytest.mark.slow
def test_a_folder_without_code_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = run_python("import wav2face, data.errors; print(data.errors.__file__)", tmp_path, f"{tmp_path}:{ROOT}")
    assert result.stdout.strip() == str(ROOT / "data" / "errors.py"), result.stderr
