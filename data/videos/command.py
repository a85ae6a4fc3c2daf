"""The part that commands share which prepare videos: arguments, and what is printed."""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import ConfigError, OutputError
from data.faces.analyzer import smallest_face
from data.media.waveform import SAMPLE_RATE
from data.sources.arguments import (
    add_face_arguments,
    add_private_argument,
    add_split_arguments,
    add_voice_activity_argument,
    face_settings,
)
from data.store.clip import SPLITS
from data.store.shards import INFO_NAME, decode_info
from data.store.storage import Storage
from data.videos.download.config import FetchConfig
from data.videos.download.preflight import preflight
from data.videos.plan.outcomes import Status
from data.videos.plan.requests import RequestList
from data.videos.prepare import CHUNK_ROWS, RunResult, VideosConfig, prepare_videos, read_status, row_span
from data.videos.watch.clips import VideoRecipe
from data.workers import count_cores

_FEWEST_CHUNKS = 8
_SPECTROGRAM = ("duration", "window", "stride", "fft_length", "amp_norm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all that does not depend on where videos come from."""
    recipe = VideoRecipe(face_analyzer="")
    group = parser.add_argument_group("rows", "of the list, counted from 0")
    add = group.add_argument
    add("--out", required=True, help="folder of the data set, or a place that fsspec reaches (s3://...)")
    add("--from-id", type=int, default=0, metavar="ROW", help="first row (default: %(default)s)")
    add("--to-id", type=int, metavar="ROW", help="first row that is left out (default: none)")
    add("--retry", default="", metavar="REASONS", help="try rows again that failed for these: network,blocked")
    add("--status", action="store_true", help="count outcomes, and do nothing")
    add("--json", action="store_true", help="with --status: as one JSON object")
    add("--verbose", action="store_true", help="print the outcome of each row")

    add_split_arguments(parser.add_argument_group("split"))
    add_private_argument(parser)

    group = parser.add_argument_group("faces")
    add = group.add_argument
    add_face_arguments(group, classic=True)
    add("--faces", type=int, default=recipe.num_faces, help="best frames kept of a clip (default: %(default)s)")
    add(
        "--min-face",
        type=int,
        metavar="PX",
        help=f"smallest face that is accepted, the longer side of its box (default: {recipe.min_face}, or more for "
        "crops that need it: 80 for 256 px)",
    )
    add("--fps", type=float, default=recipe.fps, help="frames a second in which faces are looked for (%(default)s)")

    group = parser.add_argument_group("speech")
    add = group.add_argument
    add(
        "--min-speech",
        type=float,
        default=recipe.min_speech,
        metavar="SECONDS",
        help="shortest speech of a clip (default: %(default)s)",
    )
    add_voice_activity_argument(group)
    add("--mono", nargs=0, action=_RefuseMono, help=argparse.SUPPRESS)
    add("--sample-rate", type=int, default=SAMPLE_RATE, help="voices are stored at %(default)s Hz, no other")

    group = parser.add_argument_group("spectrogram", "recorded in dataset.json, where trainings of encoders find it")
    add = group.add_argument
    add("--duration", type=float, metavar="SECONDS", help="of speech that the encoder takes; shorter clips are tiled")
    add("--window", type=float, metavar="SECONDS", help="length of a window")
    add("--stride", type=float, metavar="SECONDS", help="from one window to the next")
    add("--fft-length", type=int, metavar="SAMPLES", help="length of the Fourier transform")
    add("--amp-norm", type=float, metavar="EXPONENT", help="exponent of magnitudes, such as 0.3")

    group = parser.add_argument_group("work")
    add = group.add_argument
    add("--workers", type=int, default=count_cores(), help="chunks under way at once (default: one a core)")
    add(
        "--executor",
        choices=("local", "ray"),
        default="local",
        help="ray: the cluster that RAY_ADDRESS names, or one on this machine",
    )
    add(
        "--chunk-rows",
        type=int,
        help=f"rows a chunk, a shard a split each (default: {CHUNK_ROWS}, fewer of short lists)",
    )
    add(
        "--time-limit",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="seconds that the download of a row may take, and as many again its clips (default: %(default)s)",
    )


class _RefuseMono(argparse.Action):
    """A flag of the classic pipelines that would change nothing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.error("voices are mono in any case: leave --mono out")


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what decides how videos are downloaded."""
    defaults = FetchConfig(sources="")
    group = parser.add_argument_group("downloads")
    add = group.add_argument
    add("--url-template", default=defaults.url_template, metavar="URL", help="with {id} (default: %(default)s)")
    add("--sources", help="folder of downloaded videos (default: beside --out, or ./sources)")
    add(
        "--download",
        choices=("section", "whole"),
        default="section",
        help="part of a video that is downloaded (default: %(default)s)",
    )
    add("--margin", type=float, default=defaults.margin, help="seconds around a section (default: %(default)s)")
    add("--height", type=int, default=defaults.height, help="of the pictures in pixels, at most (default: %(default)s)")
    add("--max-per-hour", type=float, help="downloads that begin in an hour (default: 300 from YouTube, else no limit)")
    add(
        "--sleep",
        type=float,
        default=defaults.sleep,
        metavar="SECONDS",
        help="from the beginning of a download to the next, at least",
    )
    add(
        "--download-retries",
        type=int,
        default=defaults.retries,
        metavar="N",
        help="attempts after the first (default: %(default)s)",
    )
    add(
        "--socket-timeout",
        type=float,
        default=defaults.socket_timeout,
        metavar="SECONDS",
        help="without data after which a download fails (default: %(default)s)",
    )
    add(
        "--max-backoff",
        type=float,
        default=defaults.max_backoff,
        metavar="SECONDS",
        help="waited in all for a server that refuses more requests (default: %(default)s)",
    )
    add("--cookies", metavar="FILE", help="cookies of an account in Netscape's format; the site may ban it")
    add("--low-memory", action="store_true", help="delete downloads as soon as their clips are published")


def add_whole_video_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what decides how videos are cut for which the list names no clip."""
    recipe = VideoRecipe(face_analyzer="")
    group = parser.add_argument_group("whole videos", "cut into clips where somebody speaks")
    add = group.add_argument
    add("--clip-seconds", type=float, default=recipe.clip_seconds, help="length of a clip (default: %(default)s)")
    add(
        "--max-clips",
        type=int,
        default=recipe.max_clips,
        help="largest number of clips of a video (default: %(default)s)",
    )


def run(given: Namespace, requests: RequestList, downloads: bool = True) -> None:
    """Prepare as the arguments say, and print the outcomes.

    Args:
        given: Values of `add_arguments`, of `add_fetch_arguments` where videos are downloaded and, where the list asks
            for whole videos, of `add_whole_video_arguments`.
        requests: The list.
        downloads: False where all videos are files of this machine.

    Raises:
        Wav2FaceError: As `prepare_videos`.
        SystemExit: If a signal ended it.
    """
    storage = Storage(given.out)
    chunk_rows = _chunk_rows(storage, given.chunk_rows, requests)
    if given.json and not given.status:
        raise ConfigError("--json goes with --status")
    if given.status:
        status = read_status(storage, requests.num_rows, row_span(requests, given.from_id, given.to_id), chunk_rows)
        print(json.dumps(status.as_dict()) if given.json else format_status(given.out, status))
        return
    if given.sample_rate != SAMPLE_RATE:
        raise ConfigError(f"--sample-rate {given.sample_rate}: voices are {SAMPLE_RATE} Hz in every data set")
    fetch = _fetch_config(given, storage) if downloads else None
    if fetch is not None:
        print("\n".join(preflight(fetch)), file=sys.stderr)
    result = prepare_videos(_videos_config(given, fetch, chunk_rows), requests)
    print(format_status(given.out, result.status))
    print(_format_work(result))
    if result.signal is not None:
        print(f"stopped by {result.signal.name}; run the same command again to go on", file=sys.stderr)
        sys.exit(128 + result.signal)


def _chunk_rows(storage: Storage, given: int | None, requests: RequestList) -> int:
    """Number of requests a chunk: as given, as in the data set that is there, or the default.

    Raises:
        OutputError: If the data set is of another list.
    """
    # Chunks of a short list are short, so that all workers get some.
    default = min(CHUNK_ROWS, -(-requests.num_rows // _FEWEST_CHUNKS))
    there = storage.read(INFO_NAME)
    if there is None:
        return default if given is None else given
    request = decode_info(there.decode("utf-8", "replace"), f"{storage.url}/{INFO_NAME}").request
    if request.get("list_sha256") != requests.sha256:
        raise OutputError(f"{storage.url}: holds a data set of another list of videos; choose another --out")
    return int(request.get("chunk_rows", default) if given is None else given)


def _fetch_config(given: Namespace, storage: Storage) -> FetchConfig:
    folder = storage.folder
    beside = Path("sources") if folder is None else folder.with_name(f"{folder.name}-sources")
    return FetchConfig(
        sources=given.sources or str(beside),
        url_template=given.url_template,
        section=given.download == "section",
        margin=given.margin,
        height=given.height,
        max_per_hour=given.max_per_hour,
        sleep=given.sleep,
        cookies=given.cookies,
        retries=given.download_retries,
        socket_timeout=given.socket_timeout,
        time_limit=0.9 * given.time_limit,  # so that it ends by itself, and by name
        max_backoff=given.max_backoff,
    )


def _videos_config(given: Namespace, fetch: FetchConfig | None, chunk_rows: int) -> VideosConfig:
    least = max(VideoRecipe.min_face, smallest_face(given.face_size))
    recipe = VideoRecipe(
        **face_settings(given),
        fps=given.fps,
        num_faces=given.faces,
        min_face=least if given.min_face is None else given.min_face,
        min_speech=given.min_speech,
        voice_activity=given.voice_activity,
    )
    if hasattr(given, "max_clips"):
        recipe = replace(recipe, clip_seconds=given.clip_seconds, max_clips=given.max_clips)
    spectrogram: dict[str, Any] = {key: getattr(given, key) for key in _SPECTROGRAM if getattr(given, key) is not None}
    if wrong := [f"--{key.replace('_', '-')} {value}" for key, value in spectrogram.items() if not value > 0]:
        raise ConfigError(f"{', '.join(wrong)}: a number above 0 expected")
    return VideosConfig(
        out=given.out,
        recipe=recipe,
        fetch=fetch,
        first_row=given.from_id,
        last_row=given.to_id,
        retry=tuple(reason for reason in given.retry.replace(" ", "").split(",") if reason),
        seed=given.seed,
        split_fractions=tuple(given.split_fractions),
        num_workers=given.workers,
        executor=given.executor,
        time_limit=given.time_limit,
        low_memory=fetch is not None and given.low_memory,
        chunk_rows=chunk_rows,
        spectrogram=spectrogram,
        is_private=given.private,
        verbose=given.verbose,
    )


def format_status(out: str, status: Status) -> str:
    """A table of the outcomes."""
    lines = [f"{out}: {status.rows} rows"]

    def add(what: str, count: int) -> None:
        lines.append(f"{what:<24}{count:>9}{100 * count / status.rows:>8.1f} %")

    add("published", status.published)
    add("pending", status.pending)
    add("failed", sum(status.failures.values()))
    for reason, count in sorted(status.failures.items(), key=lambda item: (-item[1], item[0])):
        add(f"  {reason}", count)
    return "\n".join(lines)


def _format_work(result: RunResult) -> str:
    """A table of the data set, and the time that this run took."""
    info = result.info
    lines = [f"{'split':<8}{'people':>9}{'clips':>9}{'faces':>9}"]
    for split in SPLITS:
        counts = (info.num_identities[split], info.num_clips[split], info.num_faces[split])
        lines.append(f"{split:<8}" + "".join(f"{count:>9}" for count in counts))
    lines.append(f"face features: {info.face_encoder.name}, sha256 {info.face_encoder.sha256[:16]}")
    lines.append(f"split: seed {info.split.seed}, sha256 {info.split.sha256[:16]}")
    if result.num_done:
        spent = sum(result.seconds.values()) or 1.0
        shares = ", ".join(f"{step} {100 * value / spent:.0f} %" for step, value in result.seconds.items())
        lines.append(f"{result.num_done} rows in {result.elapsed:.0f} s: {shares}")
    return "\n".join(lines)
