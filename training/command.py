"""What all commands share: errors as one line and exit code 2, and output that can't stop the work."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from data.errors import ConfigError, Wav2FaceError, one_line
from training.terminal import output_error, protect_output


class CommandParser(argparse.ArgumentParser):
    """An argparse parser that raises `ConfigError`, so that commands report all errors in one way."""

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
    if lost := output_error(sys.stdout):
        _report(f"error: the work is done, but its output could not be written ({lost.strerror})")
        sys.exit(2)
    sys.exit(0)


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
