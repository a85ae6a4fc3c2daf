"""Clips a second from a list of videos to shards, compared with the classic pipeline on the same clips and machine."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data.errors import ConfigError
from data.faces.registry import cached_analyzer
from data.videos.download.config import FetchConfig
from data.videos.plan.avspeech import AvspeechRows
from data.videos.plan.outcomes import Outcome
from data.videos.prepare import VideosConfig, prepare_videos
from data.videos.watch.clips import VideoRecipe
from data.workers import count_cores
from eval.benchmarks.classic import OTHER_FEATURES, ClassicClip, ClassicSeconds, prepare_classic
from eval.benchmarks.footage import Footage, make_footage, serve, video_id, write_list
from eval.benchmarks.rates import Measurement, compare, describe_ratios, describe_shares, shares_of, steady_rate

SIZE = (640, 360)
FACE_SIZE = 180
CLASSIC_FPS = 25.0
NUM_WORKERS = 2

_CHUNK_ROWS = 4
_FETCH = "fetch"


@dataclass(frozen=True)
class Setup:
    """A setup of our own preparation.

    Attributes:
        recipe: Recipe of the clips, with the face networks.
        num_workers: Number of worker processes.
    """

    recipe: VideoRecipe
    num_workers: int

    @property
    def name(self) -> str:
        """Name in the printed table."""
        return f"ours, {self.recipe.face_analyzer}, {self.num_workers} worker{'s' if self.num_workers > 1 else ''}"


def measure(given: argparse.Namespace) -> None:
    """Measure what the command line asks for, and print the results.

    Raises:
        ConfigError: If a number is too small for a measurement.
    """
    if given.rounds < 1:
        raise ConfigError(f"--rounds {given.rounds}: at least 1 is needed")
    recipes = _recipes(given)
    with _work_folder(given.work) as folder:
        if given.rows is not None:
            from eval.benchmarks.memory import measure_memory

            measure_memory(folder, given.rows, _arguments(recipes[-1]), given.lists, given.rounds)
        else:
            measure_rates(folder, given.seconds, given.clips, given.classic_clips, given.rounds, recipes)


@contextmanager
def _work_folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="wav2face-benchmark-") as folder:
        yield Path(folder)


def _recipes(given: argparse.Namespace) -> list[VideoRecipe]:
    """A recipe with the networks of the classic pipeline, for comparison, and one with the user's."""
    recipes = [VideoRecipe("dlib", None, None)]
    if given.insightface:
        recipes.append(VideoRecipe(f"insightface:{given.insightface}", None, given.insightface_root))
    return recipes


def _arguments(recipe: VideoRecipe) -> list[str]:
    """A recipe's face networks as flags of the command."""
    kind, _, pack = recipe.face_analyzer.partition(":")
    if kind == "dlib":
        return ["--face-extraction-model", "hog"]
    root = ["--insightface-root", recipe.insightface_root] if recipe.insightface_root else []
    return ["--face-extraction-model", "insightface", "--insightface-pack", pack, *root]


def measure_rates(
    folder: Path,
    clip_seconds: float,
    num_clips: int,
    num_classic: int,
    num_rounds: int,
    recipes: Sequence[VideoRecipe],
) -> None:
    """Measure all methods in turn on the same clips, each without its start, and print a table.

    Args:
        folder: Folder for videos and results.
        clip_seconds: Duration of the clips in seconds.
        num_clips: Number of clips for each run of our preparation.
        num_classic: Number of clips for each run of the classic pipeline.
        num_rounds: Number of rounds.
        recipes: Recipes to measure; the first with the networks of the classic pipeline.

    Raises:
        ConfigError: If a number is too small for a measurement.
    """
    fewest = 2 * NUM_WORKERS + _CHUNK_ROWS + 2
    if num_clips < fewest:
        raise ConfigError(f"--clips {num_clips}: at least {fewest} are needed for a rate on {NUM_WORKERS} workers")
    if num_classic < 1:
        raise ConfigError(f"--classic-clips {num_classic}: at least 1 is needed")
    if not 1 <= clip_seconds <= 30:
        raise ConfigError(f"--seconds {clip_seconds:g}: clips last 1 to 30 seconds")
    footage = make_footage(folder / "videos", clip_seconds, SIZE, FACE_SIZE)
    rows = AvspeechRows(write_list(folder / "list.csv", footage, num_clips))
    classic = Classic(rare_fps=recipes[0].fps)
    setups = [Setup(recipe, workers) for recipe in recipes for workers in (1, NUM_WORKERS)]
    ours = {setup: Measurement(setup.name) for setup in setups}
    published: Counter[str] = Counter()
    with (
        serve(footage, 0, num_clips) as server,
        tqdm(total=num_rounds * (1 + len(ours)), unit="turn", leave=False, disable=None) as progress,
    ):
        for _ in range(num_rounds):
            classic.measure(folder / "classic", footage, num_classic)
            progress.update()
            for setup, measured in ours.items():
                outcomes = _time_ours(folder / "ours", rows, setup, server.url_template, measured)
                published.update(outcome.reason or "published" for outcome in outcomes)
                progress.update()
    print(
        f"{num_clips} clips of {clip_seconds:g} s, {SIZE[0]} x {SIZE[1]}, {count_cores()} cores; ours downloads them "
        f"from this machine, the classic pipeline (dlib) has {num_classic} of them on the disk"
    )
    print(_report(classic, ours, published))


