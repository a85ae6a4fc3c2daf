from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import FetchStopped, MediaError, OutputError
from data.personas.footage.server import Fault, VideoServer
from data.videos.download.config import FetchConfig
from data.videos.download.fetch import fetch, forget, sweep, wait_seconds
from data.videos.plan.requests import VideoRequest

ROOT = Path(__file__).resolve().parents[4]
SPAWN = multiprocessing.get_context("spawn")


def row(video_id: str, start: float | None = 4.3, end: float | None = 10.3) -> VideoRequest:
    return VideoRequest(0, video_id, video_id, video_id, start, end)


def config(folder: Path, server: VideoServer, **changes: object) -> FetchConfig:
    settings = {"url_template": server.url_template, "socket_timeout": 20.0, "retries": 0}
    return FetchConfig(folder, **{**settings, **changes})


def names(folder: Path) -> list[str]:
    """All that lies there, whatever it is."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".pace.json")


@pytest.fixture
def video(clock_videos: dict[str, Path]) -> Path:
    return clock_videos["fast.mp4"]


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been slept."""
    slept: list[float] = []
    monkeypatch.setattr("data.videos.download.fetch.time.sleep", slept.append)
    return slept


FAULTS = [
    ("gone", Fault("status", 404)),
    ("gone", Fault("status", 410)),
    ("private", Fault("status", 401)),
    ("blocked", Fault("status", 403)),
    ("blocked", Fault("status", 429)),
    ("blocked", Fault("status", 451)),
    ("network", Fault("status", 500)),
    ("network", Fault("status", 503)),
    ("network", Fault("reset")),
    ("network", Fault("reset", share=0.0)),
    ("network", Fault("stall")),
    ("network", Fault("silence")),
    ("network", Fault("trickle")),
    ("network", Fault("half")),
    ("truncated", Fault("cut")),
    ("not-a-video", Fault("html")),
    ("not-a-video", Fault("rubbish")),
]


@pytest.mark.parametrize("is_section", [True, False])
@pytest.mark.parametrize("reason, fault", FAULTS, ids=lambda value: getattr(value, "kind", value))
def test_a_fault_has_a_name_leaves_nothing_and_costs_little_time(
    reason: str, fault: Fault, is_section: bool, video: Path, tmp_path: Path
) -> None:
    with VideoServer({"id": video}, {"id": fault}) as server:
        # Short limits only where they are to end it: the machine may be busy.
        socket_timeout = 0.25 if fault.kind in ("stall", "silence") else 20.0
        time_limit = 0.5 if fault.kind == "trickle" else 60.0
        settings = config(tmp_path, server, section=is_section, socket_timeout=socket_timeout, time_limit=time_limit)
        start = time.monotonic()
        with pytest.raises(MediaError) as caught:
            fetch(row("id"), settings)
        assert caught.value.reason == reason
        assert server.url("id") in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - start < 15
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["fast.mp4", "slow.mp4", "fragmented.mp4", "plain.webm", "b-frames.mkv"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.97])
def test_half_a_file_is_refused_wherever_its_index_is(
    share: float, name: str, clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer({"id": clock_videos[name]}, {"id": Fault("cut", share=share)}) as server:
        with pytest.raises(MediaError) as caught:
            fetch(row("id"), config(tmp_path, server, section=False))
        assert caught.value.reason == "truncated"
        # A section in the part that is there is as good as any.
        if name != "fragmented.mp4" and share < 0.9:
            with pytest.raises(MediaError) as caught:
                fetch(row("id"), config(tmp_path, server))
            assert caught.value.reason == "truncated"


@pytest.mark.parametrize("is_section", [True, False])
def test_a_video_that_calls_itself_text_is_a_video(is_section: bool, video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video}, {"id": Fault("wrong-type")}) as server:
        assert Path(fetch(row("id"), config(tmp_path, server, section=is_section)).path).is_file()


