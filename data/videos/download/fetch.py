"""From a request to a local file: a thin interface to yt-dlp, with a cache, limits and named failures."""

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


def wait_seconds(request: VideoRequest, config: FetchConfig) -> float:
    """Reserve the moment at which a request's download may begin.

    Returns:
        Seconds until then; 0 if nothing is to be downloaded.

    Raises:
        FetchStopped: If a site has taken this machine for a robot since the run began.
        OutputError: If the folder of sources can't be written to.
    """
    if request.path is not None or _cached_path(request, config).exists():
        return 0.0
    return pace.take_turn(config.folder, config.interval)


def fetch(request: VideoRequest, config: FetchConfig) -> SourceFile:
    """The request's video as a local file, downloaded unless it is there already.

    A file gets its name only after it was checked against its own index and the size that the server declared.

    Raises:
        MediaError: `gone`, `private`, `blocked`, `age-restricted`, `live`, `network`, `not-a-video`, `no-format`,
            `too-large`, `truncated`, `out-of-range` or `fetch-failed`.
        FetchStopped: If the site takes this machine for a robot.
        OutputError: If the folder of sources can't be written to, or the disk is full.
    """
    if request.path is not None:
        return SourceFile(request.path)
    target = _cached_path(request, config)
    if (found := _find(target)) is not None:
        return found
    pace.check_stop(config.folder)
    limits = Limits(time.monotonic() + config.time_limit, config.max_bytes)
    with _claimed(target, limits) as folder:
        if (found := _find(target)) is None:  # another process may have been faster
            path = _download(request, config, folder, limits)
            try:
                origin = check_source(path)
            except MediaError as error:
                raise MediaError(error.reason, f"{_url(request, config)}: {error}") from error
            path.replace(target)
            found = SourceFile(str(target), origin)
    return found


def forget(request: VideoRequest, config: FetchConfig) -> None:
    """Delete the request's file, which other requests of the same video share where whole videos are fetched."""
    if request.path is None:
        _cached_path(request, config).unlink(missing_ok=True)


def sweep(config: FetchConfig) -> None:
    """Remove what killed processes left unfinished, and let downloads begin again after a stop.

    What other processes are busy with is left alone.
    """
    if not config.folder.is_dir():
        return
    pace.clear_stop(config.folder)
    for leftover in [*config.folder.glob(f".*{_PARTIAL}"), *config.folder.glob(f".*{_LOCK}")]:
        target = leftover.with_name(leftover.name[1:].removesuffix(_PARTIAL).removesuffix(_LOCK))
        with suppress(TimeoutError), exclusive_lock(_hidden(target, _LOCK), time_limit=0):
            shutil.rmtree(_hidden(target, _PARTIAL), ignore_errors=True)


def _cached_path(request: VideoRequest, config: FetchConfig) -> Path:
    """Path of the request's file; a hash tells ids apart that differ in case alone, templates and heights."""
    window = _window(request, config)
    span = f"_{window[0]:.3f}-{window[1]:.3f}" if window else ""
    # Sections of earlier versions did not say where the video begins; they are not taken for ones of today.
    kind = "origin" if window else ""
    digest = hashlib.sha256(f"{_url(request, config)}\t{config.height}\t{span}{kind}".encode()).hexdigest()
    return config.folder / f"v_{request.video_id}{span}_{digest[:10]}{_SUFFIX}"


def _window(request: VideoRequest, config: FetchConfig) -> tuple[float, float] | None:
    if not config.section or request.start is None or request.end is None:
        return None
    return max(0.0, request.start - config.margin), request.end + config.margin


def _url(request: VideoRequest, config: FetchConfig) -> str:
    return config.url_template.replace("{id}", urllib.parse.quote(request.video_id, safe=""))


def _find(target: Path) -> SourceFile | None:
    """The file that is there; None if it is missing, or damaged by a crash of the machine."""
    if not target.exists():
        return None
    try:
        return SourceFile(str(target), check_source(target))
    except MediaError:
        target.unlink(missing_ok=True)
        return None


@contextmanager
def _claimed(target: Path, limits: Limits) -> Iterator[Path]:
    """An empty folder to download a file in, which no other process can have at the same time."""
    with ExitStack() as held:
        while True:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(exclusive_lock(_hidden(target, _LOCK), time_limit=0))
                break
            except TimeoutError:
                limits.check(0)
                time.sleep(_POLL_SECONDS)
            except OSError as error:
                raise OutputError(
                    f"{target.parent}: can't be written to: {error.strerror or error}; choose another place"
                ) from error
        folder = _hidden(target, _PARTIAL)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _hidden(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}{suffix}")


def _download(request: VideoRequest, config: FetchConfig, folder: Path, limits: Limits) -> Path:
    """Attempts until one succeeds or another one makes no sense."""
    waited = 0.0
    for attempt in itertools.count():
        result = _attempt(request, config, folder, limits)
        if isinstance(result, Path):
            return result
        if result.wait is None or attempt == config.retries:
            raise result.error
        # Random, so that processes that were refused together don't retry together.
        backoff = _FIRST_BACKOFF * 2**attempt * random.uniform(0.5, 1.0)
        wait = max(result.wait, backoff) if result.is_busy else backoff / 4
        if result.is_busy and config.interval:
            pace.push_back(config.folder, wait)
        waited += wait
        if waited > config.max_backoff or time.monotonic() + wait > limits.deadline:
            raise result.error
        time.sleep(wait)
    raise AssertionError("unreachable")


def _attempt(request: VideoRequest, config: FetchConfig, folder: Path, limits: Limits) -> Path | Refusal:
    """The file that one attempt gives, or why it gives none."""
    downloader, log = _open_downloader(config)
    log.lines.clear()
    url = _url(request, config)
    try:
        info = downloader.extract_info(url, download=False)
        _check_info(info)
        window = _window(request, config)
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
    except Exception as error:  # yt-dlp's extractors raise exceptions of any type
        try:
            return explain(error, url, log.lines)
        except FetchStopped as stopped:
            pace.stop(config.folder, str(stopped))
            raise


def _check_info(info: dict[str, Any] | None) -> None:
    """Refuse anything but a single, finished video."""
    if info is None:
        raise MediaError("not-a-video", "nothing is there")
    if info.get("_type", "video") != "video":
        raise MediaError("not-a-video", "a list of videos, not one")
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming", "post_live"):
        raise MediaError("live", "a live stream, or one that has not begun")


def _download_whole(downloader: Any, info: dict[str, Any], folder: Path, limits: Limits) -> Path:
    """The whole video, by yt-dlp's own downloaders."""

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
    """Collects yt-dlp's messages, which would go to the terminal."""

    def __init__(self) -> None:
        self.lines: collections.deque[str] = collections.deque(maxlen=50)

    def debug(self, message: str) -> None:
        """Ignore progress."""

    def warning(self, message: str) -> None:
        """Keep a message for explanations of failures."""
        self.lines.append(message)

    error = warning


@functools.lru_cache(maxsize=1)
def _open_downloader(config: FetchConfig) -> tuple[Any, _Log]:
    """yt-dlp's downloader and its log, one a process: making it costs more than a download on a fast network."""
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
        "buffersize": 128,  # at first, so that the deadline is checked with slow servers, too
        "retries": 0,  # `_download` retries, with a back-off
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
