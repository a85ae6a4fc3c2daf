from __future__ import annotations

from pathlib import Path

from tests.commands import call_script, run_script
from tests.synthetic import TinyWorld


def test_the_command_writes_a_page_and_prints_where(tiny_world: TinyWorld, tmp_path: Path) -> None:
    done = run_script("inspect_dataset", tiny_world.dataset, "--out", tmp_path / "page", "--num-people", 4)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.splitlines()[-1]) == tmp_path / "page" / "index.html"
    assert (tmp_path / "page" / "index.html").read_text().count("<audio") == 4


def test_what_is_no_data_set_and_a_wrong_number_are_one_line_each(tiny_world: TinyWorld, tmp_path: Path) -> None:
    for arguments, words in (
        ([tmp_path / "nowhere"], "no data set here"),
        ([tiny_world.dataset, "--num-people", -1], "--num-people"),
        ([tiny_world.dataset, "--out", tiny_world.dataset / "dataset.json" / "page"], "can't be written"),
    ):
        done = call_script("inspect_dataset", *arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and words in done.stderr
