"""The real command against a server on loopback: real HTTP, yt-dlp, decoders, detectors; with every fault at once."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from data.personas.footage.server import Fault, VideoServer
from data.store.dataset import ClipDataset
from tests.commands import call_script, run_script
from tests.integration.avspeech import failures_of, outcomes_of, prepare, write_list

pytest.importorskip("dlib")
pytest.importorskip("yt_dlp")

NUM_ROWS = 70
"""The least that hold each thing that can go wrong once."""


def content_of(out: Path) -> dict[str, object]:
    """Every file of a data set: outcomes as text, shards by column."""
    return {
        path.name: path.read_text() if path.suffix != ".parquet" else pq.read_table(path).to_pylist()
        for path in sorted(out.iterdir())
    }


def test_every_row_is_published_or_fails_by_name(server: VideoServer, videos: dict[str, Path], tmp_path: Path) -> None:
    csv, reasons = write_list(tmp_path, server, videos, NUM_ROWS)
    out = tmp_path / "set"
    done = run_script(*prepare(out, csv, server, "--workers", 2, "--chunk-rows", 10, "--window", 0.025))
    assert done.returncode == 0, done.stderr
    assert failures_of(out) == reasons
    assert len(outcomes_of(out)) == NUM_ROWS
    dataset = ClipDataset(out, "all")
    assert len(dataset) == NUM_ROWS - len(reasons) and len(set(dataset.clip_ids)) == len(dataset)
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

    status = json.loads(call_script(*prepare(out, csv, server, "--status", "--json")).stdout)
    assert (status["rows"], status["published"], status["pending"]) == (NUM_ROWS, len(dataset), 0)
    assert sum(status["failures"].values()) == len(reasons)
    assert "published" in call_script(*prepare(out, csv, server, "--status")).stdout

    before, num_requests = content_of(out), len(server.requests)
    again = call_script(*prepare(out, csv, server))
    assert again.returncode == 0 and content_of(out) == before and len(server.requests) == num_requests


def test_ranges_of_rows_and_second_attempts_complete_a_data_set(
    server: VideoServer, videos: dict[str, Path], tmp_path: Path
) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},0.25,2.25,0.5,0.5\n" for i in range(6)))
    server.files = {f"v{i}": videos[f"persona-{i % 4}"] for i in range(6)}
    server.faults = {"v1": Fault("status", 500), "v2": Fault("status", 403), "v4": Fault("status", 404)}
    out = tmp_path / "set"
    options = ("--chunk-rows", 4, "--workers", 1, "--low-memory")
    assert call_script(*prepare(out, csv, server, *options, "--to-id", 3)).returncode == 0
    assert sorted(outcomes_of(out)) == [0, 1, 2]
    assert call_script(*prepare(out, csv, server, *options, "--from-id", 3)).returncode == 0
    assert len(outcomes_of(out)) == 6 and failures_of(out) == {1: "network", 2: "blocked", 4: "gone"}
    server.faults = {}
    wrong = call_script(*prepare(out, csv, server, "--retry", "netwrok"))
    assert wrong.returncode == 2 and wrong.stderr.splitlines()[-1].startswith("error: --retry netwrok: no row failed")
    assert call_script(*prepare(out, csv, server, *options, "--retry", "network,blocked")).returncode == 0
    assert failures_of(out) == {4: "gone"}
    assert sorted(ClipDataset(out, "all").identities) == ["v0", "v1", "v2", "v3", "v5"]
    assert not [path for path in (tmp_path / "set-sources").rglob("*") if path.suffix in (".mp4", ".mkv", ".part")]


def test_ten_thousand_bad_rows_all_have_their_outcome_and_nothing_is_published(
    server: VideoServer, tmp_path: Path
) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},5,4,.5,.5\n" for i in range(10_000)))
    done = call_script(*prepare(tmp_path / "set", csv, server))
    assert done.returncode == 0, done.stderr
    status = json.loads(call_script(*prepare(tmp_path / "set", csv, server, "--status", "--json")).stdout)
    assert status == {"rows": 10_000, "published": 0, "pending": 0, "failures": {"bad-row": 10_000}}


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
    done = call_script(*prepare(tmp_path / "set", csv, server), *options)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_short_list_has_work_for_all_workers(server: VideoServer, tmp_path: Path) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("".join(f"v{i},5,3,.5,.5\n" for i in range(20)))
    assert call_script(*prepare(tmp_path / "set", csv, server)).returncode == 0
    assert len(list((tmp_path / "set").glob("rows-*-of-00007.jsonl"))) == 7
    assert len(outcomes_of(tmp_path / "set")) == 20


def test_a_data_set_of_another_list_is_left_alone(server: VideoServer, tmp_path: Path) -> None:
    csv = tmp_path / "list.csv"
    csv.write_text("a,5,3,.5,.5\n")
    assert call_script(*prepare(tmp_path / "set", csv, server)).returncode == 0
    csv.write_text("b,5,3,.5,.5\n")
    other = call_script(*prepare(tmp_path / "set", csv, server))
    assert other.returncode == 2 and "another list of videos" in other.stderr
    csv.write_text("a,5,3,.5,.5\n")
    changed = call_script(*prepare(tmp_path / "set", csv, server, "--face-size", 128))
    assert changed.returncode == 2 and "made otherwise (face_size)" in changed.stderr
