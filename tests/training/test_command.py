from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from data.errors import MediaError
from tests.commands import ROOT
from training import command
from training.command import CommandParser, run_command


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (MediaError("no-face", "me.jpg:\n no face"), 2, "error: me.jpg: no face\n"),
        (
            OSError(28, "No space left on device", "x.bin"),
            2,
            "error: [Errno 28] No space left on device: 'x.bin'\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: list[str]) -> None:
        raise error

    with pytest.raises(SystemExit) as exit_:
        run_command(main)
    assert exit_.value.code == code
    assert capsys.readouterr().err == says


def test_a_bug_keeps_its_traceback() -> None:
    def main(_: list[str]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)


def test_an_unknown_flag_of_a_plain_parser_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run_command(lambda _: [CommandParser(prog="draw").parse_args(["--x"])][0] and None)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "error: unrecognized arguments: --x (see draw --help)\n"


def test_another_process_waits_for_the_main_one_to_tell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(command.time, "sleep", waits.append)

    def main(_: list[str]) -> None:
        raise OSError("gone")

    with pytest.raises(SystemExit):
        run_command(main)
    assert waits
    assert capsys.readouterr().err == "error: gone (process 1)\n"


WORK = """
import sys
from tqdm import tqdm
from training.command import CommandParser, print_result, run_command

def main(argv):
    parser = CommandParser(has_result=True)
    parser.add_argument("--fail", action="store_true")
    given = parser.parse_args(argv)
    print("chatter")
    for _ in tqdm(range(3), "bar", disable=None):
        pass
    if given.fail:
        raise OSError("gone")
    print_result(given, {"recall": [0.5]}, ["recall 50 %"])

run_command(main)
"""


def run_on_a_terminal(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and what a terminal as stderr shows."""
    reading, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command_line = [sys.executable, "-c", WORK, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command_line, stdout=subprocess.PIPE, stderr=terminal, env=environment, timeout=60)
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(reading, 4096):
            shown += part
    except OSError:  # the end, as Linux tells it
        pass
    os.close(reading)
    return result.returncode, result.stdout.decode(), shown.decode()


@pytest.mark.slow
def test_a_command_talks_and_shows_bars_unless_it_is_told_to_be_quiet() -> None:
    code, output, shown = run_on_a_terminal()
    assert code == 0 and output == "chatter\nrecall 50 %\n" and "bar: 100%" in shown
    assert run_on_a_terminal("--quiet") == (0, "", "")
    code, output, shown = run_on_a_terminal("--quiet", "--fail")
    assert (code, output, shown.strip()) == (2, "", "error: gone")


@pytest.mark.slow
def test_json_prints_the_result_alone_also_when_quiet() -> None:
    for arguments in (["--json"], ["--quiet", "--json"]):
        code, output, shown = run_on_a_terminal(*arguments)
        assert code == 0 and json.loads(output) == {"recall": [0.5]} and shown == ""


@pytest.mark.parametrize("arguments", [["--quiet", "train"], ["train", "--quiet"], ["train"]])
def test_quiet_is_taken_before_and_after_a_subcommand(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(argv: list[str]) -> None:
        parser = CommandParser()
        parser.add_subparsers().add_parser("train")
        parser.parse_args(argv)
        print("chatter")

    monkeypatch.setattr(sys, "argv", ["x", *arguments])
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back afterwards
    with pytest.raises(SystemExit):
        run_command(main)
    assert (capsys.readouterr().out == "") == ("--quiet" in arguments)


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_each_command_is_built_on_what_all_share(path: Path) -> None:
    """So that each has --quiet."""
    text = path.read_text()
    assert "run_command(main)" in text
    assert "CommandParser(" in text or "parse_config(" in text
    assert "argparse.ArgumentParser(" not in text
