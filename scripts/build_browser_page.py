"""Add a page that draws in the browser to an export: python scripts/build_browser_page.py --export exported ..."""

from __future__ import annotations

from pathlib import Path

from gan.export.browser import ONNXRUNTIME_WEB, add_page
from training.command import CommandParser, run_command


def main(argv: list[str]) -> None:
    """Parse, add the page, print its size and how to serve it."""
    parser = CommandParser(description="Add a static page to an export, which draws in the browser.")
    parser.add_argument("--export", type=Path, required=True, help="folder that scripts/export.py wrote")
    parser.add_argument(
        "--onnxruntime-web",
        type=Path,
        required=True,
        help=f"package of the runtime, from the npm registry: npm pack onnxruntime-web@{ONNXRUNTIME_WEB}",
    )
    arguments = parser.parse_args(argv)
    size = add_page(arguments.export, arguments.onnxruntime_web)
    print(f"{arguments.export / 'index.html'}: {size / 1e6:.1f} MB with everything; serve it with:")
    print(f"python -m http.server --bind 127.0.0.1 --directory {arguments.export}")


if __name__ == "__main__":
    run_command(main)
