"""What `make demo` would run, and how it goes on; the demo itself is run by CI (`make demo QUICK=1`)."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from data.errors import OutputError, StepError
from encoder.faces.train import FaceTrainingConfig
from encoder.train import EncoderTrainingConfig
from gan.config import GanConfig
from tests.commands import ROOT, run_script
from training.config import parse_config
from training.pipeline import Step

TRAININGS = {
    "train_face_encoder.py": FaceTrainingConfig,
    "train_encoder.py": EncoderTrainingConfig,
    "train_gan.py": GanConfig,
}


@pytest.fixture
def demo() -> dict[str, Any]:
    """What is in scripts/demo.py; changes to it change what its functions do."""
    return runpy.run_path(str(ROOT / "scripts" / "demo.py"))["main"].__globals__


def steps_of(demo: dict[str, Any], size: str, out: Path, num_cores: int = 2, gpu: bool = False) -> list[Step]:
    return demo["plan"](demo[size], out, 0, num_cores, gpu)


@pytest.mark.parametrize("size", ["DEMO", "QUICK"])
def test_every_command_is_there_and_every_recipe_fits_its_training(
    demo: dict[str, Any], size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    scripts = []
    for step in steps_of(demo, size, tmp_path):
        for command in step.commands:
            assert (ROOT / command[0]).is_file(), command[0]
            scripts.append(Path(command[0]).name)
            if scripts[-1] in TRAININGS:
                config = parse_config(TRAININGS[scripts[-1]], list(command[1:]), "")
                assert config.resume and config.batch_size % demo["MAX_PROCESSES"] == 0
    assert scripts == [
        *("make_personas.py", "train_face_encoder.py", "embed_faces.py", "train_encoder.py", "train_gan.py"),
        *("evaluate_retrieval.py", "evaluate_fid.py", "make_page.py"),
    ]


def test_the_promised_times_are_kept_by_the_plan(demo: dict[str, Any], tmp_path: Path) -> None:
    for size, minutes in (("DEMO", 12), ("QUICK", 2)):  # of fifteen, the installation takes two or three
        assert sum(step.seconds for step in steps_of(demo, size, tmp_path)) <= 60 * minutes


def test_what_is_written_names_no_path_of_the_machine(demo: dict[str, Any]) -> None:
    for step in steps_of(demo, "DEMO", ROOT / "runs" / "demo"):
        for command in step.commands:
            assert not any(str(ROOT) in part for part in command)
        assert sys.executable not in step.shown_launcher


def test_a_process_for_each_core_up_to_a_few_and_one_on_a_gpu(demo: dict[str, Any]) -> None:
    launch = demo["launch"]
    assert launch(8, True)[0] == launch(1, False)[0] == [sys.executable]
    for num_cores, num_processes, threads in ((2, 2, "1"), (3, 2, "1"), (16, 4, "4")):
        command, shown, environment = launch(num_cores, False)
        assert command[-1] == str(num_processes) and f"--nproc_per_node {num_processes}" in shown
        assert environment == {"OMP_NUM_THREADS": threads, "ACCELERATE_USE_CPU": "true"}


def test_progress_of_a_training_is_read_from_its_folder(demo: dict[str, Any], tmp_path: Path) -> None:
    assert demo["share_trained"](tmp_path) is None
    (tmp_path / "config.yaml").write_text("total_images: 200")
    assert demo["share_trained"](tmp_path) is None
    lines = [{"images_seen": seen, "speed/images_per_second": speed} for seen, speed in ((10, 5.0), (50, 1234.0))]
    (tmp_path / "stats.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert demo["share_trained"](tmp_path) == 0.25
    assert demo["training_rates"](tmp_path) == ["1,234 images/s"]


def test_it_stops_at_a_failure_goes_on_and_prints_the_pages_path_last(
    demo: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = tmp_path / "mended"
    program = f"import os, sys; os.path.exists({str(flag)!r}) or sys.exit('error: out of paint')"
    demo["plan"] = lambda *_: [Step("paint", "painting", [["-c", program]], 1.0, [sys.executable])]
    arguments = ["--quick", "--out", str(tmp_path / "demo")]
    with pytest.raises(StepError, match=r"painting failed: out of paint \(log: .*paint\.log\)"):
        demo["main"](arguments)
    flag.touch()
    for _ in range(2):
        demo["main"](arguments)
        assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "demo" / "index.html")


def test_the_project_itself_is_no_output_folder(demo: dict[str, Any]) -> None:
    for folder in (ROOT, ROOT.parent):
        with pytest.raises(OutputError, match="a folder of its own"):
            demo["main"](["--out", str(folder)])


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run_script("demo", "--out", tmp_path / "file" / "demo")
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
