"""Pipelines of small Python programs."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import ConfigError, OutputError, StepError
from training.pipeline import Step, read_records, run_steps
from training.pipeline_progress import PipelineProgress, format_seconds


def step(name: str, *programs: str, **more: object) -> Step:
    commands = [["-c", program] for program in programs]
    return Step(name, f"the {name}", commands, 2.0, [sys.executable], "python", **more)  # type: ignore[arg-type]


def run(steps: list[Step], folder: Path, settings: str = "") -> str:
    output = io.StringIO()
    run_steps(steps, folder, settings, PipelineProgress(output))
    return output.getvalue()


def note(folder: Path, word: str) -> str:
    """A program that appends a word to a file."""
    return f"open({str(folder / 'words')!r}, 'a').write({word!r} + ' ')"


def words(folder: Path) -> list[str]:
    return (folder / "words").read_text().split() if (folder / "words").exists() else []


@pytest.mark.slow
def test_steps_run_in_order_with_a_log_and_a_line_each(tmp_path: Path) -> None:
    steps = [step("one", note(tmp_path, "1") + ";print('hello')"), step("two", note(tmp_path, "2"))]
    lines = run(steps, tmp_path).splitlines()
    assert words(tmp_path) == ["1", "2"]
    assert "hello" in (tmp_path / "logs" / "one.log").read_text()
    assert len(lines) == 2 and lines[0] == "[  0 %] the one, about 4 s to go"
    assert lines[1].startswith("[ 50 %] the two, about ")


@pytest.mark.slow
def test_records_hold_commands_durations_and_throughputs(tmp_path: Path) -> None:
    run([step("one", "pass", rates=lambda seconds: [f"{seconds > 0}/s"])], tmp_path)
    (record,) = read_records(tmp_path / "steps.json")
    assert (record.name, record.title, record.commands) == ("one", "the one", ("python -c pass",))
    assert record.rates == ("True/s",) and record.seconds > 0
    assert sys.executable not in (tmp_path / "steps.json").read_text()


@pytest.mark.slow
def test_a_failing_step_names_its_error_and_its_log_and_a_rerun_continues_there(tmp_path: Path) -> None:
    flag = tmp_path / "mended"
    failing = f"import os, sys; os.path.exists({str(flag)!r}) or (print('error: no paper'), print('bye'), sys.exit(2))"
    steps = [step("one", note(tmp_path, "1")), step("two", failing), step("three", note(tmp_path, "3"))]
    with pytest.raises(StepError, match=r"the two failed: no paper \(log: .*two\.log\)") as error:
        run(steps, tmp_path)
    assert len(str(error.value).splitlines()) == 1 and words(tmp_path) == ["1"]
    flag.touch()
    assert "the one" not in run(steps, tmp_path)
    assert words(tmp_path) == ["1", "3"]
    records = {record.name: record for record in read_records(tmp_path / "steps.json")}
    assert records["two"].rates == ("after an interruption",) and records["three"].rates == ()
    assert run(steps, tmp_path) == ""


@pytest.mark.slow
def test_commands_of_a_step_run_at_once_and_end_together(tmp_path: Path) -> None:
    wait = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'words')!r}): time.sleep(.01)"
    run([step("both", wait, note(tmp_path, "go"))], tmp_path)
    start = time.monotonic()
    with pytest.raises(StepError, match="ValueError: no"):
        run([step("both", "import time; time.sleep(60)", "raise ValueError('no')")], tmp_path / "other")
    assert time.monotonic() - start < 30


@pytest.mark.slow
def test_another_plan_or_other_settings_do_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    run([step("one", "pass")], tmp_path, "recipe")
    for steps, settings in (([step("one", "pass")], "another"), ([step("one", "print()")], "recipe")):
        with pytest.raises(OutputError, match="made with other settings"):
            run(steps, tmp_path, settings)
    (tmp_path / "steps.json").write_text("{")
    with pytest.raises(ConfigError, match="no record of steps"):
        run([step("one", "pass")], tmp_path)


@pytest.mark.slow
def test_another_launcher_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    run([step("one", "pass")], tmp_path)
    elsewhere = Step("one", "the one", [["-c", "pass"]], 2.0, ["no-such-program"])
    assert run([elsewhere], tmp_path) == ""


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_process_behind(tmp_path: Path) -> None:
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(120)"
    program = (
        "import signal, sys; from pathlib import Path; from training.pipeline import *;"
        "from training.pipeline_progress import PipelineProgress;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143));"
        f"run_steps([Step('one', 'one', [['-c', {child!r}]], 1.0, [sys.executable])],"
        f" Path({str(tmp_path)!r}), '', PipelineProgress())"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text()):
        assert parent.poll() is None
        time.sleep(0.02)
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=60)
    assert parent.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_shows_the_finished_share_and_the_time_left_at_this_machines_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stream = Terminal()
    progress = PipelineProgress(stream)
    progress.start([("rest", 20.0), ("work", 60.0), ("sleep", 20.0)], {"rest": 70.0})
    progress.begin("work")
    # Twice as slow as usual so far: 120 s are expected for this step, 40 s for the next.
    assert progress.line(0.0) == "[ 20 %] work, about 2 min 40 s to go"
    now[0] = 60.0
    progress.tick(0.5)
    assert stream.getvalue().endswith("[ 50 %] work, about 1 min 40 s to go")
    now[0] = 500.0
    progress.tick(None)  # far longer than usual: the share stays below one
    assert "[ 78 %] work" in stream.getvalue()
    progress.finish("work", 120.0)
    progress.close()
    assert "work: 2 min 00 s\n" in stream.getvalue()


def test_times_in_words() -> None:
    assert [format_seconds(s) for s in (0.4, 59.6, 200, 7500)] == ["0 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]


@pytest.mark.slow
def test_the_file_holds_no_more_than_records(tmp_path: Path) -> None:
    run([step("one", "pass")], tmp_path)
    assert set(json.loads((tmp_path / "steps.json").read_text())) == {"settings_sha256", "steps"}
