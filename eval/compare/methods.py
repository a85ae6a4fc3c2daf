"""The methods that `scripts/compare.py` trains: their stages, recipes and lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from encoder.train import EncoderTrainingConfig
from gan.baselines.config import BaselineConfig
from gan.config import GanConfig
from training.config import parse_config
from training.run import RunConfig

BASELINES = Path("configs/baselines")
OURS = "wav2face"

_CONFIGS: Mapping[str, type[RunConfig]] = {
    "train_encoder": EncoderTrainingConfig,
    "train_gan": GanConfig,
    "train_baseline": BaselineConfig,
}
_INTERVALS = ("total_images", "log_images", "sample_images", "validate_images", "checkpoint_images")
_LENGTHS = ("adversarial_start", "adversarial_warmup", "reconstruction_end")


@dataclass(frozen=True)
class Stage:
    """One training of a method.

    Attributes:
        run: Name of its run folder; methods that name the same run share it.
        script: Script without `.py`.
        config: Recipe.
        share: Share of the method's time.
        flags: Flags that override the recipe.
        encoder: Run of the voice encoder that the training takes; empty without one.
    """

    run: str
    script: str
    config: Path
    share: float
    flags: tuple[str, ...] = ()
    encoder: str = ""

    def recipe(self) -> Any:
        """The recipe with the flags, as the script reads it.

        Raises:
            ConfigError: If it does not parse.
        """
        return _read_recipe(self.script, self.config, self.flags)

    @property
    def has_fixed_length(self) -> bool:
        """Whether the training takes what it takes: heads in closed form on a frozen backbone."""
        recipe = self.recipe()
        return isinstance(recipe, EncoderTrainingConfig) and recipe.freeze_backbone


@cache
def _read_recipe(script: str, config: Path, flags: tuple[str, ...]) -> Any:
    return parse_config(_CONFIGS[script], ["--config", str(config), *flags], "")


@dataclass(frozen=True)
class Method:
    """A method of the comparison.

    Attributes:
        name: Short name, also that of its folder.
        title: Name in tables.
        stages: Trainings, in order; the last one makes the model.
    """

    name: str
    title: str
    stages: tuple[Stage, ...]


def all_methods(recipes: Path, encoder_recipe: Path | None = None) -> tuple[Method, ...]:
    """Ours, and the published methods.

    Args:
        recipes: Folder with our `encoder.yaml` and `gan.yaml`.
        encoder_recipe: Our voice encoder's recipe; None for that of the folder.
    """
    # The published batches of 128 and 256 would leave a few hundred steps; ours has 16.
    batch = ("--batch-size", "32")
    ours = Stage("wav2face-encoder", "train_encoder", encoder_recipe or recipes / "encoder.yaml", 0.15)
    narrow = ("--model.backbone-options", '{"width": 8, "hidden_size": 512}')  # the paper's width needs a GPU
    return (
        Method(
            OURS,
            "wav2face",
            (ours, Stage("wav2face", "train_gan", recipes / "gan.yaml", 0.85, encoder=ours.run)),
        ),
        Method(
            "speech2face",
            "Speech2Face (Oh et al. 2019)",
            (
                Stage(
                    *("speech2face-encoder", "train_encoder", BASELINES / "speech2face-encoder.yaml", 0.5),
                    flags=narrow,
                ),
                Stage(
                    *("speech2face", "train_gan", BASELINES / "transposed_conv.yaml", 0.5),
                    flags=batch,
                    encoder="speech2face-encoder",
                ),
            ),
        ),
        Method(
            "transposed-conv",
            "transposed convolutions, our voice encoder",
            (
                ours,
                Stage(
                    *("transposed-conv", "train_gan", BASELINES / "transposed_conv.yaml", 0.85),
                    flags=batch,
                    encoder=ours.run,
                ),
            ),
        ),
        Method(
            "wen",
            "Wen et al. 2019",
            (
                Stage("wen-speaker", "train_encoder", BASELINES / "wen-speaker.yaml", 0.25),
                Stage(
                    *("wen", "train_baseline", BASELINES / "wen.yaml", 0.75),
                    flags=batch,
                    encoder="wen-speaker",
                ),
            ),
        ),
        Method(
            "wav2pix", "Wav2Pix (2019)", (Stage("wav2pix", "train_baseline", BASELINES / "wav2pix.yaml", 1.0, batch),)
        ),
        Method("sf2f", "SF2F (2022)", (Stage("sf2f", "train_baseline", BASELINES / "sf2f.yaml", 1.0, batch),)),
    )


def scale(recipe: RunConfig, total_images: int, *, has_pauses: bool = True) -> list[str]:
    """Flags that shorten or lengthen a training with all that its recipe counts in images.

    Args:
        recipe: The recipe.
        total_images: New length of the training.
        has_pauses: Whether samples, validation and checkpoints are made before its end, too.
    """
    factor = total_images / recipe.total_images  # type: ignore[attr-defined]
    names = {field.name for field in fields(recipe)}
    flags = ["--total-images", total_images, "--log-images", max(1, total_images // 24)]
    for name, parts in (("sample_images", 2), ("validate_images", 4), ("checkpoint_images", 4)):
        if name in names:
            flags += [_flag(name), -(-total_images // (parts if has_pauses else 1))]
    for name, value in _lengths(recipe):
        flags += [_flag(name), round(value * factor) if isinstance(value, int) else value * factor]
    return [str(flag) for flag in flags]


def _lengths(config: Any, prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for field in fields(config):
        value, name = getattr(config, field.name), prefix + field.name
        if is_dataclass(value):
            found += _lengths(value, f"{name}.")
        elif value and field.name not in _INTERVALS and (field.name.endswith("_images") or field.name in _LENGTHS):
            found.append((name, value))
    return found


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def choose(methods: Sequence[Method], names: Sequence[str] | None) -> tuple[Method, ...]:
    """The methods with these names, in their own order; all for None."""
    return tuple(method for method in methods if names is None or method.name in names)
