"""Streams of any encoding, and streams that nobody reads: printing to them never raises."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from tqdm import tqdm

from tests.commands import ROOT
from training import terminal
from training.terminal import output_error, protect_output, protect_stream

NAME = "zoë 山 \udcff.wav"  # the last character stands for a byte that is no UTF-8

WORK = """
import sys
from pathlib import Path
from tqdm import tqdm
from training.command import run_command

def main(argv):
    for i in range(int(argv[1])):
        print("zo\\xeb", i)
    for _ in tqdm(range(3), "zo\\xeb"):
        pass
    Path(argv[0]).touch()
    if len(argv) > 2:
        raise OSError(argv[2])

run_command(main)
"""


def writing_to(descriptor: int, encoding: str = "utf-8", buffered: bool = True) -> TextIO:
    raw = io.FileIO(descriptor, "w", closefd=False)
    buffer = io.BufferedWriter(raw) if buffered else raw
    return protect_stream(io.TextIOWrapper(buffer, encoding, "strict", write_through=not buffered))  # type: ignore[arg-type]


@pytest.fixture
def broken_pipe() -> Iterator[int]:
    """The end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
def test_characters_that_an_encoding_lacks_are_escaped(encoding: str, buffered: bool, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        stream = writing_to(file.fileno(), encoding, buffered)
        print(NAME, file=stream, flush=True)
        assert list(tqdm(range(3), NAME, file=stream)) == [0, 1, 2]
        assert output_error(stream) is None
    first = (tmp_path / "out").read_text(encoding).splitlines()[0]
    assert first == NAME.encode(encoding, "backslashreplace").decode(encoding)


def test_a_reader_that_has_gone_stops_nothing_and_is_no_error(broken_pipe: int) -> None:
    stream = writing_to(broken_pipe)
    for i in range(10_000):
        print(i, file=stream, flush=i % 100 == 0)
    assert output_error(stream) is None


def test_a_full_disk_stops_nothing_and_is_told_afterwards() -> None:
    with Path("/dev/full").open("wb") as full:
        stream = writing_to(full.fileno())
        for i in range(10_000):
            print(i, file=stream, flush=i % 100 == 0)
        error = output_error(stream)
    assert error is not None and error.errno == errno.ENOSPC


def test_a_slow_reader_of_a_non_blocking_stream_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received = []
    # Whenever the writer has to wait, the reader reads.
    monkeypatch.setattr(terminal.select, "select", lambda *_: received.append(os.read(reading, 100_000)))
    stream = writing_to(writing)
    text = "0123456789" * 50_000
    print(text, end="", file=stream, flush=True)
    os.close(writing)
    with os.fdopen(reading, "rb") as rest:
        received.append(rest.read())
    assert len(received) > 2 and b"".join(received).decode() == text


def test_streams_of_others_are_left_alone_and_closed_ones_become_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", own)
    monkeypatch.setattr(sys, "stderr", None)
    protect_output()
    assert sys.stdout is own and protect_stream(own) is own
    print("nobody reads this", file=sys.stderr)
    assert sys.stderr.name == os.devnull
    sys.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1", "PYTHONUNBUFFERED": "1"},
    ],
    ids=["ascii", "c", "c-without-utf8", "unbuffered"],
)
def test_a_command_does_its_work_whatever_its_terminal_is(settings: dict[str, str], tmp_path: Path) -> None:
    def run(redirections: str, *arguments: object) -> tuple[int, str]:
        command = ["bash", "-c", f'set -o pipefail; "$@" {redirections}', "bash", sys.executable, "-c", WORK]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
        done = subprocess.run([*command, *map(str, arguments)], env=environment, capture_output=True)
        return done.returncode, (done.stdout + done.stderr).decode("latin-1")

    done = tmp_path / "done"
    for redirections, code, num_lines in (
        ("", 0, 2),
        ("| head -n 1", 0, 50_000),
        (">&- 2>&-", 0, 9),
        ("> /dev/full", 2, 9),
    ):
        told = run(redirections, done, num_lines)
        assert told[0] == code and "Traceback" not in told[1] and "Exception ignored" not in told[1], (
            told,
            redirections,
        )
        assert done.exists(), redirections
        done.unlink()
    code, told_lines = run("2>&1 >/dev/null", done, 1, "zoë")
    assert code == 2 and told_lines.splitlines()[-1].startswith("error: zo")
