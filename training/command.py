"""What all commands share: errors as one line and exit code 2, output that can't stop the work, --quiet and --json."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from data.errors import ConfigError, Wav2FaceError, one_line
from training.terminal import output_error, protect_output, result_stream, silence

QUIET = "--quiet"
QUIET_HELP = "print nothing but errors and warnings, and show no progress bars"


class CommandParser(argparse.ArgumentParser):
    """An argparse parser that raises `ConfigError`, so that commands report all errors in one way.

    Each command has `--quiet`.
    """

    def __init__(self, *arguments: Any, has_result: bool = False, **options: Any) -> None:
        """Set up a parser.

        Args:
            arguments: As argparse takes them.
            has_result: Whether the command's result is a number or a list; it then has `--json`, for `print_result`.
            options: As argparse takes them.
        """
        super().__init__(*arguments, **options)
        # Without defaults, which in a subcommand would undo what was given before it.
        self.add_argument(QUIET, action="store_true", default=argparse.SUPPRESS, help=QUIET_HELP)
        if has_result:
            self.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
        self._has_result = has_result

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; from then on the process is silent if `--quiet` or `--json` was given."""
        given, others = super().parse_known_args(args, namespace)
        if getattr(given, "quiet", False) or (self._has_result and given.json):
            silence()
        return given, others

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{message} (see {self.prog} --help)")


def run_command(main: Callable[[list[str]], None]) -> NoReturn:
    """Run a script's main function on the command line's arguments and exit.

    Exit codes: 0 done; 2 a mistake of the user or a fault of the machine (disk full, no permission), reported in one
    line on stderr; 130 interrupted. Any other exception is a bug and keeps its traceback.

    Printing never stops the work: see `training.terminal`. A reader that closes its pipe early (`| head`) changes
    nothing, exit code included; if stdout is lost for another reason (its disk is full), the code is 2.

    Args:
        main: Function of the arguments without the program's name.
    """
    protect_output()
    if "torch" in sys.modules:  # commands that need no torch don't load it
        from training.launch import share_cores

        share_cores()
    try:
        main(sys.argv[1:])
    except (Wav2FaceError, OSError) as error:
        _report("error: " + one_line(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _report("interrupted")
        sys.exit(130)
    if lost := output_error(result_stream()):
        _report(f"error: the work is done, but its output could not be written ({lost.strerror})")
        sys.exit(2)
    sys.exit(0)


def print_result(arguments: argparse.Namespace, result: Any, lines: Iterable[str]) -> None:
    """Print the result of a command whose parser has `has_result`.

    Args:
        arguments: The parsed arguments.
        result: What `--json` prints: dicts, lists, numbers and text.
        lines: What is printed without it.
    """
    if arguments.json:
        print(json.dumps(result, indent=2), file=result_stream())
    else:
        for line in lines:
            print(line)


def check_device(device: str) -> None:
    """Refuse a device that this machine lacks.

    Raises:
        ConfigError: If torch can't compute on it.
    """
    import torch  # here, so that commands without a device start at once

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {device}: not on this machine ({reason})") from None


def _report(line: str) -> None:
    """Print a line once, also if several processes raise the same error."""
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        # If the main process failed too, it prints the line, and the launcher ends this process during the sleep.
        time.sleep(5)
        line = f"{line} (process {rank})"
    print(line, file=sys.stderr, flush=True)