@pytest.mark.parametrize("is_section", [True, False])
@pytest.mark.parametrize("fault", [Fault("reset", times=2), Fault("half", times=2), Fault("status", 500, times=1)])
def test_what_passes_is_tried_again(
    fault: Fault, is_section: bool, video: Path, tmp_path: Path, no_sleep: list[float]
) -> None:
    with VideoServer({"id": video}, {"id": fault}) as server:
        source = fetch(row("id"), config(tmp_path, server, section=is_section, retries=2))
        assert Path(source.path).is_file()
    assert 1 <= len(no_sleep) <= 2 and max(no_sleep) < 1


def test_retry_after_is_respected(video: Path, tmp_path: Path, no_sleep: list[float]) -> None:
    with VideoServer({"id": video}, {"id": Fault("status", 429, retry_after="17", times=2)}) as server:
        fetch(row("id"), config(tmp_path, server, retries=2))
        assert no_sleep == [17.0, 17.0]


def test_a_server_that_asks_for_too_much_patience_gets_none(video: Path, tmp_path: Path, no_sleep: list[float]) -> None:
    with VideoServer({"id": video}, {"id": Fault("status", 429, retry_after="3600")}) as server:
        with pytest.raises(MediaError, match="429"):
            fetch(row("id"), config(tmp_path, server, retries=5))
        assert server.num_requests("id") == 1 and no_sleep == []


def test_without_retry_after_the_wait_doubles_at_random(video: Path, tmp_path: Path, no_sleep: list[float]) -> None:
    with VideoServer({"id": video}, {"id": Fault("status", 503)}) as server:
        with pytest.raises(MediaError, match="503"):
            fetch(row("id"), config(tmp_path, server, retries=4))
        assert server.num_requests("id") == 5
    assert [0.5 <= wait / 2**attempt <= 1 for attempt, wait in enumerate(no_sleep)] == [True] * 4


def test_a_busy_server_slows_all_processes_down_that_keep_a_pace(video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video}, {"id": Fault("status", 429, retry_after="1", times=1)}) as server:
        settings = config(tmp_path, server, retries=1, max_per_hour=3600 * 50)
        fetch(row("id"), settings)
        assert wait_seconds(row("other"), settings) == 0.0
        server.faults["third"] = Fault("status", 429, retry_after="50")
        with pytest.raises(MediaError):
            fetch(row("third"), replace(settings, max_backoff=1.0))
        assert 40 < wait_seconds(row("other"), settings) <= 50


def test_what_is_there_is_not_fetched_again(video: Path, tmp_path: Path) -> None:
    with VideoServer({"-1nRm4tQL0A": video, "-1nRm4tQL0a": video}) as server:
        settings = config(tmp_path, server, max_per_hour=1)
        source = fetch(row("-1nRm4tQL0A"), settings)
        num_requests = len(server.requests)
        assert fetch(row("-1nRm4tQL0A"), settings) == source
        assert wait_seconds(row("-1nRm4tQL0A"), settings) == 0.0
        assert len(server.requests) == num_requests
        others = {
            fetch(row("-1nRm4tQL0A", 5.3, 7.3), settings).path,
            fetch(row("-1nRm4tQL0a"), settings).path.lower(),  # on some disks capitals don't matter
            fetch(row("-1nRm4tQL0A"), replace(settings, height=240)).path,
            source.path.lower(),
        }
        assert len(others) == 4


def test_a_whole_video_serves_all_its_rows(video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video}) as server:
        settings = config(tmp_path, server, section=False)
        sources = {fetch(row("id", start, start + 2), settings) for start in (1.0, 5.0)}
        sources.add(fetch(row("id", None, None), replace(settings, section=True)))
        assert len(sources) == 1 and server.num_requests("id") == 2


def test_a_source_that_a_crash_of_the_machine_has_emptied_is_fetched_again(video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video}) as server:
        source = fetch(row("id"), config(tmp_path, server))
        content = Path(source.path).read_bytes()
        for damaged in (b"", content[:1000], bytes(len(content))):
            Path(source.path).write_bytes(damaged)
            assert fetch(row("id"), config(tmp_path, server)) == source
            assert Path(source.path).stat().st_size == len(content)


