from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path

import pytest

from data.errors import ConfigError
from data.videos.download.config import FetchConfig
from data.videos.download.preflight import preflight

# ffmpeg and the JavaScript runtimes are asked for their versions.
pytestmark = pytest.mark.slow

TEMPLATE = "http://127.0.0.1:1/{id}"


def lines(**settings: object) -> str:
    return "\n".join(preflight(FetchConfig("sources", **{"url_template": TEMPLATE, **settings})))


def make_runtime(folder: Path, name: str, version: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
    (folder / name).chmod(0o755)


def test_it_says_with_what_videos_are_fetched() -> None:
    import yt_dlp.version

    text = lines()
    assert f"yt-dlp {yt_dlp.version.__version__}" in text
    assert "ffmpeg: ffmpeg" in text
    assert "JavaScript" not in text and "an hour" not in text and "cookies" not in text


@pytest.mark.parametrize(
    "template",
    [
        "https://www.youtube.com/watch?v={id}",
        "https://youtu.be/{id}",
        "https://m.youtube.com/watch?v={id}",
        "https://www.youtube-nocookie.com/embed/{id}",
    ],
)
def test_from_youtube_300_an_hour_are_fetched_unless_said_otherwise(template: str) -> None:
    assert "300 downloads an hour" in lines(url_template=template)
    assert "60 downloads an hour" in lines(url_template=template, max_per_hour=60)
    assert "60 downloads an hour" in lines(url_template=template, sleep=60)
    assert "an hour" not in lines(url_template=template, max_per_hour=0)


def test_other_sites_that_sound_like_youtube_are_not() -> None:
    assert not FetchConfig("sources", url_template="https://notyoutube.com/{id}").is_youtube
    assert not FetchConfig("sources", url_template="https://mirror.org/youtube.com/{id}").is_youtube


def test_the_javascript_runtime_that_youtube_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One that a wheel brought lies where Python's scripts do, and is found there first.
    monkeypatch.setattr("sysconfig.get_path", lambda *names, **more: str(tmp_path / "scripts"))
    monkeypatch.setenv("PATH", str(tmp_path))
    youtube = "https://www.youtube.com/watch?v={id}"
    text = lines(url_template=youtube)
    assert "JavaScript: no runtime is found, " in text and "yt-dlp[default,deno]" in text
    make_runtime(tmp_path, "node", "v18.0.0")
    assert "(node 18.0.0 is too old)" in lines(url_template=youtube)
    make_runtime(tmp_path, "node", "v24.1.0")
    assert "JavaScript: node 24.1.0" in lines(url_template=youtube)
    make_runtime(tmp_path, "deno", "deno 2.5.0")
    assert "JavaScript: deno 2.5.0" in lines(url_template=youtube)


def test_without_yt_dlp_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "yt_dlp"]:
        monkeypatch.delitem(sys.modules, name)
    real_import = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "yt_dlp":
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"pip install 'wav2face\[videos\]'"):
        lines()


def test_without_ffmpeg_it_says_how_to_install_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"pip install 'wav2face\[videos\]'"):
        lines()
    make_runtime(tmp_path, "ffmpeg", "1")
    assert "ffmpeg: ffmpeg" in lines()


@pytest.mark.parametrize(
    "template",
    [
        "",
        "http://host/watch",
        "{id}",
        "ftp://host/{id}",
        "file:///etc/{id}",
        "javascript:{id}",
        "http:///{id}",
        "http://{id}/watch",
        "http://host/{id}/{id}",
        "http://host:x/{id}",
        "http://[host/{id}",
    ],
)
def test_templates_that_lead_nowhere_are_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="--url-template"):
        lines(url_template=template)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_per_hour": -1.0},
        {"max_per_hour": float("nan")},
        {"sleep": -1.0},
        {"sleep": float("inf")},
        {"margin": -0.5},
        {"height": 0},
        {"retries": -1},
        {"socket_timeout": 0.0},
        {"time_limit": 0.0},
        {"max_bytes": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        lines(**settings)


COOKIES = "# Netscape HTTP Cookie File\n.example.org\tTRUE\t/\tFALSE\t4102444800\tname\tvalue\n"


def test_cookies_are_warned_of(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(COOKIES)
    cookies.chmod(0o600)
    assert "may ban the account" in lines(cookies=cookies) and "chmod" not in lines(cookies=cookies)
    assert cookies.read_text() == COOKIES
    cookies.chmod(0o644)
    assert "chmod 600" in lines(cookies=cookies)
    assert "name" not in lines(cookies=cookies).replace(str(cookies), "")


@pytest.mark.parametrize("content", [None, "not a file of cookies\n", "\0\xff"])
def test_cookies_that_can_not_be_read_are_refused(content: str | None, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    if content is not None:
        cookies.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match="--cookies") as caught:
        lines(cookies=cookies)
    assert "\n" not in str(caught.value)


def test_the_ffmpeg_that_is_found_can_be_run() -> None:
    from data.videos.download.preflight import find_ffmpeg

    assert os.access(find_ffmpeg() or "", os.X_OK)
