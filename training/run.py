"""One training run: processes, device, precision, folder, and random seeds derived from images seen."""

from __future__ import annotations

import atexit
import gc
import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

# Before there is a process group: its functions keep that of the moment of their import as a default, for ever, and
# DistributedDataParallel imports it.
import torch.distributed.nn.functional
import yaml
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list, gather_object
from torch import nn
from tqdm import tqdm

from data import errors
from data.errors import ConfigError, OutputError, Wav2FaceError
from training.config import config_to_dict, write_config
from training.launch import share_cores, start_missing_processes
from training.precision import Precision, has_fast_bf16, requested_precision
from training.trackers import TrackerConfig, Trackers


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings that all trainings share; each training's config inherits them.

    Attributes:
        out: Run folder.
        seed: Seed that all random numbers are derived from.
        precision: Precision of forward and backward passes. `auto` takes what `accelerate launch --mixed_precision`
            asks for, else bf16 if the devices of all processes have it in hardware, else fp32; a resumed run keeps
            its own.
        resume: Whether to continue from the newest checkpoint in the run folder; without one the run starts anew.
        dry_run: Whether to check and build everything, but write and train nothing.
        tracker: Dashboards that mirror the statistics.
    """

    out: str
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    resume: bool = False
    dry_run: bool = False
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    @property
    def changeable_keys(self) -> frozenset[str]:
        """Keys that may differ on a resume: they change where and how long is trained, not what."""
        return frozenset({"out", "resume", "dry_run", "tracker", "total_images"})


class Run:
    """Processes, device, precision and folder of a training. At most one exists in a process.

    Attributes:
        accelerator: The only Accelerator of the process. It prepares modules and nothing else: optimizers need no
            scaler, learning rates come from `schedule`, samplers slice the global batch themselves.
        device: Device of this process.
        rank: Index of this process.
        num_processes: Number of processes.
        is_main: Whether this process writes.
        precision: Resolved precision, used by `autocast`.
        folder: Run folder.
        trackers: Dashboards; none outside the main process.
    """

    def __init__(self, config: RunConfig) -> None:
        """Join the other processes and claim the run folder.

        Args:
            config: The whole configuration of the training, an instance of a subclass; it is written to config.yaml.

        Raises:
            ConfigError: For fp16, a device without bf16, or a resume with another configuration.
            OutputError: If the folder can't be written, or holds a run and `resume` is not set.
        """
        self.config = config
        requested = requested_precision(config.precision)
        start_missing_processes()
        # No autocast by the Accelerator: it can't be switched off for parts of a step (`autocast` below says which).
        # Buffers are constants here; broadcasting them would change them between a forward and its backward.
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),
            mixed_precision="no",
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        device = self.accelerator.device
        self.device = torch.device("cpu") if device.type == "cpu" else device  # not "cpu:0": tensors' is "cpu"
        self.rank = self.accelerator.process_index
        self.num_processes = self.accelerator.num_processes
        self.is_main = self.accelerator.is_main_process
        share_cores(int(os.environ.get("LOCAL_WORLD_SIZE", self.num_processes)))
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            # fp32 means fp32: convolutions would silently use TF32, with 10 bits of mantissa.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        self.folder = Path(config.out)
        self.precision: Precision = requested or self._choose_precision()
        if self.precision == "bf16" and self.device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise ConfigError("this GPU can't compute in bf16: set --precision fp32, and start another run with it")
        self.trackers = Trackers(TrackerConfig(), self.folder, {})
        if not config.dry_run:
            self.on_main(self._claim_folder)

    def _choose_precision(self) -> Precision:
        """Resolve `auto`, the same in all processes."""
        stored: list[Precision | None] = [_read_precision(self.folder) if self.config.resume and self.is_main else None]
        is_fast = [has_fast_bf16(self.device)]
        if self.num_processes > 1:
            broadcast_object_list(stored)
            is_fast = gather_object(is_fast)
        if stored[0] is not None:
            chosen, reason = stored[0], f"as this run began, in {self.folder}"
        elif all(is_fast):
            chosen, reason = "bf16", f"this {self.device.type} has bf16 instructions"
        else:
            chosen, reason = "fp32", f"this {self.device.type} has no bf16 instructions that torch may use"
        self.log(f"precision {chosen} (auto: {reason})")
        return chosen

    def _claim_folder(self) -> None:
        resolved = {**config_to_dict(self.config), "precision": self.precision}
        path = self.folder / "config.yaml"
        if _holds_run(self.folder):
            if not self.config.resume:
                raise OutputError(f"{self.folder} already holds a run: add --resume to go on, or choose another --out")
            _check_same(path, resolved, self.config.changeable_keys)
        elif self.config.resume:
            self.log(f"{self.folder} holds no run yet: starting from the beginning")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_config(resolved, path)
            self.trackers = Trackers(self.config.tracker, self.folder, resolved)
        except OSError as error:
            raise OutputError(f"can't write the run folder {self.folder}: {error}") from None

    def on_main(self, action: Callable[[], None]) -> None:
        """Call a function in the main process while the others wait; its error is raised in all processes.

        Raises:
            Wav2FaceError: The error of the action.
        """
        failure: list[tuple[str, str] | None] = [None]
        if self.is_main:
            try:
                action()
            except Wav2FaceError as error:
                failure = [(type(error).__name__, str(error))]
        if self.num_processes > 1:
            broadcast_object_list(failure)
        if failure[0] is not None:
            name, message = failure[0]
            raise getattr(errors, name, Wav2FaceError)(message)

    def autocast(self) -> AbstractContextManager[Any]:
        """Context of forward passes in the run's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def seed_step(self, images_seen: int, stream: int = 0) -> None:
        """Seed torch, numpy and random from images seen and rank: a resume needs no stored generator state.

        Args:
            images_seen: Images seen so far.
            stream: Number that separates several uses after the same number of images.
        """
        seed = self._derive(images_seen, stream, self.rank + 1)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)

    def generator(self, images_seen: int, stream: int = 0) -> torch.Generator:
        """A CPU generator with the same seed in every process, for draws of the global batch.

        Args:
            images_seen: Images seen so far.
            stream: Number that separates several uses after the same number of images.
        """
        return torch.Generator().manual_seed(self._derive(images_seen, stream, 0))

    def _derive(self, *key: int) -> int:
        sequence = np.random.SeedSequence([self.config.seed, *key])
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def micro_batches(self, batch_size: int, micro_batch_size: int, *modules: nn.Module) -> Iterator[slice]:
        """Slices of this process's batch; gradients are exchanged between processes in the last slice only.

        The caller weighs each slice's mean loss by its share of the batch. (Accelerate's `accumulate` shares one
        counter between networks, so that the second network of a GAN is never updated.)

        Args:
            batch_size: Rows of this process's batch.
            micro_batch_size: Rows of a slice; the last one may have fewer.
            modules: Prepared modules that the loop's body runs backward through.
        """
        for start in range(0, batch_size, micro_batch_size):
            stop = min(start + micro_batch_size, batch_size)
            with ExitStack() as stack:
                if stop < batch_size:
                    for module in modules:
                        stack.enter_context(self.accelerator.no_sync(module))
                yield slice(start, stop)

    def progress(self, total_images: int, images_seen: int) -> tqdm[Any]:
        """A progress bar over images seen, shown by the main process on a terminal."""
        disable = None if self.is_main else True
        return tqdm(total=total_images, initial=images_seen, unit="img", disable=disable, dynamic_ncols=True)

    def log(self, message: str) -> None:
        """Print a message once, above the progress bar."""
        if self.is_main:
            tqdm.write(message)

    def finish(self) -> None:
        """Close the dashboards and leave the process group. Every process calls it, after the last checkpoint."""
        if self.num_processes > 1:
            self.accelerator.wait_for_everyone()
        sync_command = self.trackers.finish()
        if sync_command:
            self.log(f"to upload this run to Weights & Biases: {sync_command}")
        if self.num_processes > 1:
            atexit.register(_end_communication, [torch.distributed.group.WORLD])
        self.accelerator.end_training()


