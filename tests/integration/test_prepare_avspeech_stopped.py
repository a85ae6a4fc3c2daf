"""Preparations that are killed, stopped, or out of space, and go on; and those that a cluster makes."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from data.personas.footage.server import VideoServer
from data.store.dataset import ClipDataset
from data.videos.download import pace
from tests.commands import call_script, run_script, start_script
from tests.integration.avspeech import failures_of, outcomes_of, prepare, write_list

pytest.importorskip("dlib")
pytest.importorskip("yt_dlp")

NUM_ROWS, NUM_KILLS = 60, 3


def wait_for_requests(running: subprocess.Popen[str], server: VideoServer, number: int) -> None:
    deadline = time.monotonic() + 120
    while len(server.requests) < number:
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv, _ = write_list(tmp_path, server, videos, NUM_ROWS)
    options = ("--workers", 2, "--chunk-rows", 3)
    assert run_script(*prepare(tmp_path / "calm", csv, server, *options)).returncode == 0
    moments = random.Random(4)
    out = tmp_path / "killed"
    for _ in range(NUM_KILLS):
        running = start_script(*prepare(out, csv, server, *options))
        # Not before it works, and at any moment from then on.
        first, deadline = set(out.glob("rows-*")), time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None and not set(out.glob("rows-*")) - first:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.6))
        assert running.poll() is None, f"it was done before it could be killed {NUM_KILLS} times"
        running.kill()
        running.communicate()
    assert len(outcomes_of(out)) < NUM_ROWS
    assert run_script(*prepare(out, csv, server, *options)).returncode == 0

    calm, killed = outcomes_of(tmp_path / "calm"), outcomes_of(out)
    assert len(calm) == len(killed) == NUM_ROWS
    for row, outcome in calm.items():
        assert {**killed[row], "message": ""} == {**outcome, "message": ""}
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
    options = ("--workers", 1, "--chunk-rows", 30, "--max-per-hour", 3600, "--verbose")
    running = start_script(*prepare(out, csv, server, *options))
    wait_for_requests(running, server, 8)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM
    assert errors.splitlines()[-1] == "stopped by SIGTERM; run the same command again to go on"
    assert "Traceback" not in errors
    assert 0 < len(outcomes_of(out)) < 30  # of a chunk that was not done


def test_a_site_that_asks_for_a_human_ends_the_run_and_costs_no_row(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv, _ = write_list(tmp_path, server, videos, 30)
    out, sources = tmp_path / "set", tmp_path / "sources"
    options = ("--workers", 1, "--chunk-rows", 30, "--sleep", 0.5, "--sources", sources)
    running = start_script(*prepare(out, csv, server, *options))
    wait_for_requests(running, server, 8)
    pace.stop(sources, "the site asks for a human")  # as the process that fetches does when it hears so
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 2 and errors.splitlines()[-1] == "error: the site asks for a human"
    outcomes = outcomes_of(out)
    assert 0 < len(outcomes) < 30
    assert all(outcome.get("reason") != "blocked" for row, outcome in outcomes.items() if row % 10 < 3)
    more = prepare(out, csv, server, "--sources", sources, "--to-id", len(outcomes) + 1)
    assert call_script(*more).returncode == 0
    assert len(outcomes_of(out)) == len(outcomes) + 1


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},0.25,2.25,0.5,0.5\n" for i in range(4)))
    server.files = {f"v{i}": videos[f"persona-{i}"] for i in range(4)}
    out = tmp_path / "set"
    command = prepare(out, csv, server, "--workers", 1)
    full = run_script(*command, max_file_size=min(path.stat().st_size for path in videos.values()) // 2)
    assert full.returncode == 2, full.stderr
    assert "run the same command again" in full.stderr.splitlines()[-1] and "Traceback" not in full.stderr
    assert call_script(*command).returncode == 0
    assert len(ClipDataset(out, "all")) == 4


def test_two_workers_of_a_ray_cluster_make_the_same_data_set(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    csv, reasons = write_list(tmp_path, server, videos, 16)
    options = ("--workers", 2, "--chunk-rows", 4)
    done = run_script(*prepare(tmp_path / "ray", csv, server, *options, "--executor", "ray"))
    assert done.returncode == 0, done.stderr
    assert failures_of(tmp_path / "ray") == reasons
    assert call_script(*prepare(tmp_path / "local", csv, server, *options)).returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "ray").glob("*.parquet")} == {
        path.name: path.read_bytes() for path in (tmp_path / "local").glob("*.parquet")
    }
    assert len(ClipDataset(tmp_path / "ray", "all")) == 16 - len(reasons)
