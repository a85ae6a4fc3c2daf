"""The running page: its folder of uploads, the limits before it, and what is deleted when."""

from __future__ import annotations

import contextlib
import datetime
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ConfigError, ModelError, one_line
from eval.app.drawing import Artist
from eval.app.guard import Guard
from eval.app.limits import Limits
from eval.app.personas import PersonaVoice


@dataclass(frozen=True)
class Running:
    """A page that runs.

    Attributes:
        url: Its address on this machine.
        public_url: Its address for everybody; None where it is not shared.
        folder: Folder of uploads, which is removed at the end.
    """

    url: str
    public_url: str | None
    folder: Path


@contextlib.contextmanager
def run_page(
    artist: Artist,
    limits: Limits,
    voices: Sequence[PersonaVoice] = (),
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    is_shipped: bool = False,
) -> Iterator[Running]:
    """Run the page while the context is open. One page runs in a process.

    Args:
        artist: Model that draws.
        limits: What a visitor may ask for.
        voices: Personas to try with.
        host: Address that is listened to; 0.0.0.0 for other machines too.
        port: Port; None for the first free one from 7860 on.
        share: Whether gradio makes a public address, by a tunnel through its makers' servers.
        is_shipped: As `build_page` takes it.

    Raises:
        ModelError: If gradio is not installed.
        ConfigError: If the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="wav2face-app-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        os.environ |= {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}  # read on import
        page_module = _import_page()
        page = page_module.build_page(artist, limits, voices, is_shipped=is_shipped)
        stop = threading.Event()
        deletion = threading.Thread(target=_clean_up, args=(page, folder, limits.keep_seconds, stop), daemon=True)
        deletion.start()
        try:
            _, url, public_url = page.launch(
                server_name=host,
                server_port=port,
                share=share,
                max_file_size=limits.max_bytes,
                app_kwargs={"middleware": [_middleware(folder, limits)]},
                css=page_module.STYLE,
                theme=page_module.THEME,
                prevent_thread_lock=True,
                quiet=True,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                state_session_capacity=limits.max_sessions,
            )
            yield Running(url, public_url, folder)
        except OSError as error:
            raise ConfigError(
                f"the page can't listen on {host}, port {port or '7860 and up'}: {one_line(error)}"
            ) from None
        finally:
            stop.set()
            page.close(verbose=False)
            deletion.join()


def _import_page():  # type: ignore[no-untyped-def]
    """The module that needs gradio, which is an extra.

    Raises:
        ModelError: If gradio is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydub's about ffmpeg, which is not used
            from eval.app import page
    except ImportError as error:
        raise ModelError(f"the page needs gradio ({one_line(error)}): pip install 'wav2face[demo]'") from None
    return page


def _middleware(folder: Path, limits: Limits):  # type: ignore[no-untyped-def]
    from starlette.middleware import Middleware

    return Middleware(Guard, folder=folder, limits=limits)


def _clean_up(page: Any, folder: Path, keep_seconds: float, stop: threading.Event) -> None:
    """Delete what is left of visits: uploads that nobody drew, sounds of personas, what gradio remembers."""
    while not stop.wait(min(30.0, keep_seconds / 4)):
        limit = time.time() - keep_seconds
        for path in sorted(folder.rglob("*"), reverse=True):  # a folder comes after what it holds
            with contextlib.suppress(OSError):
                if path.stat().st_ctime < limit:
                    path.rmdir() if path.is_dir() else path.unlink()
        forget_sessions(page.state_holder, keep_seconds)


def forget_sessions(sessions: Any, keep_seconds: float) -> None:
    """Forget what gradio keeps of the sessions that were not used for a while.

    gradio itself keeps every value that a page showed, drawings and spectrogram too, until there are too many sessions.

    Args:
        sessions: gradio's `StateHolder`.
        keep_seconds: Time since the last use.
    """
    limit = datetime.datetime.now() - datetime.timedelta(seconds=keep_seconds)
    with sessions.lock:
        for session in [name for name, last in sessions.time_last_used.items() if last < limit]:
            sessions.session_data.pop(session, None)
            sessions.time_last_used.pop(session, None)
