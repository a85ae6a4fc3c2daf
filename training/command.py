"""What every command does alike: one line for the user's mistake, exit 2, no traceback."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from data.errors import ConfigError, Wav2FaceError, one_line


class CommandParser(argparse.ArgumentParser):
    """An argparse parser whose mistakes are `ConfigError`, so that commands report all errors alike."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{message} (see {self.prog} --help)")


def run_command(main: Callable[[list[str]], None]) -> NoReturn:
    """Run a script's main function on the command line's arguments and exit.

    Exit codes: 0 done; 2 the user's mistake or the machine's (disk full, no permission), told in one line
    on stderr; 130 interrupted. Anything else is a bug of ours and keeps its traceback.

    Args:
        main: Takes the arguments without the program's name.
    """
    try:
        main(sys.argv[1:])
    except (Wav2FaceError, OSError) as error:
        _report("error: " + one_line(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _report("interrupted")
        sys.exit(130)
    sys.exit(0)


def check_device(device: str) -> None:
    """Refuse a device that this machine lacks.

    Raises:
        ConfigError: Says which are there.
    """
    import torch  # here, so that commands without a device start at once

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {device}: not on this machine ({reason})") from None


def _report(line: str) -> None:
    """Print a line once, however many processes meet the same error."""
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        # If the main process failed too, it prints the line and the launcher ends this one before it wakes.
        time.sleep(5)
        line = f"{line} (process {rank})"
    print(line, file=sys.stderr, flush=True)
