"""The image-quality part of a report: JSON, Markdown, and a figure of real faces beside drawings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.images.measure import ImageMeasurement
from eval.report.figures import save_mosaic
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
    save_mosaic(out / pictures["real_and_drawn"], [("real", measured.real), ("drawn from voices", measured.drawn)])
    content = {
        **provenance,
        "results": [result.as_json() for result in measured.results],
        "bounds": [bound.as_json() for bound in measured.bounds],
        "faces_found": measured.faces_found,
        "notes": measured.notes,
        "pictures": pictures,
    }
    write_report(out, "image_quality", content, _as_markdown(measured, provenance, pictures))


def _as_markdown(measured: ImageMeasurement, provenance: dict[str, Any], pictures: dict[str, str]) -> str:
    model, dataset = provenance["model"], provenance["dataset"]
    rows = [
        [
            f"**{row.system}**" if row in measured.results else row.system,
            row.feature_space,
            f"{row.num_images:,} / {row.num_real:,}",
            f"{row.frechet_distance:.4g}" + ("" if row.comparable else " (not comparable)"),
            f"{1000 * row.kid:.3f} ± {1000 * row.kid_std:.3f}",
        ]
        for row in (*measured.results, *measured.bounds)
    ]
    header = ["pictures", "feature space", "pictures / real faces", "Frechet distance", "KID x 1000"]
    lines = [
        "A smaller distance is better. The real faces are all faces of the split, those of people without a voice "
        "included; the drawings are made from all its voices in turn, with new noise each time.",
        "Frechet distance and KID in float64 (Heusel et al. 2017, Binkowski et al. 2018: subsets of up to "
        "1,000); ± is the standard deviation over subsets.",
        "The bound compares the faces of one half of the people with those of the other half, and so with half "
        "as many pictures as the other lines.",
        *measured.notes,
    ]
    found = measured.faces_found
    return "\n".join(
        [
            f"# Image quality: {model['source']} on {dataset['root']} ({dataset['split']})\n",
            f"![Real faces and drawings]({pictures['real_and_drawn']})\n",
            "*Real faces and drawings from voices, both chosen at random.*\n",
            table(header, rows, "llrrr"),
            f"dlib's HOG detector finds a face in {percent(found['drawings'])} % of the "
            f"{len(measured.drawn)} drawings shown, and in {percent(found['real'])} % of the "
            f"{len(measured.real)} real faces.\n",
            provenance_section(provenance),
            "## How it was measured\n",
            *(f"- {line}" for line in lines),
            "",
        ]
    )
