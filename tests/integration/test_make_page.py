"""The page as a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import ConfigError, ModelError
from gan.voice2face import Voice2Face
from scripts import make_page
from tests.commands import call_script, run_script
from tests.synthetic import TinyWorld


@pytest.fixture(scope="module")
def model(tiny_model: Voice2Face, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model.save_pretrained(folder)
    return folder


def test_reports_become_a_page_whose_path_is_printed(tiny_world: TinyWorld, model: Path, tmp_path: Path) -> None:
    common = ("--model", model, "--dataset", tiny_world.dataset)
    evaluated = call_script(
        "evaluate_retrieval",
        *(*common, "--out", tmp_path / "report", "--gallery-sizes", 5, "--num-draws", 4),
        *("--judge", "personas-judge"),  # dlib is slower
    )
    assert evaluated.returncode == 0, evaluated.stderr
    result = run_script("make_page", *common, "--report", tmp_path / "report", "--out", tmp_path / "page")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "page" / "index.html")
    text = (tmp_path / "page" / "index.html").read_text()
    assert "A voice does not tell who someone is" in text and "R@5" not in text and "R@1" in text


@pytest.mark.parametrize(
    ("arguments", "message", "error"),
    [
        (["--report", "nowhere"], "no report there", ConfigError),
        (["--steps", "nowhere.json"], "no record of steps", ConfigError),
        (["--stages", "stages.json"], "called --steps now", ConfigError),
        (["--num-people", "0"], "between 1 and 64", ConfigError),
        (["--model", "nowhere"], "no model folder", ModelError),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(
    tiny_world: TinyWorld, model: Path, tmp_path: Path, arguments: list[str], message: str, error: type[Exception]
) -> None:
    fixed = ("--model", str(model), "--dataset", str(tiny_world.dataset), "--out", str(tmp_path / "page"))
    with pytest.raises(error, match=message):
        make_page.main([*fixed, *arguments])
    assert not (tmp_path / "page").exists()
