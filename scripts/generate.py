"""Draw faces that a voice suggests: python scripts/generate.py --voice me.m4a --out me.png [--model MODEL]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import ConfigError, OutputError
from data.faces.shipped import shipped_weights
from gan.voice2face import SYNTHETIC_NOTICE, Voice2Face, save_drawing
from training.command import CommandParser, check_device, print_result, run_command


def main(argv: list[str]) -> None:
    """Parse, load, draw, save one row of drawings."""
    parser = CommandParser(description="Draw faces that a voice suggests.", epilog=SYNTHETIC_NOTICE, has_result=True)
    parser.add_argument("--model", help="folder or hub id of a trained model (default: the one of personas that ships)")
    parser.add_argument("--voice", required=True, help="a recording: any audio or video file")
    parser.add_argument("--out", required=True, help="the PNG to write")
    parser.add_argument("--num-images", type=int, default=8, help="drawings side by side (default: %(default)s)")
    parser.add_argument(
        "--variety",
        type=float,
        help="how much of what a voice leaves open is sampled: 0 (the most telling face) to 1 (all faces that people "
        "with such a voice have) (default: 1, or 0 for a model without a sampler)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of samples and noise (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps ... (default: %(default)s)")
    arguments = parser.parse_args(argv)
    out = Path(arguments.out)
    if not 1 <= arguments.num_images <= 1024:
        raise ConfigError(f"--num-images {arguments.num_images}: between 1 and 1024 are possible")
    if out.suffix.lower() != ".png":
        raise OutputError(f"{out}: drawings are saved as PNG, choose a name that ends in .png")
    if not out.parent.is_dir():
        raise OutputError(f"{out}: there is no folder {out.parent}; create it first")
    check_device(arguments.device)
    source = shipped_weights("model") if arguments.model is None else arguments.model
    model = Voice2Face.from_pretrained(source).to(arguments.device)
    pictures = model(arguments.voice, num_images=arguments.num_images, variety=arguments.variety, seed=arguments.seed)
    save_drawing(Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures], axis=1)), out)
    made = {"drawings": str(out), "num_images": len(pictures), "variety": arguments.variety, "seed": arguments.seed}
    notice = "synthetic; a plausible face, not the speaker"
    print_result(
        arguments, {**made, "model": str(source), "notice": notice}, [f"{len(pictures)} drawings in {out} ({notice})"]
    )


if __name__ == "__main__":
    run_command(main)
