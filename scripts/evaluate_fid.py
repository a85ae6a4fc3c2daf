"""Measure how far drawings are from real faces (Frechet distance, KID), and write a report.

python scripts/evaluate_fid.py --model runs/real/model --dataset datasets/real --judge dlib --out reports/real
"""

from __future__ import annotations

from data.errors import ConfigError, ModelError
from eval.commands import add_report_arguments, open_output, open_split, print_progress
from eval.images.face_score import OnnxClassifier
from eval.images.features import (
    INCEPTION_FILE,
    INCEPTION_MISSING,
    ImageFeatures,
    InceptionFeatures,
    JudgeFeatures,
    find_inception,
    load_inception,
)
from eval.images.measure import ImageOptions, measure_images
from eval.images.report import write_image_report
from eval.model_under_test import check_same_training_network, choose_varieties, load_judges, load_model_under_test
from eval.report.mirror import finish_report
from eval.report.provenance import collect_provenance
from training.command import CommandParser, check_device, run_command
from training.trackers import TrackerConfig, Trackers


def main(argv: list[str]) -> None:
    """Parse, load, measure, write."""
    parser = CommandParser(
        description="Measure how far drawings are from real faces: Frechet distance and KID.", has_result=True
    )
    add_report_arguments(
        parser,
        model="folder or hub id of an encoder with its generator",
        judge="face networks that judge drawings, not the training network T",
        seed="noise and subsets",
    )
    parser.add_argument("--num-images", type=int, default=2048, help="drawings (default: %(default)s)")
    parser.add_argument(
        "--inception-weights",
        metavar="FILE",
        help=f"{INCEPTION_FILE}, for FID (default: the file in torch.hub's folder, if it is there)",
    )
    parser.add_argument(
        "--classifier",
        metavar="FILE.onnx",
        help="classifier of faces whose people the face score counts: one input [N, 3, S, S] RGB in [-1, 1], one "
        "output [N, classes] of logits or probabilities",
    )
    arguments = parser.parse_args(argv)
    if arguments.num_images < 2:
        raise ConfigError(f"--num-images {arguments.num_images}: at least 2 are needed")
    check_device(arguments.device)
    dataset = open_split(arguments.dataset, arguments.split)
    model = load_model_under_test(arguments.model, arguments.device, arguments.guidance)
    if model.voice2face is None:
        raise ModelError(f"{arguments.model}: an encoder alone draws nothing; give a model with a generator")
    check_same_training_network(model, dataset)
    varieties = choose_varieties(model, arguments.varieties)
    judges = load_judges(arguments.judge, arguments.insightface_root, model.face_encoder)
    spaces: list[ImageFeatures] = []
    inception = find_inception(arguments.inception_weights)
    if inception is not None:
        network = load_inception(inception, arguments.device)
        spaces += [InceptionFeatures(network, "clean-fid"), InceptionFeatures(network, "legacy")]
    spaces += [JudgeFeatures(judge) for judge in judges]
    classifier = OnnxClassifier(arguments.classifier) if arguments.classifier else None
    out = open_output(arguments.out)
    # Opened first: a login that fails should fail before the work, not after it.
    trackers = Trackers(TrackerConfig(wandb=arguments.wandb), out, vars(arguments))
    options = ImageOptions(arguments.num_images, varieties, classifier, arguments.seed, print_progress)
    measured = measure_images(model, spaces, dataset, options)
    if inception is None:
        measured.missing.append(INCEPTION_MISSING)
    settings = {
        "seed": options.seed,
        "num_images": options.num_images,
        "varieties": " ".join(f"{variety:g}" for variety in varieties),
        "device": arguments.device,
    }
    if model.sampler is not None:
        settings["guidance"] = model.sampler.guidance
    if classifier is not None:
        settings["classifier"] = f"{classifier.name}, sha256 {classifier.sha256}"
    provenance = collect_provenance(model, dataset, arguments.split, [judge.info for judge in judges], settings)
    write_image_report(out, measured, provenance)
    lines = []
    for row in measured.varieties:
        mark = "" if row.comparable else ", too few pictures to be comparable"
        lines.append(
            f"{row.feature_space}, variety {row.variety:g}: Frechet distance {row.frechet_distance:.4g}{mark}, "
            f"KID x 1000 {1000 * row.kid:.3f} ({row.num_images} drawings, {row.num_real} real faces), "
            f"improved precision {100 * row.precision:.1f} %, recall {100 * row.recall:.1f} %"
        )
    for score in measured.face_scores:
        lines.append(
            f"face score by {score.classifier}, {score.system}: {score.score:.2f} ({score.num_images} pictures, "
            f"{score.num_classes} classes)"
        )
    finish_report(arguments, trackers, out, "image_quality", [*lines, *measured.missing])


if __name__ == "__main__":
    run_command(main)
