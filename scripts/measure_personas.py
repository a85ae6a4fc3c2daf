"""Measure a data set of personas with independent tools: Praat for the voices, dlib for the faces.

python scripts/measure_personas.py --dataset datasets/personas --max-personas 150 --judge dlib
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data.faces.registry import load_recognizer
from data.files import write_file
from data.store.dataset import ClipDataset
from encoder.faces.verification import Verification
from eval.personas.faces import DETECTION_SIZE, detection_rate, verify_judge, verify_training_network
from eval.personas.voices import measure_voices, summarize_voices
from training.command import CommandParser, run_command


def measure(dataset: ClipDataset, max_personas: int, judge_name: str | None, detector: str) -> dict[str, Any]:
    """All measurements, by topic."""
    measured: dict[str, Any] = {
        "dataset": {"split": dataset.split, "seed": dataset.info.request.get("seed"), "max_personas": max_personas},
        "voices": summarize_voices(measure_voices(dataset, max_personas)),
        "verification": {dataset.info.face_encoder.name: _as_json(verify_training_network(dataset, max_personas))},
    }
    if judge_name:
        judge = load_recognizer(judge_name)
        measured["verification"][judge.info.name] = _as_json(verify_judge(dataset, judge, max_personas))
    if detector == "dlib":
        rate, num_pictures = detection_rate(dataset, max_personas)
        measured["detection"] = {"size": DETECTION_SIZE, "num_pictures": num_pictures, "rate": rate}
    return measured


def _as_json(verification: Verification) -> dict[str, float]:
    return {
        **verification.rates(),
        "num_faces": verification.num_faces,
        "num_people": verification.num_people,
    }


def describe(measured: dict[str, Any]) -> str:
    """The measurements as a table."""
    voices = measured["voices"]
    clips = f"{voices['num_clips_each']:.0f} clips"
    lines = [
        f"voices of {voices['num_personas']:.0f} personas, {clips} each, by Praat",
        f"  pitch: {voices['pitch_mean_absolute_error_hz']:.1f} Hz mean absolute error, median of relative errors "
        f"{100 * voices['pitch_median_absolute_relative_error']:.1f} % over {clips}, "
        f"{100 * voices['pitch_median_absolute_relative_error_one_clip']:.1f} % in one; "
        f"{100 * voices['pitch_within_3_percent']:.0f} % of personas within 3 %",
    ]
    for sex in ("female", "male"):
        several, one = (voices[f"formant_scale_correlation{kind}_{sex}"] for kind in ("", "_one_clip"))
        lines.append(
            f"  formant scale, {sex}: correlation with its target {several:.3f} over {clips}, {one:.3f} in one"
        )
    for name, rates in measured["verification"].items():
        lines.append(
            f"faces told apart by {name}: equal error rate {100 * rates['equal_error_rate']:.2f} % "
            f"({rates['num_faces']:.0f} faces of {rates['num_people']:.0f} personas)"
        )
    if found := measured.get("detection"):
        lines.append(
            f"faces found by dlib's HOG at {found['size']} px: {100 * found['rate']:.1f} % "
            f"of {found['num_pictures']} pictures"
        )
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Measure, print, and write the numbers to a file if one is given."""
    parser = CommandParser(description="Measure personas with Praat (voices) and dlib (faces).")
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="data set made by make_personas.py")
    add("--split", choices=("train", "val", "test", "all"), default="test", help="(default: %(default)s)")
    add(
        "--max-personas",
        type=int,
        default=200,
        help="personas of the split at most, the first ones (default: %(default)s)",
    )
    add("--judge", default="dlib", help="second face network, or none (default: %(default)s)")
    add("--detector", choices=("dlib", "none"), default="dlib", help="face detector (default: %(default)s)")
    add("--out", type=Path, help="JSON file to write")
    given = parser.parse_args(argv)
    if given.max_personas < 2:
        parser.error(f"--max-personas {given.max_personas}: use at least 2")
    dataset = ClipDataset(given.dataset, given.split)
    measured = measure(dataset, given.max_personas, None if given.judge == "none" else given.judge, given.detector)
    print(describe(measured))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_file(given.out, json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    run_command(main)