def test_forgetting_deletes_the_file_and_no_other(video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video}) as server:
        settings = config(tmp_path, server)
        first, second = fetch(row("id", 1.0, 3.0), settings), fetch(row("id", 5.0, 7.0), settings)
        forget(row("id", 1.0, 3.0), settings)
        forget(row("id", 1.0, 3.0), settings)
        assert not Path(first.path).exists() and Path(second.path).exists()


@pytest.mark.parametrize("video_id", ["-1nRm4tQL0A", "--help", ".hidden", "a.exe", "a~b.mp4", "x" * 80])
@pytest.mark.parametrize("is_section", [True, False])
def test_any_id_that_a_list_may_hold_can_be_fetched(
    video_id: str, is_section: bool, video: Path, tmp_path: Path
) -> None:
    with VideoServer({video_id: video}) as server:
        source = fetch(row(video_id), config(tmp_path, server, section=is_section))
    assert Path(source.path).parent == tmp_path
    assert names(tmp_path) == [Path(source.path).name]
    assert Path(source.path).name.startswith("v_")


def test_local_files_are_taken_as_they_are(tmp_path: Path) -> None:
    settings = FetchConfig(tmp_path / "none")
    local = VideoRequest(0, "a", "a", "a", path="/somewhere/a.mp4")
    assert fetch(local, settings).path == "/somewhere/a.mp4"
    assert wait_seconds(local, settings) == 0.0
    forget(local, settings)
    sweep(settings)
    assert not (tmp_path / "none").exists()


def test_a_video_that_is_too_large_is_refused_at_once(video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video, "odd": video}, {"odd": Fault("no-length")}) as server:
        for video_id in ("id", "odd"):
            for is_section in (True, False):
                with pytest.raises(MediaError) as caught:
                    fetch(row(video_id), config(tmp_path, server, section=is_section, max_bytes=20_000))
                assert caught.value.reason == "too-large"


def test_a_page_of_several_videos_is_not_followed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with VideoServer({"id": page}) as server:
        videos = "".join(f'<video src="{server.url(name)}&x=.mp4"></video>' for name in ("one", "two"))
        page.write_text(f"<!DOCTYPE html><html><body>{videos}</body></html>")
        with pytest.raises(MediaError) as caught:
            fetch(row("id"), config(tmp_path / "sources", server))
        assert caught.value.reason == "not-a-video"
        assert server.num_requests("one") == server.num_requests("two") == 0


@pytest.mark.parametrize("is_section", [True, False])
def test_cookies_go_to_their_site_and_their_file_stays_as_it_is(is_section: bool, video: Path, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    content = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tvisitor\tsecret\n"
    cookies.write_text(content)
    with VideoServer({"id": video}) as server:
        fetch(row("id"), config(tmp_path, server, section=is_section, cookies=cookies))
        assert {request.cookie for request in server.requests} == {"visitor=secret"}
    assert cookies.read_text() == content


def test_a_server_that_nobody_listens_at_is_a_failure_of_the_network(tmp_path: Path) -> None:
    with VideoServer({}) as server:
        settings = config(tmp_path, server)
    for template in (settings.url_template, "http://nowhere.invalid/{id}"):
        with pytest.raises(MediaError) as caught:
            fetch(row("id"), replace(settings, url_template=template))
        assert caught.value.reason == "network"


ROBOT = Fault("status", 403, reason="Sign in to confirm you're not a bot")


def _outcome(video_id: str, settings: FetchConfig) -> str:
    try:
        return fetch(row(video_id), settings).path
    except FetchStopped as stopped:
        return f"stopped: {stopped}"


@pytest.mark.slow
def test_a_check_for_robots_stops_all_processes_until_the_next_run(video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video, "other": video}, {"id": ROBOT}) as server:
        settings = config(tmp_path, server)
        with pytest.raises(FetchStopped, match="--max-per-hour"):
            fetch(row("id"), settings)
        with SPAWN.Pool(1) as pool:
            assert pool.apply(_outcome, ("other", settings)).startswith("stopped: ")
        with pytest.raises(FetchStopped):
            wait_seconds(row("other"), settings)
        assert server.num_requests("other") == 0
        sweep(settings)
        assert Path(fetch(row("other"), settings).path).is_file()


