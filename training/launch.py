"""Re-execute under torchrun when accelerate ignores --num_processes on a CPU; share cores out to processes."""

from __future__ import annotations

import os
import sys

import psutil
import torch

from data.errors import ConfigError
from data.workers import count_threads

_STARTED_BY_A_LAUNCHER = ("RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def start_missing_processes() -> None:
    """Make `accelerate launch --num_processes N` without a GPU start N processes.

    Without a GPU (or with `--cpu`) and without MPI, accelerate 1.x starts one process for any N, without a warning. The
    environment shows it: `MASTER_ADDR` is set, but no rank. This process is then replaced by torchrun.

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
        # Without it torchrun gives each process one thread.
        os.environ.setdefault("OMP_NUM_THREADS", str(count_threads(num_processes)))
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
        os.execv(sys.executable, [*torchrun, str(num_processes), *sys.argv])


def share_cores(num_local_processes: int = 1) -> None:
    """Lower torch's number of threads so that equal processes on this machine have no more threads than cores.

    A quota of a container counts, which torch ignores; `OMP_NUM_THREADS` takes precedence over the number of cores.

    Args:
        num_local_processes: Processes of the run on this machine.
    """
    torch.set_num_threads(min(torch.get_num_threads(), count_threads(num_local_processes)))
