"""Copies of a run's statistics in Weights & Biases and TensorBoard; stats.jsonl in the run folder is the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import ConfigError, one_line


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Dashboards that get a copy of a run's statistics.

    Attributes:
        wandb: Weights & Biases: disabled, offline (in the run folder, for a later `wandb sync`) or online.
        project: W&B project.
        tensorboard: Whether TensorBoard event files are written into the run folder.
    """

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    project: str = "wav2face"
    tensorboard: bool = False


class Trackers:
    """The enabled dashboards, in the main process; the x axis of all curves is images seen."""

    def __init__(self, config: TrackerConfig, folder: Path, run_config: Mapping[str, Any]) -> None:
        """Start the enabled dashboards.

        Args:
            config: Dashboards to start.
            folder: Run folder. A resumed run is a new W&B run in the group named after it, because an offline W&B run
                can't be continued without losing data.
            run_config: Resolved configuration, shown beside the curves.

        Raises:
            ConfigError: If W&B can't be reached or logged into.
        """
        self._offline = config.wandb == "offline"
        self._tensorboard: Any = None
        self._wandb: Any = None
        if config.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._tensorboard = SummaryWriter(str(folder / "tensorboard"))
        if config.wandb != "disabled":
            self._wandb = _start_wandb(config, folder, run_config)

    def log_scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Add a point to each curve."""
        if self._tensorboard:
            for name, value in values.items():
                self._tensorboard.add_scalar(name, value, images_seen)
        if self._wandb:
            self._wandb.log({**values, "images_seen": images_seen})

    def log_image(self, name: str, image: NDArray[np.uint8], images_seen: int) -> None:
        """Add an image, [H, W, 3] uint8 RGB."""
        if self._tensorboard:
            self._tensorboard.add_image(name, image, images_seen, dataformats="HWC")
        if self._wandb:
            import wandb

            self._wandb.log({name: wandb.Image(image), "images_seen": images_seen})

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], images_seen: int) -> None:
        """Add a table, such as a report's."""
        if self._tensorboard:
            lines = [columns, ["---"] * len(columns), *rows]
            text = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
            self._tensorboard.add_text(name, text, images_seen)
        if self._wandb:
            import wandb

            table = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
            self._wandb.log({name: table, "images_seen": images_seen})

    def finish(self) -> str | None:
        """Close the dashboards.

        Returns:
            Command that uploads an offline W&B run; None if there is none.
        """
        if self._tensorboard:
            self._tensorboard.close()
        if self._wandb is None:
            return None
        command = f"wandb sync {Path(self._wandb.dir).parent}" if self._offline else None
        import wandb

        self._wandb.finish()
        wandb.teardown()  # an offline run's file may not be written yet when `finish` returns
        return command


def _start_wandb(config: TrackerConfig, folder: Path, run_config: Mapping[str, Any]) -> Any:
    import wandb

    number = 1 + len(list((folder / "wandb").glob("*run-*")))
    try:
        run = wandb.init(
            project=config.project,
            group=folder.name,
            name=f"{folder.name}-{number}",
            dir=str(folder),
            mode=config.wandb,
            config=dict(run_config),
            settings=wandb.Settings(silent=True),
        )
    except wandb.Error as error:
        reason = one_line(error)
        raise ConfigError(
            f"can't start Weights & Biases ({reason}): run `wandb login`, or set --tracker.wandb offline"
        ) from None
    run.define_metric("images_seen")
    run.define_metric("*", step_metric="images_seen")
    return run
