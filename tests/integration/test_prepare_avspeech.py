"""The real command against a server on loopback: real HTTP, yt-dlp, decoders, detectors; with every fault at once."""

from __future__ import annotations

import io
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from data.personas.footage.server import Fault, VideoServer
from data.personas.footage.videos import make_talking_video
from data.store.dataset import ClipDataset
from data.videos.download import pace
from tests.conftest import SHARED

ROOT = Path(__file__).resolve().parents[2]
PACK_ROOT = SHARED / "insightface"
NETWORKS = (
    ["--face-extraction-model", "insightface", "--insightface-pack", "small", "--insightface-root", str(PACK_ROOT)]
    if (PACK_ROOT / "models" / "small").is_dir()
    else ["--face-extraction-model", "hog", "--face-encoder", "personas"]
)
QUICK = ["--socket-timeout", "2", "--download-retries", "1", "--max-backoff", "1", "--face-size", "64", "--fps", "1"]

FAULTS = {
    "forbidden": (Fault("status", 403), "blocked"),
    "missing": (Fault("status", 404), "gone"),
    "removed": (Fault("status", 410), "gone"),
    "impatient": (Fault("status", 429, retry_after="1"), "blocked"),
    "broken": (Fault("status", 500), "network"),
    "reset": (Fault("reset", share=0.02), "network"),
    "stalled": (Fault("stall", share=0.02), "network"),
    "half": (Fault("half", share=0.02), "network"),
    "mute": (Fault("silence"), "network"),
    "cut": (Fault("cut"), "truncated"),
    "page": (Fault("html"), "not-a-video"),
    "rubbish": (Fault("rubbish"), "not-a-video"),
}
"""What the server does, and the reason that the row fails for."""


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By what is to be seen: good ones, and those that have to be refused."""
    folder = tmp_path_factory.mktemp("videos")

    def make(name: str, **options: object) -> Path:
        return make_talking_video(folder / f"{name}.mp4", seconds=2.5, keyframe_interval=12, **options)  # type: ignore[arg-type]

    return {
        **{f"persona-{i}": make(f"persona-{i}", persona=i) for i in range(4)},
        "no-audio": make("no-audio", sound="none"),
        "silent": make("silent", sound="silence"),
        "no-speech": make("no-speech", sound="noise"),
        "still-face": make("still-face", still=True),
        "dark-face": make("dark-face", brightness=0.2),
    }


@pytest.fixture
def server(videos: dict[str, Path]) -> Iterator[VideoServer]:
    with VideoServer({}) as running:
        yield running


def prepare(out: Path, csv: Path, server: VideoServer, *more: str) -> list[str]:
    command = [sys.executable, "scripts/prepare_avspeech.py", "--csv", str(csv), "--out", str(out)]
    return [*command, "--url-template", server.url_template, *NETWORKS, *QUICK, *more]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)


def write_list(
    folder: Path, server: VideoServer, videos: dict[str, Path], num_rows: int
) -> tuple[Path, dict[int, str]]:
    """A CSV of which three rows in ten go wrong, each in its way; and the reason of each of these."""
    wrong = [
        *FAULTS,
        "no-audio",
        "silent",
        "no-speech",
        "still-face",
        "dark-face",
        "bad",
        "slash",
        "backwards",
        "repeated",
    ]
    lines, reasons = [], {}
    for row in range(num_rows):
        video_id = f"-v{row:04d}"  # a leading dash is allowed, and must never become an option
        line = f"{video_id},0.25,2.25,0.5,0.5"
        server.files[video_id] = videos[f"persona-{row % 4}"]
        if row % 10 in (3, 6, 9):
            kind = wrong[(row // 10 * 3 + row % 10 // 3 - 1) % len(wrong)]
            reasons[row] = kind
            if kind in FAULTS:
                server.faults[video_id], reasons[row] = FAULTS[kind]
            elif kind in videos:
                server.files[video_id] = videos[kind]
            else:
                reasons[row] = "duplicate-row" if kind == "repeated" else "bad-row"
                line = {
                    "bad": f"{video_id},nan,2.25,0.5,0.5",
                    "slash": f"../{video_id},0.25,2.25,0.5,0.5",
                    "backwards": f"{video_id},2.25,0.25,0.5,0.5",
                    "repeated": "-v0000,0.25,2.25,0.5,0.5",
                }[kind]
        lines.append(line + "\r\n")
    csv = folder / "list.csv"
    csv.write_text("".join(lines), newline="")
    return csv, reasons


def content_of(out: Path) -> dict[str, object]:
    """Every file of a data set: states as text, shards by column."""
    return {
        path.name: path.read_text() if path.suffix != ".parquet" else pq.read_table(path).to_pylist()
        for path in sorted(out.iterdir())
    }


def states_of(out: Path) -> dict[int, dict[str, object]]:
    lines = [json.loads(line) for path in sorted(out.glob("rows-*.jsonl")) for line in path.read_text().splitlines()]
    assert len({line["row"] for line in lines}) == len(lines)
    return {line["row"]: line for line in lines}


def test_every_row_is_published_or_fails_by_name(server: VideoServer, videos: dict[str, Path], tmp_path: Path) -> None:
    csv, reasons = write_list(tmp_path, server, videos, 60)
    out = tmp_path / "set"
    done = run(prepare(out, csv, server, "--workers", "2", "--chunk-rows", "10", "--window", "0.025"))
    assert done.returncode == 0, done.stderr
    states = states_of(out)
    assert {row: state["reason"] for row, state in states.items() if state["state"] == "failed"} == reasons
    assert len(states) == 60
    dataset = ClipDataset(out, "all")
    assert len(dataset) == 60 - len(reasons) and len(set(dataset.clip_ids)) == len(dataset)
    assert dataset.info.extra == {"spectrogram": {"window": 0.025}}
    clip = dataset.clip(0)
    assert clip.source.video_id in server.files and clip.waveform is not None and clip.faces[0].shape == (64, 64, 3)

    datasets = pytest.importorskip("datasets")
    files = [str(out / name) for name in dataset.info.shards]
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.num_rows == len(dataset) and loaded.features["audio"] == datasets.Audio(sampling_rate=16_000)
    row = loaded.cast_column("audio", datasets.Audio(decode=False))[0]  # it decodes by a package that needs FFmpeg
    heard, sample_rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
    assert sample_rate == 16_000 and heard.size == round(row["duration"] * sample_rate) and np.abs(heard).max() > 0.1
    assert row["images"] and all(image.size == (64, 64) and image.mode == "RGB" for image in row["images"])

    asked = run(prepare(out, csv, server, "--status", "--json"))
    status = json.loads(asked.stdout)
    assert (status["rows"], status["published"], status["pending"]) == (60, len(dataset), 0)
    assert sum(status["failures"].values()) == len(reasons)
    assert "published" in run(prepare(out, csv, server, "--status")).stdout

    before, num_requests = content_of(out), len(server.requests)
    again = run(prepare(out, csv, server))
    assert again.returncode == 0 and content_of(out) == before and len(server.requests) == num_requests


def test_ranges_of_rows_and_second_attempts_complete_a_data_set(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},0.25,2.25,0.5,0.5\n" for i in range(6)))
    server.files = {f"v{i}": videos[f"persona-{i % 4}"] for i in range(6)}
    server.faults = {"v1": Fault("status", 500), "v2": Fault("status", 403), "v4": Fault("status", 404)}
    out = tmp_path / "set"
    options = ("--chunk-rows", "4", "--workers", "1", "--low-memory")
    assert run(prepare(out, csv, server, *options, "--to-id", "3")).returncode == 0
    assert sorted(states_of(out)) == [0, 1, 2]
    assert run(prepare(out, csv, server, *options, "--from-id", "3")).returncode == 0
    assert {row: state.get("reason") for row, state in states_of(out).items()} == {
        **dict.fromkeys((0, 3, 5)),
        1: "network",
        2: "blocked",
        4: "gone",
    }
    server.faults = {}
    wrong = run(prepare(out, csv, server, "--retry", "netwrok"))
    assert wrong.returncode == 2 and wrong.stderr.splitlines()[-1].startswith("error: --retry netwrok: no row failed")
    assert run(prepare(out, csv, server, *options, "--retry", "network,blocked")).returncode == 0
    assert {row for row, state in states_of(out).items() if state["state"] == "failed"} == {4}
    assert sorted(ClipDataset(out, "all").identities) == ["v0", "v1", "v2", "v3", "v5"]
    assert not [path for path in (tmp_path / "set-sources").rglob("*") if path.suffix in (".mp4", ".mkv", ".part")]


def start(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, env=environment, **pipes)  # type: ignore[call-overload]


def test_a_run_that_is_killed_ten_times_ends_as_one_that_is_not(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv, _ = write_list(tmp_path, server, videos, 300)
    options = ("--workers", "2", "--chunk-rows", "8")
    assert run(prepare(tmp_path / "calm", csv, server, *options)).returncode == 0
    moments = random.Random(4)
    out, num_kills = tmp_path / "killed", 0
    while num_kills < 10:
        running = start(prepare(out, csv, server, *options))
        # Not before it works, and at any moment from then on.
        first, deadline = {path.name for path in out.glob("rows-*")} if out.exists() else set(), time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None:
            if out.exists() and {path.name for path in out.glob("rows-*")} - first:
                break
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.6))
        assert running.poll() is None, "it was done before it could be killed ten times"
        running.kill()
        running.wait()
        num_kills += 1
    assert len(states_of(out)) < 300
    assert run(prepare(out, csv, server, *options)).returncode == 0

    calm, killed = states_of(tmp_path / "calm"), states_of(out)
    assert len(calm) == len(killed) == 300
    for row, state in calm.items():
        assert {**killed[row], "message": ""} == {**state, "message": ""}
    clips = ClipDataset(out, "all").clip_ids
    assert len(clips) == len(set(clips))
    shards = {path.name: path.read_bytes() for path in (tmp_path / "calm").glob("*.parquet")}
    assert shards == {path.name: path.read_bytes() for path in out.glob("*.parquet")}
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "calm").iterdir()}
    for folder in ("killed-sources", "calm-sources"):
        leftovers = [path.name for path in (tmp_path / folder).rglob("*") if re.search(r"part|tmp|temp", path.name)]
        assert leftovers == []


def test_sigterm_publishes_what_is_done_and_says_how_to_go_on(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv, _ = write_list(tmp_path, server, videos, 30)
    out = tmp_path / "set"
    options = ("--workers", "1", "--chunk-rows", "30", "--max-per-hour", "3600", "--verbose")
    running = start(prepare(out, csv, server, *options))
    deadline = time.monotonic() + 120
    while len(server.requests) < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM
    assert errors.splitlines()[-1] == "stopped by SIGTERM; run the same command again to go on"
    assert "Traceback" not in errors
    assert 0 < len(states_of(out)) < 30  # of a chunk that was not done


def test_a_site_that_asks_for_a_human_ends_the_run_and_costs_no_row(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv, _ = write_list(tmp_path, server, videos, 30)
    out, sources = tmp_path / "set", tmp_path / "sources"
    running = start(
        prepare(out, csv, server, "--workers", "1", "--chunk-rows", "30", "--sleep", "0.5", "--sources", str(sources))
    )
    deadline = time.monotonic() + 120
    while len(server.requests) < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    pace.stop(sources, "the site asks for a human")  # as the process that fetches does when it hears so
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 2 and errors.splitlines()[-1] == "error: the site asks for a human"
    states = states_of(out)
    assert 0 < len(states) < 30 and all(
        state.get("reason") != "blocked" for row, state in states.items() if row % 10 < 3
    )
    assert run(prepare(out, csv, server, "--sources", str(sources), "--to-id", str(len(states) + 1))).returncode == 0
    assert len(states_of(out)) == len(states) + 1


def test_ten_thousand_bad_rows_all_have_their_state_and_nothing_is_published(
    server: VideoServer, tmp_path: Path
) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},5,4,.5,.5\n" for i in range(10_000)))
    done = run(prepare(tmp_path / "set", csv, server))
    assert done.returncode == 0, done.stderr
    status = json.loads(run(prepare(tmp_path / "set", csv, server, "--status", "--json")).stdout)
    assert status == {"rows": 10_000, "published": 0, "pending": 0, "failures": {"bad-row": 10_000}}


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},0.25,2.25,0.5,0.5\n" for i in range(4)))
    server.files = {f"v{i}": videos[f"persona-{i}"] for i in range(4)}
    out = tmp_path / "set"
    command = prepare(out, csv, server, "--workers", "1")
    size = min(path.stat().st_size for path in videos.values()) // 2

    def fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    full = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, preexec_fn=fill_disk)
    assert full.returncode == 2, full.stderr
    assert "run the same command again" in full.stderr.splitlines()[-1] and "Traceback" not in full.stderr
    assert run(command).returncode == 0
    assert len(ClipDataset(out, "all")) == 4


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--csv", "nowhere.csv"], "nowhere.csv: No such file"),
        (["--from-id", "9"], "rows 9 to the end: there are none, the list holds rows 0 to 1"),
        (["--sample-rate", "8000"], "--sample-rate 8000: voices are 16000 Hz in every data set"),
        (["--chunk-rows", "0"], "--chunk-rows 0: at least 1 expected"),
        (["--stride", "-1"], "--stride -1.0: a number above 0 expected"),
        (["--json"], "--json goes with --status"),
        (["--url-template", "http://example.org/"], "{id}"),
        (["--out", "nowhere://x/y"], "nowhere://x/y: fsspec can't reach this place"),
        (["--face-extraction-model", "insightface", "--insightface-root", "nowhere"], "insightface pack"),
    ],
)
def test_what_can_not_be_is_one_line(server: VideoServer, tmp_path: Path, options: list[str], line: str) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("a,0,3,.5,.5\n")
    done = run([*prepare(tmp_path / "set", csv, server), *options])
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_short_list_has_work_for_all_workers(server: VideoServer, tmp_path: Path) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},5,3,.5,.5\n" for i in range(20)))
    assert run(prepare(tmp_path / "set", csv, server)).returncode == 0
    assert len(list((tmp_path / "set").glob("rows-*-of-00007.jsonl"))) == 7
    assert len(states_of(tmp_path / "set")) == 20


def test_a_data_set_of_another_list_is_left_alone(server: VideoServer, tmp_path: Path) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("a,5,3,.5,.5\n")
    assert run(prepare(tmp_path / "set", csv, server)).returncode == 0
    csv.write_text("b,5,3,.5,.5\n")
    other = run(prepare(tmp_path / "set", csv, server))
    assert other.returncode == 2 and "another list of videos" in other.stderr
    csv.write_text("a,5,3,.5,.5\n")
    changed = run(prepare(tmp_path / "set", csv, server, "--face-size", "128"))
    assert changed.returncode == 2 and "made otherwise (face_size)" in changed.stderr


def test_two_workers_of_a_ray_cluster_make_the_same_data_set(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    csv, reasons = write_list(tmp_path, server, videos, 16)
    options = ("--workers", "2", "--chunk-rows", "4")
    done = run(prepare(tmp_path / "ray", csv, server, *options, "--executor", "ray"))
    assert done.returncode == 0, done.stderr
    states = states_of(tmp_path / "ray")
    assert {row: state["reason"] for row, state in states.items() if state["state"] == "failed"} == reasons
    assert run(prepare(tmp_path / "local", csv, server, *options)).returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "ray").glob("*.parquet")} == {
        path.name: path.read_bytes() for path in (tmp_path / "local").glob("*.parquet")
    }
    assert len(ClipDataset(tmp_path / "ray", "all")) == 16 - len(reasons)