class Classic:
    """Measurements of the classic pipeline, and of two cheaper variants."""

    def __init__(self, rare_fps: float) -> None:
        """Start without measurements.

        Args:
            rare_fps: Frames a second of the cheapest variant: as many as our preparation looks at.
        """
        self._rare_fps = rare_fps
        self.whole = Measurement("classic, a feature a frame")
        self.lean = Measurement("classic, a feature a clip")
        self.rare = Measurement(f"classic, a feature a clip, {rare_fps:g} fps")

    @property
    def all(self) -> tuple[Measurement, ...]:
        """All three, from the slowest to the fastest."""
        return self.whole, self.lean, self.rare

    def measure(self, folder: Path, footage: Footage, num_clips: int) -> None:
        """Measure one round in a folder that is removed afterwards."""
        seconds = _time_classic(folder, footage, num_clips, CLASSIC_FPS)
        self.whole.add(num_clips / sum(seconds.values()), seconds)
        rare_seconds = _time_classic(folder, footage, num_clips, self._rare_fps)
        for measured, spent in ((self.lean, seconds), (self.rare, rare_seconds)):
            del spent[OTHER_FEATURES]
            measured.add(num_clips / sum(spent.values()), spent)


def _time_classic(folder: Path, footage: Footage, num_clips: int, fps: float) -> dict[str, float]:
    """Seconds by step of the classic pipeline."""
    import imageio_ffmpeg

    ffmpeg, analyzer = imageio_ffmpeg.get_ffmpeg_exe(), cached_analyzer("dlib", None)
    spent = ClassicSeconds()
    for row in range(num_clips):
        clip = ClassicClip(footage.source(row), footage.start, footage.start + footage.clip_seconds)
        prepare_classic(clip, folder / video_id(row), ffmpeg, analyzer, fps, spent)
    shutil.rmtree(folder)
    return spent.seconds


def _time_ours(out: Path, rows: AvspeechRows, setup: Setup, url_template: str, measured: Measurement) -> list[Outcome]:
    """Measure one run with downloads; the start of processes and the loading of networks are left out."""
    moments: list[float] = []
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        moments.append(time.perf_counter())
        outcomes.append(outcome)

    config = VideosConfig(
        out=str(out / "dataset"),
        recipe=setup.recipe,
        fetch=FetchConfig(sources=str(out / "sources"), url_template=url_template),
        num_workers=setup.num_workers,
        low_memory=True,
        chunk_rows=_CHUNK_ROWS,
    )
    result = prepare_videos(config, rows, note)
    measured.add(steady_rate(moments, 2 * NUM_WORKERS, _CHUNK_ROWS), result.seconds)
    shutil.rmtree(out)
    return outcomes


def _format_shares(measured: Measurement) -> str:
    """Shares of the steps that run one after the other, and the time of downloads, which run beside them."""
    seconds = dict(measured.seconds)
    fetching = seconds.pop(_FETCH, None)
    text = f"  {measured.name}: {describe_shares(shares_of(seconds))}"
    if fetching is None:
        return text
    return f"{text}; beside them {_FETCH} {100 * fetching / sum(seconds.values()):.0f} % as long"


def _report(classic: Classic, ours: dict[Setup, Measurement], published: Counter[str]) -> str:
    """A table of rates, ratios and shares of steps."""
    lines = [f"{'':<36}{'clips a second':>16}  times classic, a feature a clip"]
    for measured in (*classic.all, *ours.values()):
        times = describe_ratios(compare(measured, classic.lean))
        lines.append(f"{measured.name:<36}{measured.rate:>16.3f}  {times}")
    lines += ["", "share of each step:"]
    lines += [_format_shares(measured) for measured in (*classic.all, *ours.values())]
    lines.append("")
    for setup in ours:
        if setup.num_workers == 1:
            times = describe_ratios(compare(ours[Setup(setup.recipe, NUM_WORKERS)], ours[setup]))
            lines.append(f"{NUM_WORKERS} workers do {times} times as much as one ({setup.recipe.face_analyzer})")
    lines.append("outcomes: " + ", ".join(f"{count} {what}" for what, count in published.most_common()))
    return "\n".join(lines)