def _end_communication(owner: list[Any]) -> None:
    """End gloo's threads while the interpreter still runs.

    A thread that frees its last tensor later finds no interpreter and aborts the process with exit code -6, seldom on
    idle cores, often on busy ones.

    Args:
        owner: Holds the process group, and is emptied. It has to be the last owner: the group waits for its threads,
            which may wait for the interpreter's lock, and DistributedDataParallel, an earlier owner, would keep that.
    """
    gc.collect()  # frees DistributedDataParallel
    owner.clear()


def _read_precision(folder: Path) -> Precision | None:
    """The resolved precision of the run that a folder holds; None if it holds none."""
    if not _holds_run(folder):
        return None
    try:
        precision = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["precision"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None  # `_check_same` says what is wrong with the file
    return precision if precision in get_args(Precision) else None


def _holds_run(folder: Path) -> bool:
    """Whether there is anything to resume: a run that failed before its first statistics left nothing."""
    return any((folder / name).exists() for name in ("stats.jsonl", "checkpoints", "model"))


def _check_same(path: Path, now: dict[str, Any], changeable_keys: frozenset[str]) -> None:
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        before = None
    if not isinstance(before, dict):
        raise ConfigError(f"{path} is damaged: restore it, or start another run with another --out")
    keys = sorted((before.keys() | now.keys()) - changeable_keys)
    missing = object()
    differing = [key for key in keys if before.get(key, missing) != now.get(key, missing)]
    if differing:
        changes = "; ".join(f"{key}: {before.get(key)!r} became {now.get(key)!r}" for key in differing)
        raise ConfigError(f"can't resume {path.parent} with another configuration ({changes})")
