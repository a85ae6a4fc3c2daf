"""Make a population, train everything on it, judge it and show it on a page: python scripts/demo.py [--quick].

A run that was stopped goes on where it stopped; what has finished is not done again.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from data.errors import DatasetError, OutputError
from data.store.shards import read_info
from data.workers import count_cores
from eval.commands import open_output
from eval.pages.model.runs import read_stats
from eval.pages.parts.rendering import PAGE_NAME
from training.command import CommandParser, run_command
from training.pipeline_progress import PipelineProgress, format_seconds
from training.pipeline import Step, run_steps

ROOT = Path(__file__).resolve().parents[1]
RECIPES = Path("configs/personas/demo")
SHIPPED_MODEL = Path("weights/personas/model")
SHIPPED_NAME = "the model that ships, trained for half an hour"
JUDGE = "personas-judge"  # dlib takes a tenth of a second a face, which is minutes for these reports
MAX_PROCESSES = 4  # batches of the recipes can be shared out to so many


@dataclass(frozen=True)
class Size:
    """How much of everything is done.

    Attributes:
        identities: Personas.
        images: Pictures of each.
        clips: Recordings of each.
        num_drawings: For the Frechet distance.
        seconds: What each step takes on two cores, by name; the progress line weighs steps by it.
        flags: What differs from the recipes, by step.
        note: On the page.
    """

    identities: int
    images: int
    clips: int
    num_drawings: int
    seconds: Mapping[str, float]
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""


DEMO = Size(
    identities=600,
    images=4,
    clips=3,
    num_drawings=2048,
    seconds={
        "personas": 35,
        "face_encoder": 80,
        "features": 10,
        "voice_encoder": 85,
        "generator": 400,
        "reports": 60,
        "page": 10,
    },
)

QUICK = Size(
    identities=140,
    images=2,
    clips=2,
    num_drawings=128,
    seconds={
        "personas": 10,
        "face_encoder": 20,
        "features": 7,
        "voice_encoder": 18,
        "generator": 35,
        "reports": 20,
        "page": 7,
    },
    flags={
        "face_encoder": ["--total-images", "3200", "--log-images", "640", "--validate-images", "3200"],
        "voice_encoder": ["--total-images", "2048", "--log-images", "512", "--validate-images", "2048"],
        "generator": [
            *("--generator.widths", "[96,96,64,32,16]", "--discriminator.widths", "[96,96,64,32,16]"),
            *("--total-images", "4000", "--log-images", "160", "--sample-images", "800"),
            *("--checkpoint-images", "4000", "--objective.adversarial-start", "3600", "--ema-halflife-images", "300"),
            *("--learning-rate.start", "1e-3", "--learning-rate.end", "2.5e-4", "--learning-rate.warmup-images", "200"),
            *("--condition.num-folds", "0", "--batch-size", "8"),
        ],
    },
    note="This is the two-minute version: a handful of personas and seconds of training, to see that everything "
    "runs. Drawings are blurred and numbers poor; make demo without QUICK=1 takes a quarter of an hour and shows more.",
)


def main(argv: list[str]) -> None:
    """Parse, run what is missing, print where the page is."""
    parser = CommandParser(description="Make personas, train on them, judge, and show it all on a page.")
    parser.add_argument("--quick", action="store_true", help="the two-minute version, to see that everything runs")
    parser.add_argument("--out", type=Path, help="folder of everything (default: runs/demo, or runs/demo-quick)")
    parser.add_argument("--seed", type=int, default=0, help="of population and trainings (default: %(default)s)")
    arguments = parser.parse_args(argv)
    out = ROOT / "runs" / ("demo-quick" if arguments.quick else "demo") if arguments.out is None else arguments.out
    out = out.resolve()
    if out == ROOT or out in ROOT.parents:
        raise OutputError(f"--out {out}: choose a folder of its own, such as runs/demo")
    size = QUICK if arguments.quick else DEMO
    steps = plan(size, out, arguments.seed, count_cores(), has_gpu())
    # Asked to end, end the processes of the step too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    open_output(str(out))
    progress = PipelineProgress()
    try:
        records = run_steps(steps, out, recipe_texts(), progress, ROOT)
    finally:
        progress.close()
    print(f"finished: {format_seconds(sum(record.seconds for record in records))} of computing")
    print(out / PAGE_NAME)


def plan(size: Size, out: Path, seed: int, num_cores: int, gpu: bool) -> list[Step]:
    """All steps, in order."""
    # As seen from the repository's root, where the commands run, so that no report tells where on a disk that lies.
    out = out.relative_to(ROOT) if out.is_relative_to(ROOT) else out
    dataset, report = out / "dataset", out / "report"
    runs = {name: out / name.replace("_", "-") for name in ("face_encoder", "voice_encoder", "generator")}

    def step(
        name: str, title: str, *commands: Sequence[object], rates: Callable[[float], Sequence[str]] = lambda _: ()
    ) -> Step:
        return Step(
            name=name,
            title=title,
            commands=[[str(part) for part in command] for command in commands],
            seconds=size.seconds[name],
            launcher=[sys.executable],
            shown_launcher="python",
            environment=threads(max(1, num_cores // len(commands))),
            rates=rates,
        )

    def training(name: str, title: str, script: str, *flags: object) -> Step:
        launcher, shown, environment = launch(num_cores, gpu)
        recipe = RECIPES / f"{name}.yaml"
        command = [
            f"scripts/{script}.py",
            "--config",
            recipe,
            "--dataset",
            dataset,
            "--out",
            runs[name],
            "--seed",
            seed,
        ]
        return Step(
            name=name,
            title=title,
            commands=[[str(part) for part in (*command, "--resume", *flags, *size.flags.get(name, ()))]],
            seconds=size.seconds[name],
            launcher=launcher,
            shown_launcher=shown,
            environment=environment,
            share_done=lambda: share_trained(ROOT / runs[name]),
            rates=lambda _: training_rates(ROOT / runs[name]),
        )

    of_model = ["--model", runs["generator"] / "model", "--dataset", dataset, "--seed", seed]
    population = ["--identities", size.identities, "--images", size.images, "--clips", size.clips]
    return [
        step(
            "personas",
            "personas, their faces and voices",
            ["scripts/make_personas.py", "--out", dataset, *population, "--face-size", 64, "--seed", seed],
            rates=lambda seconds: population_rates(ROOT / dataset, seconds),
        ),
        training("face_encoder", "face encoder", "train_face_encoder"),
        step(
            "features",
            "features of all faces",
            ["scripts/embed_faces.py", "--dataset", dataset, "--face-encoder", runs["face_encoder"] / "model"],
        ),
        training("voice_encoder", "voice encoder", "train_encoder"),
        training("generator", "generator", "train_gan", "--encoder", runs["voice_encoder"] / "model"),
        step(
            "reports",
            "reports",
            ["scripts/evaluate_retrieval.py", *of_model, "--judge", JUDGE, "--out", report / "retrieval"],
            [
                *("scripts/evaluate_fid.py", *of_model, "--judge", JUDGE, "--out", report / "image-quality"),
                *("--num-images", size.num_drawings),
            ],
        ),
        step(
            "page",
            "page",
            [
                *("scripts/make_page.py", *of_model, "--out", out, "--steps", out / "steps.json"),
                *("--report", report / "retrieval", "--report", report / "image-quality"),
                *(part for run in runs.values() for part in ("--run", run)),
                *("--note", size.note),
                *(
                    ("--beside", SHIPPED_MODEL, "--beside-name", SHIPPED_NAME)
                    if (ROOT / SHIPPED_MODEL).is_dir()
                    else ()
                ),
            ],
        ),
    ]


def launch(num_cores: int, gpu: bool) -> tuple[list[str], str, dict[str, str]]:
    """How a training is started: one process on a GPU, else a process for each core up to a few."""
    num_processes = max(n for n in (1, 2, MAX_PROCESSES) if n <= max(1, num_cores))
    if gpu:
        return [sys.executable], "python", {}
    environment = {**threads(max(1, num_cores // num_processes)), "ACCELERATE_USE_CPU": "true"}
    if num_processes == 1:
        return [sys.executable], "ACCELERATE_USE_CPU=true python", environment
    # What `accelerate launch` comes down to on a CPU, without the seconds that its command line takes to start.
    torchrun = ["--standalone", "--nproc_per_node", str(num_processes)]
    shown = f"ACCELERATE_USE_CPU=true OMP_NUM_THREADS={environment['OMP_NUM_THREADS']} torchrun {' '.join(torchrun)}"
    return [sys.executable, "-m", "torch.distributed.run", *torchrun], shown, environment


def threads(num_threads: int) -> dict[str, str]:
    """The environment of a process that shall compute in so many threads."""
    return {"OMP_NUM_THREADS": str(num_threads)}


def has_gpu() -> bool:
    """Whether torch can compute on a GPU here."""
    import torch  # it takes seconds; --help should not

    return torch.cuda.is_available()


def recipe_texts() -> str:
    """The recipes as they are now: another recipe makes another demo."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / RECIPES).glob("*.yaml")))


def share_trained(run: Path) -> float | None:
    """How much of a training is done, by its run folder."""
    lines = read_stats(run)
    try:
        total = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["total_images"]
        return min(1.0, lines[-1]["images_seen"] / total) if lines else None
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None  # not begun, or just being written


def training_rates(run: Path) -> list[str]:
    """Images a second of a training, as its own log says."""
    speeds = sorted(line["speed/images_per_second"] for line in read_stats(run) if "speed/images_per_second" in line)
    return [f"{speeds[len(speeds) // 2]:,.0f} images/s"] if speeds else []


def population_rates(dataset: Path, seconds: float) -> list[str]:
    """Pictures and recordings a second, everything included."""
    try:
        info = read_info(dataset)
    except DatasetError:
        return []
    counts = {"images": info.num_faces, "clips": info.num_voices}
    return [f"{sum(count.values()) / max(seconds, 1e-3):,.0f} {what}/s" for what, count in counts.items()]


if __name__ == "__main__":
    run_command(main)
