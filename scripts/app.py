"""A page with a microphone: speak, and see drawings: python scripts/app.py [--model MODEL] [--share no]."""

from __future__ import annotations

import signal
import threading

from data.errors import ConfigError
from data.faces.shipped import shipped_weights
from eval.app.drawing import load_artist
from eval.app.limits import Limits
from eval.app.personas import make_voices
from eval.app.server import run_page
from gan.voice2face import SYNTHETIC_NOTICE
from training.command import CommandParser, check_device, run_command


def main(argv: list[str]) -> None:
    """Parse, load, run the page until Ctrl-C."""
    limits = Limits()
    parser = CommandParser(prog="app.py", description="A page: speak, and see drawings.", epilog=SYNTHETIC_NOTICE)
    add = parser.add_argument
    add("--model", help="folder or hub id of a trained model (default: the one of personas that ships)")
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 lets other machines in (default: %(default)s)",
    )
    add("--port", type=int, help="port (default: the first free one from 7860 on)")
    add(
        "--share",
        choices=("no", "yes"),
        default="no",
        help="yes: a public address for three days, through a tunnel of gradio's makers (default: %(default)s)",
    )
    add("--max-seconds", type=float, default=limits.max_seconds, help="longest recording (default: %(default)g)")
    add("--max-megabytes", type=float, default=limits.max_bytes / 1e6, help="largest upload (default: %(default)g)")
    add(
        "--attribute-reader",
        metavar="onnx:FILE",
        help="network that reads sex and age from drawings, for models whose card allows to tell them",
    )
    add("--device", default="cpu", help="cpu, cuda, cuda:1, mps ... (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.max_seconds <= 3600 or not 0.1 <= arguments.max_megabytes <= 1000:
        raise ConfigError("--max-seconds is 1 to 3600, --max-megabytes 0.1 to 1000")
    check_device(arguments.device)
    source = shipped_weights("model") if arguments.model is None else arguments.model
    artist = load_artist(source, arguments.device, arguments.attribute_reader)
    limits = Limits(max_seconds=arguments.max_seconds, max_bytes=round(arguments.max_megabytes * 1e6))
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())  # uploads are removed then, too
    with run_page(
        artist,
        limits,
        make_voices(),
        host=arguments.host,
        port=arguments.port,
        share=arguments.share == "yes",
        is_shipped=arguments.model is None,
    ) as running:
        public = f" and {running.public_url}" if running.public_url else ""
        print(f"speak, and see: {running.url}{public} (Ctrl-C ends it)", flush=True)
        end.wait()


if __name__ == "__main__":
    run_command(main)
