"""What `make demo` would run, and how it goes on; the demo itself is run by CI (`make demo QUICK=1`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from data.errors import OutputError, StepError
from encoder.faces.train import FaceTrainingConfig
from encoder.train import EncoderTrainingConfig
from eval.demo.plan import FULL, MAX_PROCESSES, QUICK, DemoSize, Machine, launch_training, plan_demo
from eval.demo.progress import share_trained, training_rates
from eval.pages.model.people import SHOWN_VARIETIES
from gan.config import GanConfig
from scripts import demo
from tests.commands import ROOT
from training.config import parse_config
from training.pipeline import Step

TRAININGS = {
    "train_face_encoder.py": FaceTrainingConfig,
    "train_encoder.py": EncoderTrainingConfig,
    "train_gan.py": GanConfig,
}
LAPTOP = Machine(num_cores=2, has_gpu=False, has_bf16=True)


@pytest.mark.parametrize("size", [FULL, QUICK], ids=["full", "quick"])
def test_every_command_is_there_and_every_recipe_fits_its_training(
    size: DemoSize, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    scripts = []
    for step in plan_demo(size, tmp_path, 0, LAPTOP):
        for command in step.commands:
            assert (ROOT / command[0]).is_file(), command[0]
            scripts.append(Path(command[0]).name)
            if scripts[-1] in TRAININGS:
                config = parse_config(TRAININGS[scripts[-1]], list(command[1:]), "")
                assert config.resume and config.batch_size % MAX_PROCESSES == 0
    assert scripts == [
        *("make_personas.py", "train_face_encoder.py", "embed_faces.py", "train_encoder.py", "train_gan.py"),
        *("evaluate_retrieval.py", "evaluate_fid.py", "make_page.py"),
    ]


def test_reports_measure_the_varieties_that_the_page_shows(tmp_path: Path) -> None:
    reports = next(step for step in plan_demo(FULL, tmp_path, 0, LAPTOP) if step.name == "reports")
    for command in reports.commands:
        start = command.index("--varieties") + 1
        assert [float(variety) for variety in command[start : start + 3]] == list(SHOWN_VARIETIES)
        assert command[start + 3].startswith("--")


def test_what_is_written_names_no_path_of_the_machine() -> None:
    for step in plan_demo(FULL, ROOT / "runs" / "demo", 0, LAPTOP):
        for command in step.commands:
            assert not any(str(ROOT) in part for part in command)
        assert sys.executable not in step.shown_launcher


def test_a_process_for_each_core_up_to_a_few_and_one_on_a_gpu() -> None:
    for machine in (Machine(8, True, True), Machine(1, False, False)):
        assert launch_training(machine)[0] == [sys.executable]
    for num_cores, num_processes, threads in ((2, 2, "1"), (3, 2, "1"), (16, 4, "4")):
        command, shown, environment = launch_training(Machine(num_cores, False, True))
        assert command[-1] == str(num_processes) and f"--nproc_per_node {num_processes}" in shown
        assert environment == {"OMP_NUM_THREADS": threads, "ACCELERATE_USE_CPU": "true"}


@pytest.mark.parametrize("num_cores", [1, 2, 3, 6, 64])
def test_the_processes_of_a_step_have_no_more_threads_than_the_machine_has_cores(
    num_cores: int, tmp_path: Path
) -> None:
    for step in plan_demo(FULL, tmp_path, 0, Machine(num_cores, False, True)):
        num_processes = int(step.launcher[-1]) if "--nproc_per_node" in step.launcher else len(step.commands)
        assert num_processes * int(step.environment["OMP_NUM_THREADS"]) <= max(num_cores, num_processes), step.name


def test_without_bf16_instructions_the_generator_weighs_more(tmp_path: Path) -> None:
    usual, slower = (plan_demo(FULL, tmp_path, 0, Machine(2, False, has_bf16)) for has_bf16 in (True, False))
    ratios = {one.name: other.seconds / one.seconds for one, other in zip(usual, slower, strict=True)}
    assert ratios.pop("generator") > 1 and set(ratios.values()) == {1.0}


def test_progress_of_a_training_is_read_from_its_folder(tmp_path: Path) -> None:
    assert share_trained(tmp_path) is None
    (tmp_path / "config.yaml").write_text("total_images: 200")
    assert share_trained(tmp_path) is None
    lines = [{"images_seen": seen, "speed/images_per_second": speed} for seen, speed in ((10, 5.0), (50, 1234.0))]
    (tmp_path / "stats.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert share_trained(tmp_path) == 0.25
    assert training_rates(tmp_path) == ["1,234 images/s"]


def test_it_stops_at_a_failure_goes_on_and_prints_the_pages_path_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "mended"
    program = f"import os, sys; os.path.exists({str(flag)!r}) or sys.exit('error: out of memory')"
    steps = [Step("train", "training", [["-c", program]], 1.0, [sys.executable])]
    monkeypatch.setattr(demo, "plan_demo", lambda *_: steps)
    arguments = ["--quick", "--out", str(tmp_path / "demo")]
    with pytest.raises(StepError, match=r"training failed: out of memory \(log: .*train\.log\)"):
        demo.main(arguments)
    flag.touch()
    for _ in range(2):
        demo.main(arguments)
        assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "demo" / "index.html")


def test_an_output_folder_must_be_writable_and_not_the_project_itself(tmp_path: Path) -> None:
    for folder in (ROOT, ROOT.parent):
        with pytest.raises(OutputError, match="a folder of its own"):
            demo.main(["--out", str(folder)])
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written"):
        demo.main(["--out", str(tmp_path / "file" / "demo")])
