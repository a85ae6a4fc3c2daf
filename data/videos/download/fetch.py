"""From a row of a list to a local file: a thin interface to yt-dlp, with a cache, limits and named failures."""

from __future__ import annotations

import collections
import functools
import hashlib
import itertools
import random
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from data.errors import FetchStopped, MediaError, OutputError
from data.files import exclusive_lock
from data.videos.download import pace
from data.videos.download.completeness import check_source
from data.videos.download.config import FetchConfig
from data.videos.download.preflight import find_ffmpeg, preflight
from data.videos.download.refusals import Refusal, explain
from data.videos.download.remote import Limits, NotCuttableError, cut_section
from data.videos.plan.requests import SourceFile, VideoRequest

__all__ = ["FetchConfig", "FetchStopped", "SourceFile", "fetch", "forget", "preflight", "sweep", "wait_seconds"]


_SUFFIX = ".video"
_PARTIAL, _LOCK = ".partial", ".lock"
_FIRST_BACKOFF = 1.0  # seconds, doubled from attempt to attempt
_POLL_SECONDS = 0.1


def wait_seconds(row: VideoRequest, config: FetchConfig) -> float:
    """Reserve the moment at which a row's download may begin.

    Returns:
        Seconds until then; 0 where none is needed.

    Raises:
        FetchStopped: If a site has taken this machine for a robot since the run began.
        OutputError: If the folder of sources can't be written to.
    """
    if row.path is not None or _place(row, config).exists():
        return 0.0
    return pace.take_turn(config.folder, config.interval)


def fetch(row: VideoRequest, config: FetchConfig) -> SourceFile:
    """The row's video as a local file; downloaded, unless it is there already.

    Half a file is never taken for a whole one: files are checked against what the server and their own index say
    before they get their name.

    Raises:
        MediaError: `gone`, `private`, `blocked`, `age-restricted`, `live`, `network`, `not-a-video`, `no-format`,
            `too-large`, `truncated`, `out-of-range` or `fetch-failed`.
        FetchStopped: If the site takes this machine for a robot.
        OutputError: If the folder of sources can't be written to, or the disk is full.
    """
    if row.path is not None:
        return SourceFile(row.path, 0.0)
    place = _place(row, config)
    if (offset := _find(place)) is not None:
        return SourceFile(str(place), offset)
    pace.check_stop(config.folder)
    limits = Limits(time.monotonic() + config.time_limit, config.max_bytes)
    with _claimed(place, limits) as folder:
        if (offset := _find(place)) is None:  # another process may have been faster
            path = _download(row, config, folder, limits)
            try:
                offset = check_source(path)
            except MediaError as error:
                raise MediaError(error.reason, f"{_url(row, config)}: {error}") from error
            path.replace(place)
    return SourceFile(str(place), offset)


def forget(row: VideoRequest, config: FetchConfig) -> None:
    """Delete the row's file, which other rows of the video share where whole videos are fetched."""
    if row.path is None:
        _place(row, config).unlink(missing_ok=True)


def sweep(config: FetchConfig) -> None:
    """Remove what killed processes left unfinished, and let downloads begin again after a stop.

    What other processes are busy with is left alone.
    """
    if not config.folder.is_dir():
        return
    pace.clear_stop(config.folder)
    for leftover in [*config.folder.glob(f".*{_PARTIAL}"), *config.folder.glob(f".*{_LOCK}")]:
        place = leftover.with_name(leftover.name[1:].removesuffix(_PARTIAL).removesuffix(_LOCK))
        with suppress(TimeoutError), exclusive_lock(_hidden(place, _LOCK), time_limit=0):
            shutil.rmtree(_hidden(place, _PARTIAL), ignore_errors=True)


def _place(row: VideoRequest, config: FetchConfig) -> Path:
    """Where the row's file is kept; ids that differ in case alone, templates and heights have names of their own."""
    window = _window(row, config)
    span = f"_{window[0]:.3f}-{window[1]:.3f}" if window else ""
    digest = hashlib.sha256(f"{_url(row, config)}\t{config.height}\t{span}".encode()).hexdigest()
    return config.folder / f"v_{row.video_id}{span}_{digest[:10]}{_SUFFIX}"


def _window(row: VideoRequest, config: FetchConfig) -> tuple[float, float] | None:
    if not config.section or row.start is None or row.end is None:
        return None
    return max(0.0, row.start - config.margin), row.end + config.margin


def _url(row: VideoRequest, config: FetchConfig) -> str:
    return config.url_template.replace("{id}", urllib.parse.quote(row.video_id, safe=""))


def _find(place: Path) -> float | None:
    """Offset of a file that is there; None if it is not, or if a crash of the machine has damaged it."""
    if not place.exists():
        return None
    try:
        return check_source(place)
    except MediaError:
        place.unlink(missing_ok=True)
        return None


