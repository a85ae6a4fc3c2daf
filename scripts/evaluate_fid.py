"""Judge how far drawings lie from real faces (Frechet distance, KID), and write a report.

python scripts/evaluate_fid.py --model runs/real/model --dataset datasets/real --judge dlib --out reports/real
"""

from __future__ import annotations

from data.errors import ConfigError, ModelError
from data.store.clip import SPLITS
from eval.commands import open_output, open_split, print_progress
from eval.images.features import ImageFeatures, InceptionFeatures, JudgeFeatures, find_inception
from eval.images.measure import ImageOptions, measure_images
from eval.images.report import write_image_report
from eval.model_under_test import check_same_training_network, load_judge, load_model_under_test
from eval.report.mirror import mirror_report
from eval.report.provenance import describe_code, describe_dataset, describe_model, describe_network
from training.command import CommandParser, check_device, run_command
from training.trackers import TrackerConfig, Trackers


def main(argv: list[str]) -> None:
    """Parse, load, measure, write."""
    parser = CommandParser(description="Judge how far drawings lie from real faces: Frechet distance and KID.")
    parser.add_argument("--model", required=True, help="folder or hub id of a whole model")
    parser.add_argument("--dataset", required=True, help="folder of a prepared data set")
    parser.add_argument("--out", required=True, help="folder of the report")
    parser.add_argument("--split", default="test", choices=[*SPLITS, "all"], help="default: %(default)s")
    parser.add_argument("--judge", default="dlib", help="face network E, not the training network (default: dlib)")
    parser.add_argument("--insightface-root", help="folder that holds models/<pack> (default: ~/.insightface)")
    parser.add_argument("--num-images", type=int, default=2048, help="drawings (default: %(default)s)")
    parser.add_argument(
        "--inception-weights",
        help="torchvision's inception_v3_google-0cc3c7bd.pth; found by itself in torch.hub's folder",
    )
    parser.add_argument(
        "--wandb",
        default="disabled",
        choices=["disabled", "offline", "online"],
        help="mirror the report in Weights & Biases (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of noise and subsets (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.num_images < 2:
        raise ConfigError(f"--num-images {arguments.num_images}: at least 2 are needed")
    check_device(arguments.device)
    dataset = open_split(arguments.dataset, arguments.split)
    model = load_model_under_test(arguments.model, arguments.device)
    if model.voice2face is None:
        raise ModelError(f"{arguments.model}: an encoder alone draws nothing; give a whole model")
    check_same_training_network(model, dataset)
    judge = load_judge(arguments.judge, arguments.insightface_root, model.face_encoder)
    spaces: list[ImageFeatures] = [JudgeFeatures(judge)]
    inception = find_inception(arguments.inception_weights)
    if inception is not None:
        spaces.insert(0, InceptionFeatures(inception, arguments.device))
    out = open_output(arguments.out)
    # Opened first: a login that fails should fail before the work, not after it.
    trackers = Trackers(TrackerConfig(wandb=arguments.wandb), out, vars(arguments))
    options = ImageOptions(num_images=arguments.num_images, seed=arguments.seed, progress=print_progress)
    measured = measure_images(model, spaces, dataset, options)
    if inception is None:
        measured.notes.append(
            "No Inception space: its weights are not on this machine (inception_v3_google-0cc3c7bd.pth in "
            "torch.hub's folder, or --inception-weights); they are never downloaded silently."
        )
    provenance = {
        "model": describe_model(model),
        "dataset": describe_dataset(dataset, arguments.split),
        "training_face_network": describe_network(model.face_encoder),
        "judge": describe_network(judge.info),
        "code": describe_code(),
        "settings": {"seed": options.seed, "num_images": options.num_images, "device": arguments.device},
    }
    write_image_report(out, measured, provenance)
    for row in measured.results:
        mark = "" if row.comparable else ", too few pictures to be comparable"
        print(
            f"{row.feature_space}: Frechet distance {row.frechet_distance:.4g}{mark}, KID x 1000 "
            f"{1000 * row.kid:.3f} ({row.num_images} drawings, {row.num_real} real faces)"
        )
    print(f"report: {out / 'report.md'}")
    upload = mirror_report(trackers, out, "image_quality")
    if upload is not None:
        print(f"to upload it: {upload}")


if __name__ == "__main__":
    run_command(main)
