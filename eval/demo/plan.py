"""The steps of the demo: which commands, on which recipes, in how many processes and threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.workers import count_cores
from eval.demo.progress import population_rates, share_trained, training_rates
from training.pipeline import Step

ROOT = Path(__file__).resolve().parents[2]
RECIPES = Path("configs/personas/demo")
SHIPPED_MODEL = Path("weights/personas/model")
SHIPPED_NAME = "the shipped model, trained for three quarters of an hour"
JUDGE = "personas-judge"  # dlib needs 0.1 s a face, which would be minutes for these reports
VARIETIES = (0, 0.5, 1)  # those of the page's drawings; five, as reports measure by themselves, take longer
MAX_PROCESSES = 4
"""Most processes of a training; the batch sizes of the recipes are multiples of it."""

FP32_FACTOR = 1.4
"""Duration of the generator's training in fp32 as a multiple of that in bf16: 33 and 23 ms of CPU time an image."""


@dataclass(frozen=True)
class DemoSize:
    """Amount of data, and length of the trainings.

    Attributes:
        identities: Number of personas.
        images: Number of pictures of each.
        clips: Number of recordings of each.
        num_drawings: Number of drawings for the Frechet distance.
        seconds: Duration of each step on two cores with bf16 instructions, by name; weights of the progress line.
        flags: Flags that override the recipes, by step.
        note: Sentence for the page.
    """

    identities: int
    images: int
    clips: int
    num_drawings: int
    seconds: Mapping[str, float]
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""


FULL = DemoSize(
    identities=600,
    images=4,
    clips=3,
    num_drawings=2048,
    seconds={
        "personas": 31,
        "face_encoder": 54,
        "features": 6,
        "voice_encoder": 58,
        "generator": 315,
        "reports": 138,
        "page": 5,
    },
)

QUICK = DemoSize(
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
            *("--total-images", "4000", "--log-images", "160", "--sample-images", "800"),
            *("--checkpoint-images", "4000", "--objective.adversarial-start", "3600", "--ema-halflife-images", "300"),
            *("--learning-rate.start", "1e-3", "--learning-rate.end", "2.5e-4", "--learning-rate.warmup-images", "200"),
            *("--objective.adversarial-warmup", "200", "--batch-size", "8"),
        ],
    },
    note="This is the three-minute version: a few personas and seconds of training, to see that everything runs. "
    "Drawings are blurred and numbers poor; make demo without QUICK=1 takes a quarter of an hour and shows more.",
)


@dataclass(frozen=True)
class Machine:
    """What the plan has to know of the machine.

    Attributes:
        num_cores: Number of CPU cores that this process may use.
        has_gpu: Whether trainings run on a GPU.
        has_bf16: Whether their device has bf16 instructions.
    """

    num_cores: int
    has_gpu: bool
    has_bf16: bool


def this_machine() -> Machine:
    """The machine as torch sees it."""
    import torch  # it takes seconds; --help should not

    from training.precision import has_fast_bf16

    has_gpu = torch.cuda.is_available()
    return Machine(count_cores(), has_gpu, has_fast_bf16(torch.device("cuda" if has_gpu else "cpu")))


def plan_demo(size: DemoSize, out: Path, seed: int, machine: Machine) -> list[Step]:
    """All steps of the demo, in order.

    Args:
        size: Amount of data, and length of the trainings.
        out: Absolute path of the folder for everything.
        seed: Seed of the population, the trainings and the reports.
        machine: The machine that runs them.
    """
    # The commands run at the repository's root; paths relative to it keep this machine's folders out of reports.
    out = out.relative_to(ROOT) if out.is_relative_to(ROOT) else out
    dataset, report = out / "dataset", out / "report"
    runs = {name: out / name.replace("_", "-") for name in ("face_encoder", "voice_encoder", "generator")}

    def step(
        name: str,
        title: str,
        *commands: Sequence[object],
        num_threads: int | None = None,
        rates: Callable[[float], Sequence[str]] = lambda _: (),
    ) -> Step:
        return Step(
            name=name,
            title=title,
            commands=[[str(part) for part in command] for command in commands],
            seconds=size.seconds[name],
            launcher=[sys.executable],
            shown_launcher="python",
            environment=limit_threads(num_threads or machine.num_cores // len(commands)),
            rates=rates,
        )

    def training(name: str, title: str, script: str, *flags: object) -> Step:
        launcher, shown, environment = launch_training(machine)
        fixed = ["--config", RECIPES / f"{name}.yaml", "--dataset", dataset, "--out", runs[name], "--seed", seed]
        command = [f"scripts/{script}.py", *fixed, "--resume", *flags, *size.flags.get(name, ())]
        is_slower = name == "generator" and not machine.has_bf16
        return Step(
            name=name,
            title=title,
            commands=[[str(part) for part in command]],
            seconds=size.seconds[name] * (FP32_FACTOR if is_slower else 1),
            launcher=launcher,
            shown_launcher=shown,
            environment=environment,
            share_done=lambda: share_trained(ROOT / runs[name]),
            rates=lambda _: training_rates(ROOT / runs[name]),
        )

    of_model = ["--model", runs["generator"] / "model", "--dataset", dataset, "--seed", seed]
    measured = [*of_model, "--judge", JUDGE, "--varieties", *VARIETIES]
    population = ["--identities", size.identities, "--images", size.images, "--clips", size.clips]
    beside = ["--beside", SHIPPED_MODEL, "--beside-name", SHIPPED_NAME] if (ROOT / SHIPPED_MODEL).is_dir() else []
    return [
        step(
            "personas",
            "personas, their faces and voices",
            ["scripts/make_personas.py", "--out", dataset, *population, "--face-size", 64, "--seed", seed],
            num_threads=1,  # it starts a process a core
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
            ["scripts/evaluate_retrieval.py", *measured, "--out", report / "retrieval"],
            [
                *("scripts/evaluate_fid.py", *measured, "--out", report / "image-quality"),
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
                *("--note", size.note, *beside),
            ],
        ),
    ]


def launch_training(machine: Machine) -> tuple[list[str], str, dict[str, str]]:
    """The launcher of a training: one process on a GPU; on a CPU a process a core, at most `MAX_PROCESSES`.

    Returns:
        The launcher's arguments, the same as one would type it, and the environment variables.
    """
    if machine.has_gpu:
        return [sys.executable], "python", {}
    num_processes = max(n for n in (1, 2, MAX_PROCESSES) if n <= max(1, machine.num_cores))
    environment = {**limit_threads(machine.num_cores // num_processes), "ACCELERATE_USE_CPU": "true"}
    if num_processes == 1:
        return [sys.executable], "ACCELERATE_USE_CPU=true python", environment
    # What `accelerate launch` does on a CPU, without the seconds that its command line takes to start.
    torchrun = ["--standalone", "--nproc_per_node", str(num_processes)]
    shown = f"ACCELERATE_USE_CPU=true OMP_NUM_THREADS={environment['OMP_NUM_THREADS']} torchrun {' '.join(torchrun)}"
    return [sys.executable, "-m", "torch.distributed.run", *torchrun], shown, environment


def limit_threads(num_threads: int) -> dict[str, str]:
    """Environment variables that make a process compute in so many threads, at least one."""
    return {"OMP_NUM_THREADS": str(max(1, num_threads))}


def read_recipes() -> str:
    """The texts of the demo's recipes; with other recipes a finished step would give another result."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / RECIPES).glob("*.yaml")))
