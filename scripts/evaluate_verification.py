"""Measure how well voices and faces of one person are told from those of two, and write a report.

python scripts/evaluate_verification.py --model runs/real/model --dataset datasets/real --out reports/real
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from data.errors import ConfigError
from data.faces.analyzer import FaceAnalyzer
from data.faces.registry import load_analyzer
from data.sources.arguments import add_voice_activity_argument
from data.store.clip import SPLITS
from data.store.dataset import ClipDataset
from eval.commands import open_output, open_split, print_progress
from eval.model_under_test import (
    ModelUnderTest,
    check_same_training_network,
    load_model_under_test,
    load_training_network,
)
from eval.report.mirror import finish_report
from eval.report.provenance import collect_provenance
from eval.verification.listed import measure_files, measure_list
from eval.verification.measure import Options, measure_verification
from eval.verification.pair_lists import read_pair_list, write_submission
from eval.verification.report import summarize, write_verification_report
from training.command import CommandParser, check_device, run_command
from training.trackers import TrackerConfig, Trackers


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        ConfigError: If an argument is unknown or out of range.
    """
    parser = CommandParser(
        description="Measure verification and matching of voices and faces, and write a report.", has_result=True
    )
    add = parser.add_argument
    add("--model", required=True, help="folder or hub id of a voice encoder, or of an encoder with its generator")
    add("--dataset", required=True, help="folder of a prepared data set, or of imported features")
    add("--out", required=True, help="folder of the report")
    add("--split", default="test", choices=[*SPLITS, "all"], help="split to measure on (default: %(default)s)")
    add(
        "--num-pairs", type=int, default=10_000, help="pairs of one person at most, and as many of two (default: 10000)"
    )
    add(
        "--candidates",
        type=int,
        nargs="+",
        default=[2, 4, 6, 8, 10],
        metavar="N",
        help="each N of matching 1 of N (default: 2 4 6 8 10)",
    )
    add(
        "--heard-languages",
        nargs="+",
        metavar="LANGUAGE",
        help="languages that the model was trained on, where the data set names them (default: the training split's)",
    )
    add(
        "--pairs",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="lists of pairs that others published: voice, face and, if known, label; measured beside the own pairs",
    )
    add(
        "--files", type=Path, metavar="ROOT", help="folder of the recordings and photographs that --pairs names by path"
    )
    add("--face-analyzer", default="dlib", help="with --files: finds the faces on photographs (default: %(default)s)")
    add_voice_activity_argument(parser)
    add("--insightface-root", help="folder that holds models/<pack> (default: ~/.insightface)")
    add(
        "--submission", type=Path, metavar="FILE", help="write the scores of the one list of --pairs as FAME takes them"
    )
    add(
        "--wandb",
        default="disabled",
        choices=["disabled", "offline", "online"],
        help="mirror the report in Weights & Biases (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="seed of pairs and questions (default: %(default)s)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: %(default)s)")
    given = parser.parse_args(argv)
    if given.num_pairs < 1 or min(given.candidates) < 2:
        raise ConfigError("--num-pairs must be 1 or more, --candidates 2 or more")
    if given.submission is not None and len(given.pairs) != 1:
        raise ConfigError("--submission: give one list with --pairs")
    return given


def _load_analyzer(given: argparse.Namespace, model: ModelUnderTest) -> FaceAnalyzer:
    """The detector of --face-analyzer, with the model's T where that is another network than the analyzer's own."""
    analyzer = load_analyzer(given.face_analyzer, given.insightface_root)
    if analyzer.recognizer.info.sha256 == model.face_encoder.sha256:
        return analyzer
    network = load_training_network(model.face_encoder, given.insightface_root)
    return analyzer if network is None else replace(analyzer, recognizer=network)


def main(argv: list[str]) -> None:
    """Parse, load, measure, write."""
    given = parse(argv)
    check_device(given.device)
    lists = {path: read_pair_list(path) for path in given.pairs}
    dataset, train = open_split(given.dataset, given.split), ClipDataset(given.dataset, "train")
    model = load_model_under_test(given.model, given.device)
    check_same_training_network(model, dataset)
    analyzer = _load_analyzer(given, model) if given.files is not None and lists else None
    out = open_output(given.out)
    # Opened first: a login that fails should fail before the work, not after it.
    trackers = Trackers(TrackerConfig(wandb=given.wandb), out, vars(given))
    heard = tuple(given.heard_languages) if given.heard_languages else None
    options = Options(given.num_pairs, tuple(sorted(set(given.candidates))), heard, given.seed, print_progress)
    measured = measure_verification(model, dataset, train, options)
    for path, pairs in lists.items():
        if analyzer is not None:
            scores = measure_files(model, given.files, analyzer, given.voice_activity, path, pairs, given.seed)
        else:
            scores = measure_list(model, ClipDataset(given.dataset, "all"), path, pairs, given.seed)
        measured.notes.extend(scores.notes)
        if scores.result is not None:
            measured.verification.append(scores.result)
        if given.submission is not None:
            # A list without keys has its line numbers for names.
            write_submission(given.submission, [pair.key or str(pair.line) for pair in pairs], scores.cosines)
    settings = {"seed": given.seed, "num_pairs": given.num_pairs, "device": given.device}
    write_verification_report(out, measured, collect_provenance(model, dataset, given.split, [], settings))
    lines = list(summarize(measured))
    for row in measured.matching:
        if row.others == "all" and row.candidates == min(given.candidates):
            direction = row.direction.replace("_", " ")
            accuracy, chance = 100 * row.accuracy, 100 * row.chance
            lines.append(f"{direction}, 1 of {row.candidates}: {accuracy:.1f} %, chance {chance:.1f} %")
    if given.submission is not None:
        lines.append(f"scores: {given.submission}")
    finish_report(given, trackers, out, "verification", lines)


if __name__ == "__main__":
    run_command(main)
