"""Means of losses and statistics: summed on the device without synchronising, written at intervals."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping

import torch
from accelerate.utils import gather_object

from data.errors import ModelError
from data.files import write_file
from training.run import Run


class Stats:
    """Collects named values and writes their means to the run folder's stats.jsonl."""

    def __init__(self, run: Run, images_seen: int = 0) -> None:
        """Open the file; on a resume, drop lines that are newer than the checkpoint.

        Args:
            run: The run whose folder gets the file.
            images_seen: Images seen where training starts or resumes.
        """
        self._run = run
        self._path = run.folder / "stats.jsonl"
        self._sums: dict[str, tuple[torch.Tensor | float, int]] = {}
        self._last_images = images_seen
        self._last_time = time.perf_counter()
        if run.is_main and self._path.exists() and not run.config.dry_run:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_file(self._path, "".join(line for line in lines if _is_before(line, images_seen)))

    def add(self, name: str, value: torch.Tensor | float) -> None:
        """Collect a value, without synchronising with the device; a tensor counts with all its elements.

        Args:
            name: Name such as `loss/identity`; slashes group curves.
            value: Number, or tensor of any shape.
        """
        total, count = self._sums.get(name, (0.0, 0))
        if isinstance(value, torch.Tensor):
            self._sums[name] = (total + value.detach().float().sum(), count + value.numel())
        else:
            self._sums[name] = (total + float(value), count + 1)

    def flush(self, images_seen: int) -> dict[str, float]:
        """Average over all values added since the last call and over processes, and write the means.

        Synchronises with the device once. Every process calls it.

        Args:
            images_seen: Images seen so far.

        Returns:
            Means by name, with `speed/images_per_second` and `speed/ms_per_image` over all processes.

        Raises:
            ModelError: If one is infinite or not a number; the line is written nevertheless.
        """
        names = sorted(self._sums)
        if self._run.num_processes > 1:  # a process may lack some of the names
            names = sorted(set(gather_object(names)))
        table = torch.zeros(2, len(names), device=self._run.device)
        for column, name in enumerate(names):
            total, count = self._sums.get(name, (0.0, 0))
            table[0, column] = total
            table[1, column] = count
        sums, counts = self._run.accelerator.reduce(table, "sum").tolist()
        means = {name: total / count for name, total, count in zip(names, sums, counts, strict=True) if count}
        now = time.perf_counter()
        if images_seen > self._last_images:
            seconds = now - self._last_time
            means["speed/images_per_second"] = (images_seen - self._last_images) / seconds
            means["speed/ms_per_image"] = 1000 * seconds / (images_seen - self._last_images)
        self._sums, self._last_images, self._last_time = {}, images_seen, now
        self.write(means, images_seen)
        _check(means, images_seen, "a step since the last log line spoilt the weights")
        return means

    def write(self, values: Mapping[str, float], images_seen: int) -> None:
        """Write values that need no averaging, such as an evaluation's, and mirror them.

        Args:
            values: Values by name; values that are not finite become null.
            images_seen: Images seen so far.
        """
        if not self._run.is_main or self._run.config.dry_run:
            return
        record = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"images_seen": images_seen, **record}) + "\n")
        self._run.trackers.log_scalars(values, images_seen)


def check_finite(terms: Mapping[str, torch.Tensor], images_seen: int) -> None:
    """Stop the run before the optimizer's step if a loss or gradient is not finite, so that checkpoints stay usable.

    Synchronises with the device once: pass all scalars of the step together, with the norm of the gradient.

    Args:
        terms: Scalars by name.
        images_seen: Images seen so far.

    Raises:
        ModelError: If one is infinite or not a number.
    """
    values = torch.stack([term.detach().float() for term in terms.values()]).tolist()
    _check(dict(zip(terms, values, strict=True)), images_seen, "nothing was updated since")


def _check(values: Mapping[str, float], images_seen: int, consequence: str) -> None:
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise ModelError(
            f"{', '.join(broken)} not finite after {images_seen} images; {consequence}: "
            "lower the learning rate and resume from the last checkpoint as another run"
        )


def _is_before(line: str, images_seen: int) -> bool:
    try:
        return bool(json.loads(line)["images_seen"] <= images_seen)
    except (ValueError, KeyError, TypeError):
        return False  # an incomplete line, of a process that was killed
