"""Measure how well a voice finds its speaker's face, and write a report.

python scripts/evaluate_retrieval.py --model runs/real/model --dataset datasets/real --judge dlib --out reports/real
"""

from __future__ import annotations

from data.errors import ConfigError
from data.store.dataset import ClipDataset
from eval.attributes.network import AttributeNetwork
from eval.commands import add_report_arguments, open_output, open_split, print_progress
from eval.model_under_test import check_same_training_network, choose_varieties, load_judges, load_model_under_test
from eval.report.mirror import finish_report
from eval.report.provenance import collect_provenance
from eval.retrieval.measure import Options, measure_retrieval
from eval.retrieval.report import write_retrieval_report
from training.command import CommandParser, check_device, run_command
from training.trackers import TrackerConfig, Trackers


def main(argv: list[str]) -> None:
    """Parse, load, measure, write."""
    parser = CommandParser(
        description="Measure how well a voice finds its speaker's face, and write a report.", has_result=True
    )
    add_report_arguments(
        parser,
        model="folder or hub id of a voice encoder, or of an encoder with its generator",
        judge="face networks that judge drawings, not the training network T: dlib, insightface:<pack>, or none for "
        "an encoder alone",
        seed="galleries and noise",
    )
    parser.add_argument(
        "--gallery-sizes", type=int, nargs="+", default=[100, 1000], help="people in a gallery (default: 100 1000)"
    )
    parser.add_argument("--num-draws", type=int, default=100, help="galleries averaged over (default: %(default)s)")
    parser.add_argument(
        "--attribute-reader",
        metavar="onnx:FILE",
        help="network of import_face_network.py that reads sex and age from drawings, as a second reader beside the "
        "classifiers on E's features",
    )
    arguments = parser.parse_args(argv)
    if min(arguments.gallery_sizes) < 2 or arguments.num_draws < 1:
        raise ConfigError("--gallery-sizes must be 2 or more, --num-draws 1 or more")
    check_device(arguments.device)
    dataset, train = open_split(arguments.dataset, arguments.split), ClipDataset(arguments.dataset, "train")
    model = load_model_under_test(arguments.model, arguments.device, arguments.guidance)
    check_same_training_network(model, dataset)
    varieties = choose_varieties(model, arguments.varieties)
    judges = []
    if arguments.judge != ["none"]:
        judges = load_judges(arguments.judge, arguments.insightface_root, model.face_encoder)
    elif model.voice2face is not None:
        raise ConfigError("--judge none: drawings need a judge; choose dlib or insightface:<pack>")
    reader = AttributeNetwork(arguments.attribute_reader) if arguments.attribute_reader else None
    if reader is not None and model.voice2face is None:
        raise ConfigError("--attribute-reader: it reads drawings, and this model is an encoder alone")
    out = open_output(arguments.out)
    # Opened first: a login that fails should fail before the work, not after it.
    trackers = Trackers(TrackerConfig(wandb=arguments.wandb), out, vars(arguments))
    options = Options(
        gallery_sizes=tuple(arguments.gallery_sizes),
        num_draws=arguments.num_draws,
        varieties=varieties,
        insightface_root=arguments.insightface_root,
        attribute_reader=reader,
        seed=arguments.seed,
        device=arguments.device,
        progress=print_progress,
    )
    measured = measure_retrieval(model, judges, dataset, train, options)
    settings = {
        "seed": options.seed,
        "draws": options.num_draws,
        "varieties": " ".join(f"{variety:g}" for variety in varieties),
        "device": options.device,
    }
    if model.sampler is not None:
        settings["guidance"] = model.sampler.guidance
    if reader is not None:
        settings["attribute_reader"] = f"{reader.info.name}, sha256 {reader.info.sha256}"
    infos = [judge.info for judge in judges]
    provenance = collect_provenance(model, dataset, arguments.split, infos, settings)
    write_retrieval_report(out, model, dataset, measured, provenance, options.seed)
    lines = []
    for row in measured.headlines():
        recalls = ", ".join(f"R@{k} {100 * v:.1f} %" for k, v in row.recall.items() if k in ("1", "5", "10"))
        lines.append(
            f"{row.space}: {recalls} in galleries of {row.gallery}, {row.queries} voices of {row.identities} people"
        )
    if measured.varieties is not None:
        lines += [point.summary() for point in measured.varieties.points]
    finish_report(arguments, trackers, out, "retrieval", lines)


if __name__ == "__main__":
    run_command(main)
