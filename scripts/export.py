"""Write a model as ONNX graphs that run without torch: python scripts/export.py --out exported [--model MODEL]."""

from __future__ import annotations

from pathlib import Path

from data.errors import OutputError
from data.faces.shipped import shipped_weights
from data.files import sha256_of_file
from gan.export.folder import check_exporter, write_export
from gan.export.precision import PRECISIONS
from gan.voice2face import SYNTHETIC_NOTICE, Voice2Face
from training.command import CommandParser, print_result, run_command


def main(argv: list[str]) -> None:
    """Parse, load, write the graphs, print their sizes and how far they are from torch."""
    parser = CommandParser(
        description="Write a model as ONNX graphs that run without torch.", epilog=SYNTHETIC_NOTICE, has_result=True
    )
    parser.add_argument("--model", help="folder or hub id of a trained model (default: the one of personas that ships)")
    parser.add_argument("--out", required=True, help="folder for the two graphs and export.json; created if missing")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="how weights are stored; fp16 halves the files, int8 quarters them and changes drawings a little more "
        "(default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    out = Path(arguments.out)
    if out.suffix or (out.exists() and not out.is_dir()):
        raise OutputError(f"--out {out}: an export is two graphs and a JSON file, name a folder for them")
    check_exporter()
    source = shipped_weights("model") if arguments.model is None else arguments.model
    model = Voice2Face.from_pretrained(source)
    weights = Path(source) / "model.safetensors"  # absent if source is a hub id
    sha256 = sha256_of_file(weights) if weights.is_file() else None
    about = write_export(model, out, arguments.precision, sha256)
    lines = [f"{out / name}: {(out / name).stat().st_size / 1e6:.2f} MB" for name in about["graphs"]]
    differences = (f"{name} {worst:.1e}" for name, worst in about["largest_difference_from_torch"].items())
    print_result(arguments, about, [*lines, f"largest differences from torch: {', '.join(differences)}"])


if __name__ == "__main__":
    run_command(main)
