"""The README and the pages that it leads to: their commands, their Python, and the files that they name."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from PIL import Image

from data.media.waveform import SAMPLE_RATE
from data.personas.population import draw_population
from data.personas.voices import VoiceSynthesizer
from tests.commands import ROOT
from tests.synthetic import TinyWorld

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "weights").rglob("*.md"),
        ROOT / "tests/README.md",
    )
    if page != ROOT / "docs" / "api.md"
)
NAMING = [
    *PAGES,
    *(ROOT / "configs").rglob("*.yaml"),
    *(
        path
        for folder in ("data", "encoder", "eval", "gan", "training", "scripts")
        for path in (ROOT / folder).rglob("*.py")
    ),
    *(ROOT / name for name in ("Makefile", "setup.cfg", "wav2face.py")),
]
# Made by commands, not part of the project.
GENERATED = {"docs/api.md"}


def blocks(text: str, language: str) -> list[str]:
    """The contents of a page's fenced blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of each command in a page's bash blocks, without comments."""
    lines = "\n".join(blocks(text, "bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def script_calls() -> Iterator[tuple[str, str, list[str]]]:
    """Page, script and arguments of each call of a script in a bash block of any page."""
    for page in PAGES:
        for words in commands(page.read_text(encoding="utf-8")):
            for place, word in enumerate(words):
                if word.startswith("scripts/") and word.endswith(".py"):
                    yield page.name, Path(word).stem, words[place + 1 :]


def paragraph_anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def checkout(tiny_world: TinyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with what the pages' examples name: models, a data set, recordings of a persona."""
    pytest.importorskip("espeakng_loader")
    with VoiceSynthesizer() as synthesizer:
        voice = synthesizer.speak(draw_population(1, seed=0), persona=0, clip=0)
    for name in ("any.wav", "me.wav"):
        soundfile.write(tmp_path / name, voice, SAMPLE_RATE)
    for name in ("weights", "configs", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "real").symlink_to(tiny_world.dataset)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(README.splitlines()) <= 120


def test_every_command_of_the_readme_is_run_here_or_by_ci() -> None:
    run_by_ci = set(re.findall(r"^make [\w-]+", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE))
    for words in commands(README):
        known = (
            " ".join(words[:2]) in run_by_ci
            or words == ["source", ".venv/bin/activate"]  # made by the Makefile; its path is checked below
            or words[:2] == ["python", "scripts/generate.py"]  # run below
        )
        assert known, f"README: no test runs {shlex.join(words)}"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
@pytest.mark.parametrize(
    ("target", "command"),
    [("demo", "scripts/demo.py"), ("demo QUICK=1", "scripts/demo.py --quick"), ("test", "pytest"), ("api", "make_api")],
)
def test_the_make_targets_of_the_readme_start_what_it_says(target: str, command: str) -> None:
    result = subprocess.run(["make", "-n", *target.split()], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert re.search(rf"\.venv/bin/python .*{re.escape(command)}", result.stdout)


def test_the_environment_that_the_readme_activates_is_the_makefiles() -> None:
    assert "VENV := .venv\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_readmes_call_of_generate_draws_faces(checkout: Path) -> None:
    calls = [words[2:] for words in commands(README) if words[:2] == ["python", "scripts/generate.py"]]
    assert calls
    for arguments in calls:
        importlib.import_module("scripts.generate").main(arguments)
        with Image.open(checkout / arguments[arguments.index("--out") + 1]) as picture:
            assert picture.size == (4 * 64, 64)


@pytest.mark.parametrize("page", ["README.md", "docs/data.md", "docs/evaluation.md", "docs/models.md"])
def test_the_python_of_a_page_runs(page: str, checkout: Path) -> None:
    code = blocks((ROOT / page).read_text(encoding="utf-8"), "python")
    assert code
    for block in code:
        exec(compile(block, page, "exec"), {})
    assert page != "README.md" or (checkout / "face.png").is_file()


def test_scripts_that_pages_call_have_the_flags_that_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    help_of: dict[str, str] = {}
    calls = list(script_calls())
    assert len({script for _, script, _ in calls}) >= 12
    for page, script, arguments in calls:
        command = " ".join([script, *arguments[:1]]) if script == "benchmark" else script  # that one has subcommands
        if command not in help_of:
            with pytest.raises(SystemExit):
                importlib.import_module(f"scripts.{script}").main([*command.split()[1:], "--help"])
            help_of[command] = capsys.readouterr().out.replace("-", "_")
        for flag in (word.split("=")[0] for word in arguments if re.match(r"--[a-z]", word)):
            assert re.search(rf"{re.escape(flag.replace('-', '_'))}\b", help_of[command]), (
                f"{page}: {script}.py has no {flag}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not re.match(r"https?://", link):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name}: no {name}"
            assert not anchor or anchor in paragraph_anchors(target), f"{page.name}: no heading {link}"


def test_every_file_of_the_project_that_is_named_exists() -> None:
    folders = "data|encoder|gan|eval|training|configs|scripts|tests|docs|weights"
    path = rf"(?<![\w/.<-])((?:{folders})/[\w./-]*\.(?:py|yaml|md|html|css|jpg|png))\b"
    missing = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in NAMING
        for name in re.findall(path, file.read_text(encoding="utf-8"))
        if name not in GENERATED and not (ROOT / name).exists()
    ]
    assert not missing, "\n".join(missing)


def test_every_module_that_a_page_names_can_be_found() -> None:
    named = r"(?:from |import |`)((?:data|encoder|gan|eval|training)(?:\.(?!yaml|json)[a-zA-Z_]\w*)+)"
    for page in PAGES:
        for name in re.findall(named, page.read_text(encoding="utf-8")):
            module, _, attribute = name.rpartition(".")
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                assert hasattr(importlib.import_module(module), attribute), f"{page.name}: no {name}"
