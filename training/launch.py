"""The processes that a command line promised."""

from __future__ import annotations

import os
import sys

import psutil

from data.errors import ConfigError

_STARTED_BY_A_LAUNCHER = ("RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def start_missing_processes() -> None:
    """Make `accelerate launch --num_processes N` without a GPU start N processes.

    Without a GPU (or with `--cpu`) and without MPI, accelerate 1.x starts one process whatever N is, and says
    nothing. It leaves a trace: an address to meet at, and nobody's rank. Then this process becomes torchrun.

    Raises:
        ConfigError: If that happened and N is not on accelerate's command line.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    if not launched or any(name in os.environ for name in _STARTED_BY_A_LAUNCHER):
        return
    from accelerate.commands.launch import launch_command_parser

    command = psutil.Process(os.getppid()).cmdline()
    arguments = command[command.index("launch") + 1 :] if "launch" in command else []
    num_processes = launch_command_parser().parse_known_args([*arguments, ""])[0].num_processes
    if num_processes is None:
        raise ConfigError(
            "accelerate started one process of several: on CPUs use `accelerate launch --config_file "
            "configs/accelerate/cpu.yaml --num_processes N`, or unset MASTER_ADDR if one is meant"
        )
    if num_processes > 1:
        sys.stdout.flush()
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
        os.execv(sys.executable, [*torchrun, str(num_processes), *sys.argv])
