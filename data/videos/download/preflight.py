"""Checks before the first download: programs, settings, cookies."""

from __future__ import annotations

import datetime
import http.cookiejar
import math
import shutil
import stat
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ConfigError

if TYPE_CHECKING:
    from data.videos.download.config import FetchConfig

_INSTALL = "pip install 'wav2face[videos]'"
_OLD_DAYS = 90  # after which sites have usually changed


def preflight(config: FetchConfig) -> list[str]:
    """Check that videos can be fetched.

    Returns:
        Lines about the programs that are used, and warnings.

    Raises:
        ConfigError: If something needed is missing, or a setting is out of range.
    """
    _check(config)
    try:
        import yt_dlp.version
    except ImportError as error:
        raise ConfigError(f"yt-dlp is not installed; {_INSTALL}") from error
    version = yt_dlp.version.__version__
    lines = [f"yt-dlp {version}{_format_age(version)}"]
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        raise ConfigError(f"no ffmpeg is found, which joins pictures and sound; {_INSTALL} brings one")
    lines.append(f"ffmpeg: {Path(ffmpeg).name}")
    if config.is_youtube:
        lines.append(_format_javascript())
    if config.interval:
        lines.append(f"at most {3600 / config.interval:.0f} downloads an hour begin on this machine (--max-per-hour)")
    if config.cookies is not None:
        lines += _format_cookies(Path(config.cookies))
    return lines


def find_ffmpeg() -> str | None:
    """Path of the ffmpeg that imageio-ffmpeg's wheel brings, else of the system's; None if there is neither."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return shutil.which("ffmpeg")


def _check(config: FetchConfig) -> None:
    if config.url_template.count("{id}") != 1:
        raise ConfigError(f"--url-template {config.url_template}: needs {{id}} once, in the place of the video's id")
    try:
        parts = urllib.parse.urlsplit(config.url_template)
        parts.port  # noqa: B018 - raises
    except ValueError as error:
        raise ConfigError(f"--url-template {config.url_template}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or "{id}" in parts.netloc:
        raise ConfigError(f"--url-template {config.url_template}: only http:// and https:// addresses are fetched")
    limits = {
        "--max-per-hour": (config.max_per_hour or 0.0, 0.0),
        "--sleep": (config.sleep, 0.0),
        "the margin": (config.margin, 0.0),
        "--height": (config.height, 1.0),
        "retries": (config.retries, 0.0),
        "the time limit of a connection": (config.socket_timeout, 0.1),
        "the time limit of a download": (config.time_limit, 0.1),
        "the largest size": (config.max_bytes, 1.0),
    }
    for name, (value, least) in limits.items():
        if not (math.isfinite(value) and value >= least):
            raise ConfigError(f"{name}: {value:g} is out of range; at least {least:g} expected")


def _format_age(version: str) -> str:
    """A reminder to update a yt-dlp that may be too old for today's sites."""
    try:
        year, month, day = (int(part) for part in version.split(".")[:3])
        age = (datetime.date.today() - datetime.date(year, month, day)).days
    except ValueError:
        return ""
    return f" is {age} days old; sites change: pip install -U yt-dlp" if age > _OLD_DAYS else ""


def _format_javascript() -> str:
    """The JavaScript runtime that yt-dlp would use for YouTube."""
    from yt_dlp.dependencies import yt_dlp_ejs
    from yt_dlp.globals import supported_js_runtimes

    too_old = ""
    for runtime in supported_js_runtimes.value.values():
        info = runtime().info
        if info is None:
            continue
        if info.supported:
            missing = "" if yt_dlp_ejs else "; its scripts for YouTube are missing: pip install 'yt-dlp[default]'"
            return f"JavaScript: {info.name} {info.version}{missing}"
        too_old = too_old or f" ({info.name} {info.version} is too old)"
    return (
        f"JavaScript: no runtime is found{too_old}, and without one YouTube gives few formats or none: "
        "pip install 'yt-dlp[default,deno]' brings one; node 22 or newer, bun and quickjs do as well"
    )


def _format_cookies(path: Path) -> list[str]:
    if not path.is_file():
        raise ConfigError(f"--cookies {path}: there is no such file; a cookies.txt in Netscape's format is expected")
    jar = http.cookiejar.MozillaCookieJar(path)
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--cookies {path}: is no cookies.txt in Netscape's format") from error
    lines = [
        f"warning: cookies of {path} are sent: a site may ban the account they belong to; they are as secret as a "
        "password"
    ]
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        lines.append(f"warning: others on this machine can read {path}: chmod 600 it")
    return lines