@contextmanager
def _claimed(place: Path, limits: Limits) -> Iterator[Path]:
    """An empty folder to download a file in, which no other process can have at the same time."""
    with ExitStack() as held:
        while True:
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(exclusive_lock(_hidden(place, _LOCK), time_limit=0))
                break
            except TimeoutError:
                limits.check(0)
                time.sleep(_POLL_SECONDS)
            except OSError as error:
                raise OutputError(
                    f"{place.parent}: can't be written to: {error.strerror or error}; choose another place"
                ) from error
        folder = _hidden(place, _PARTIAL)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _hidden(place: Path, suffix: str) -> Path:
    return place.with_name(f".{place.name}{suffix}")


def _download(row: VideoRequest, config: FetchConfig, folder: Path, limits: Limits) -> Path:
    """Try, and try again where that makes sense."""
    waited = 0.0
    for attempt in itertools.count():
        result = _attempt(row, config, folder, limits)
        if isinstance(result, Path):
            return result
        if result.wait is None or attempt == config.retries:
            raise result.error
        # At random, so that processes that were refused together do not come back together.
        backoff = _FIRST_BACKOFF * 2**attempt * random.uniform(0.5, 1.0)
        wait = max(result.wait, backoff) if result.is_busy else backoff / 4
        if result.is_busy and config.interval:
            pace.push_back(config.folder, wait)
        waited += wait
        if waited > config.max_backoff or time.monotonic() + wait > limits.deadline:
            raise result.error
        time.sleep(wait)
    raise AssertionError("unreachable")


def _attempt(row: VideoRequest, config: FetchConfig, folder: Path, limits: Limits) -> Path | Refusal:
    """One attempt: the file, or why there is none."""
    downloader, log = _open_downloader(config)
    log.lines.clear()
    url = _url(row, config)
    try:
        info = downloader.extract_info(url, download=False)
        _check_info(info)
        window = _window(row, config)
        if window is not None:
            try:
                path = folder / "section.mp4"
                cut_section(downloader, info.get("requested_formats") or [info], window, path, limits)
                return path
            except NotCuttableError:
                pass
        return _download_whole(downloader, info, folder, limits)
    except FetchStopped:
        raise
    except Exception as error:  # yt-dlp's extractors raise whatever their sites make them
        try:
            return explain(error, url, log.lines)
        except FetchStopped as stopped:
            pace.stop(config.folder, str(stopped))
            raise


def _check_info(info: dict[str, Any] | None) -> None:
    """Refuse what is no single, finished video."""
    if info is None:
        raise MediaError("not-a-video", "nothing is there")
    if info.get("_type", "video") != "video":
        raise MediaError("not-a-video", "a list of videos, not one")
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming", "post_live"):
        raise MediaError("live", "a live stream, or one that has not begun")


def _download_whole(downloader: Any, info: dict[str, Any], folder: Path, limits: Limits) -> Path:
    """All of the video, by yt-dlp's own downloaders."""

    def watch(progress: dict[str, Any]) -> None:
        limits.check(progress.get("downloaded_bytes") or 0, progress.get("total_bytes") or 0)

    downloader.params["outtmpl"] = {"default": str(folder / "source").replace("%", "%%") + ".%(ext)s"}
    downloader.add_progress_hook(watch)
    try:
        info = downloader.process_ie_result(info, download=True)
    finally:
        downloader._progress_hooks.remove(watch)
    paths = [Path(done["filepath"]) for done in info.get("requested_downloads") or ()]
    if not paths or not paths[0].is_file():
        raise MediaError("network", "nothing was downloaded")
    return paths[0]


class _Log:
    """What yt-dlp says goes here instead of to the terminal."""

    def __init__(self) -> None:
        self.lines: collections.deque[str] = collections.deque(maxlen=50)

    def debug(self, message: str) -> None:
        """Progress: of no interest."""

    def warning(self, message: str) -> None:
        """Kept for explanations."""
        self.lines.append(message)

    error = warning


@functools.lru_cache(maxsize=1)
def _open_downloader(config: FetchConfig) -> tuple[Any, _Log]:
    """yt-dlp's, one a process: making it costs more than a download on a fast network."""
    import yt_dlp

    log = _Log()
    options = {
        "quiet": True,
        "noprogress": True,
        "logger": log,
        "noplaylist": True,
        "extract_flat": "in_playlist",  # a page of many videos is not followed
        "playlistend": 1,
        "cachedir": str(config.folder / ".yt-dlp"),
        "socket_timeout": config.socket_timeout,
        "buffersize": 128,  # at first: slow servers shall not escape the deadline
        "retries": 0,  # retries are ours, with their back-off
        "fragment_retries": config.retries,
        "extractor_retries": config.retries,
        "file_access_retries": 0,
        "fixup": "never",
        "updatetime": False,
        "format": "bv*+ba/b/bv*/ba",
        "format_sort": [f"res:{config.height}", "proto", "vcodec:h264", "acodec:aac", "+size"],
        "ffmpeg_location": find_ffmpeg(),
        "js_runtimes": {name: {} for name in ("deno", "node", "bun", "quickjs")},
        "cookiefile": str(config.cookies) if config.cookies else None,
    }
    return yt_dlp.YoutubeDL(options), log
