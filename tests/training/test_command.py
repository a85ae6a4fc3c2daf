from __future__ import annotations

import pytest

from data.errors import MediaError
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