def _wait_for(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("is_section", [True, False])
def test_what_a_killed_process_left_is_swept_and_what_a_living_one_does_is_not(
    is_section: bool, clock_videos: dict[str, Path], tmp_path: Path
) -> None:
    with VideoServer({"id": clock_videos["fast.mp4"]}, {"id": Fault("stall")}) as server:
        settings = config(tmp_path, server, section=is_section, socket_timeout=60.0)
        process = SPAWN.Process(target=_outcome, args=("id", settings), daemon=True)
        process.start()
        _wait_for(lambda: server.num_requests("id") == 2 and len(names(tmp_path)) > 1)
        sweep(settings)
        assert len(names(tmp_path)) > 1
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert len(names(tmp_path)) > 1
        sweep(settings)
        assert names(tmp_path) == []
        server.faults.clear()
        assert Path(fetch(row("id"), settings).path).is_file()


@pytest.mark.slow
def test_a_file_that_two_processes_want_is_downloaded_once(video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video}) as server:
        settings = config(tmp_path, server, section=False)
        with SPAWN.Pool(3) as pool:
            paths = set(pool.starmap(_outcome, [("id", settings)] * 3, chunksize=1))
        assert len(paths) == 1 and names(tmp_path) == [Path(paths.pop()).name]
        assert server.num_requests("id") == 2


def _fetch_with_little_room(video_id: str, settings: FetchConfig, num_bytes: int) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
    try:
        return fetch(row(video_id), settings).path
    except OutputError as error:
        return f"full: {error}"


@pytest.mark.slow
@pytest.mark.parametrize("is_section", [True, False])
def test_a_full_disk_is_an_error_of_the_output(is_section: bool, video: Path, tmp_path: Path) -> None:
    with VideoServer({"id": video}) as server, SPAWN.Pool(1) as pool:
        settings = config(tmp_path, server, section=is_section)
        assert "free some space" in pool.apply(_fetch_with_little_room, ("id", settings, 10_000))
    assert names(tmp_path) == []


def test_a_folder_that_can_not_be_written_to_is_an_error_of_the_output(video: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with VideoServer({"id": video}) as server, pytest.raises(OutputError, match="choose another place"):
        fetch(row("id"), config(tmp_path / "file", server))


ALONE = """
import json, sys
from data.videos.download.config import FetchConfig
from data.videos.download.fetch import fetch
from data.videos.plan.requests import VideoRequest
for section in (True, False):
    row = VideoRequest(0, "id", "id", "id", 4.3, 7.3)
    fetch(row, FetchConfig(sys.argv[1], sys.argv[2], section=section))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.slow
def test_a_process_that_fetches_is_light_and_touches_nothing_else(video: Path, tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    (home / ".config" / "yt-dlp").mkdir(parents=True)
    (home / ".config" / "yt-dlp" / "config").write_text("--no-such-option\n--simulate\n")
    here.mkdir()
    before = names(home)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with VideoServer({"id": video}) as server:
        command = [sys.executable, "-c", ALONE, str(tmp_path / "sources"), server.url_template]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert not {"torch", "onnxruntime", "dlib"} & set(json.loads(done.stdout))
    assert names(home) == before and names(here) == []
    assert len(names(tmp_path / "sources")) == 2


def test_the_server_answers_many_at_once(video: Path) -> None:
    faults = {"slow": Fault("silence"), "bad": Fault("reset")}
    with VideoServer({"id": video, **dict.fromkeys(faults, video)}, faults) as server:

        def get(number: int) -> int:
            name = ("id", "bad")[number % 8 == 0]
            try:
                with urllib.request.urlopen(server.url(name), timeout=20) as answer:
                    return len(answer.read())
            except OSError:
                return -1

        slow = [threading.Thread(target=_swallow, args=(server.url("slow"),), daemon=True) for _ in range(8)]
        for thread in slow:
            thread.start()
        with ThreadPoolExecutor(32) as pool:
            sizes = list(pool.map(get, range(200)))
    assert sizes.count(video.stat().st_size) == 175
    assert len(server.requests) >= 200


def _swallow(url: str) -> None:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(url, timeout=20).read()
