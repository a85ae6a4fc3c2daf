"""The image-quality part of a report: JSON, Markdown, and figures of real faces, drawings and distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.attributes.groups import small_groups_sentence
from eval.images.distances import ImageDistance
from eval.images.face_score import NUM_PARTS
from eval.images.measure import DRAWN_FROM_FACES, REAL, ImageMeasurement
from eval.report.figures import CHANCE, INK, save_figure, save_mosaic, tidy_axes
from eval.report.folder import write_report
from eval.report.markdown import percent, provenance_section, table


def write_image_report(out: Path, measured: ImageMeasurement, provenance: dict[str, Any]) -> None:
    """Write the whole report into an existing folder.

    Args:
        out: The folder.
        measured: The numbers and some pictures.
        provenance: As for the retrieval report, `eval.retrieval.report.write_retrieval_report`.
    """
    pictures = {"real_and_drawn": "real_and_drawn.png"}
    panels = [(f"drawn from voices, variety {variety:g}", drawn) for variety, drawn in sorted(measured.drawn.items())]
    save_mosaic(out / pictures["real_and_drawn"], [("real", measured.real), *panels])
    if len(measured.faces_found_at) > 1:
        pictures["distances"] = "distances.png"
        _save_distances(out / pictures["distances"], measured)
    content = {
        **provenance,
        "results": [result.as_json() for result in measured.results],
        "varieties": [
            {**row.as_json(), "faces_found": measured.faces_found_at[row.variety or 0.0]} for row in measured.varieties
        ],
        "bounds": [bound.as_json() for bound in measured.bounds],
        "groups": [group.as_json() for group in measured.groups],
        "small_groups": [group.as_json() for group in measured.small_groups],
        "face_scores": [score.as_json() for score in measured.face_scores],
        "faces_found": measured.faces_found,
        "notes": measured.notes,
        "missing": measured.missing,
        "pictures": pictures,
    }
    write_report(out, "image_quality", content, _as_markdown(measured, provenance, pictures))


def _save_distances(path: Path, measured: ImageMeasurement) -> None:
    """Draw Frechet distance, and improved precision and recall, over variety, in the first feature space."""
    space = measured.varieties[0].feature_space
    rows = [row for row in measured.varieties if row.feature_space == space]
    bounds = {row.system: row for row in measured.bounds if row.feature_space == space}
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_frechet(left, rows, bounds)
    varieties = [row.variety or 0.0 for row in rows]
    right.plot(varieties, [100 * row.precision for row in rows], "o-", color="#2f5fd0", label="improved precision")
    right.plot(varieties, [100 * row.recall for row in rows], "o-", color="#c9702a", label="improved recall")
    if REAL in bounds:
        right.axhline(100 * bounds[REAL].precision, color="#2f5fd0", linestyle=":", linewidth=1)
        right.axhline(100 * bounds[REAL].recall, color="#c9702a", linestyle=":", linewidth=1)
        right.plot([], [], color=INK, linestyle=":", linewidth=1, label="other real faces")
    right.set(xlabel="variety", ylabel="%", ylim=(0, 101), xticks=varieties)
    right.set_title(f"Manifolds of drawings and real faces ({space})", fontsize=10, color=INK)
    right.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    tidy_axes(right)
    save_figure(figure, path)


def plot_frechet(axes: Axes, rows: Sequence[ImageDistance], bounds: dict[str, ImageDistance]) -> None:
    """Draw the Frechet distance over variety, with its bounds as lines.

    Args:
        axes: Where to draw.
        rows: Distances of one feature space in the order of their varieties.
        bounds: Bounds in the same space by `system`.
    """
    varieties = [row.variety or 0.0 for row in rows]
    axes.plot(varieties, [row.frechet_distance for row in rows], "o-", color="#8a3fb0", label="drawings from voices")
    for system, colour, style in ((DRAWN_FROM_FACES, INK, "--"), (REAL, CHANCE, "--")):
        if system in bounds:
            name = system.removeprefix("bound: ")
            axes.axhline(bounds[system].frechet_distance, color=colour, linestyle=style, linewidth=1.2, label=name)
    axes.set(xlabel="variety", ylabel="Frechet distance", ylim=(0, None), xticks=varieties)
    axes.set_title(f"Distance from real faces ({rows[0].feature_space})", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    tidy_axes(axes)


def _as_markdown(measured: ImageMeasurement, provenance: dict[str, Any], pictures: dict[str, str]) -> str:
    model, dataset = provenance["model"], provenance["dataset"]
    rows = [
        [
            f"**{row.system}**" if row in measured.results else row.system,
            None if row.variety is None else f"{row.variety:g}",
            row.feature_space,
            f"{row.num_images:,} / {row.num_real:,}",
            f"{row.frechet_distance:.4g}" + ("" if row.comparable else " (not comparable)"),
            f"{1000 * row.kid:.3f} ± {1000 * row.kid_std:.3f}",
            percent(row.precision),
            percent(row.recall),
            None if row.variety is None else percent(measured.faces_found_at[row.variety]),
        ]
        for row in (*measured.varieties, *measured.bounds)
    ]
    header = ["pictures", "variety", "feature space", "pictures / real faces", "Frechet distance", "KID x 1000"]
    header += ["improved precision %", "improved recall %", "face found %"]
    lines = [
        "A smaller distance is better. The real faces are all faces of the split, those of people without a voice "
        "included; the drawings are made from all its voices in turn, with a new sample and new noise each time.",
        "**Variety** is the share of the way from the regressed feature (0) to a sample of all faces that the voice "
        f"leaves open (1). The bold lines are the headline, variety {measured.headline:g}: the highest one, since "
        "drawings should be distributed as real faces are. A model without a sampler has variety 0 alone.",
        "Frechet distance and KID in float64 (Heusel et al. 2017, Binkowski et al. 2018: subsets of up to "
        "1,000); ± is the standard deviation over subsets. For KID, a face network's unit features of D numbers are "
        "multiplied by the root of D, because KID of unit vectors compares little more than means. Reports from before "
        "varieties were measured did not do that; their KIDs don't compare with these.",
        "Improved precision: share of the pictures that lie among the real faces; improved recall: share of the real "
        "faces that lie among the pictures (Kynkaanniemi et al. 2019, k = 3). Both are means over ten subsets of one "
        "picture of each person, because several photographs of one person lie close together.",
        "`inception-clean-fid` and `inception-legacy`: the network of the original FID; pictures are enlarged as "
        "clean-fid does (bicubic, antialiased) or as pytorch-fid does (bilinear, not antialiased). Published FIDs "
        "compare with the line of their own resizing alone.",
        "The bound compares the faces of one half of the people with those of the other half, and so with half "
        "as many pictures as the other lines.",
        *measured.notes,
    ]
    found = measured.faces_found
    parts = [
        f"# Image quality: {model['source']} on {dataset['root']} ({dataset['split']})\n",
        f"![Real faces and drawings]({pictures['real_and_drawn']})\n",
        "*Real faces and drawings from voices, both chosen at random.*\n",
    ]
    if "distances" in pictures:
        parts += [
            f"![Distances over variety]({pictures['distances']})\n",
            "*Distance of the drawings from real faces over variety, and how far drawings lie among real faces.*\n",
        ]
    return "\n".join(
        [
            *parts,
            table(header, rows, "lrlrrrrrr"),
            f"dlib's HOG detector finds a face in {percent(found['drawings'])} % of "
            f"{found['num_drawings']} drawings of variety {measured.headline:g}, and in {percent(found['real'])} % of "
            f"{found['num_real']} real faces.\n",
            *(f"{sentence}\n" for sentence in measured.missing),
            _face_score_section(measured),
            _group_section(measured),
            provenance_section(provenance),
            "## How it was measured\n",
            *(f"- {line}" for line in lines),
            "",
        ]
    )


def _face_score_section(measured: ImageMeasurement) -> str:
    if not measured.face_scores:
        return ""
    rows = [
        [
            score.system,
            score.classifier,
            None if score.temperature is None else f"{score.temperature:g}",
            f"{score.num_classes:,}",
            f"{score.num_images:,}",
            f"{score.score:.2f} ± {score.score_std:.2f}",
        ]
        for score in measured.face_scores
    ]
    header = ["pictures", "classifier", "temperature", "classes", "pictures counted", "face score"]
    return (
        f"## Face score\n\n{table(header, rows, 'llrrrr')}\n"
        "How surely each picture shows one of the classifier's people, and how many different ones all show: "
        f"exp(E KL(p(y | x) || p(y))), mean ± standard deviation over {NUM_PARTS} parts. The most is the smaller of "
        "the number of classes and of pictures in a part; 1 means always the same face, or nobody in particular. It "
        "does not ask whose voice was heard. With VGGFace2's ResNet-50 as `--classifier` it is the VGGFace score of "
        "SF2F. A judge has no classes: there they are the people of the split, and a posterior is the softmax of the "
        "cosines to their mean features over the temperature. That compares with real faces and within this data set "
        "alone.\n"
    )


def _group_section(measured: ImageMeasurement) -> str:
    small = small_groups_sentence(measured.small_groups)
    if not measured.groups:
        return f"## By group of people\n\n{small}\n" if small else ""
    rows = [
        [
            f"{row.group}: {row.value}",
            row.people,
            f"{row.distance.num_images:,} / {row.distance.num_real:,}",
            f"{row.distance.frechet_distance:.4g}" + ("" if row.distance.comparable else " (not comparable)"),
            f"{1000 * row.distance.kid:.3f}",
            percent(row.distance.precision),
            percent(row.distance.recall),
        ]
        for row in measured.groups
    ]
    header = ["group", "people drawn", "drawings / real faces", "Frechet distance", "KID x 1000"]
    header += ["improved precision %", "improved recall %"]
    return (
        f"## By group of people\n\nDrawings of variety {measured.headline:g} from the voices of a group, and the real "
        f"faces of the same group, in the feature space of {measured.groups[0].distance.feature_space}. Frechet "
        "distances of groups of different sizes do not compare; KIDs do. Improved precision and recall fall with the "
        f"number of people. {small}\n\n{table(header, rows, 'lrrrrrr')}"
    )
