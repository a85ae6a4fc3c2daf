"""The retrieval report as Markdown: figures first, then numbers with their intervals, chance and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.attributes.groups import small_groups_sentence
from eval.attributes.text import attribute_section
from eval.personas.limits import LIMIT_NAMES
from eval.report.markdown import number_interval, percent, percent_interval, provenance_section, table
from eval.retrieval.baselines import MEAN_FACE, SHUFFLED
from eval.retrieval.judges import OtherJudge
from eval.retrieval.measure import RetrievalMeasurement
from eval.retrieval.metrics import PRIMARY_METRICS, RECALLS, RetrievalResult
from eval.retrieval.variety.measure import MEAN_VARIETY, NUM_DRAWINGS
from eval.retrieval.variety.text import other_judge_section, variety_section


def as_markdown(measured: RetrievalMeasurement, provenance: dict[str, Any], pictures: dict[str, str]) -> str:
    """The report's text.

    Args:
        measured: The numbers.
        provenance: As `eval.retrieval.report.write_retrieval_report` takes it.
        pictures: File names of the figures by name.
    """
    model, dataset = provenance["model"], provenance["dataset"]
    headline = measured.headlines()
    parts = [
        f"# Voice to face: {model['source']} on {dataset['root']} ({dataset['split']})\n",
        _sentence(headline, measured),
    ]
    captions = {
        "varieties": "Faithfulness against variety: how often drawings find the speaker's face, how alike two drawings "
        "of one voice are beside a drawing and the speaker's photograph, and how far drawings are from real faces.",
        "samples": "The voice, the speaker's face, the drawing of that face's true feature, and drawings from the "
        "voice. People are spread over the split, not selected.",
        "queries_image": "Image space: E's feature of each drawing is the query, all people of the split are the "
        "gallery. Green frame: the right face.",
        "queries_joint": "Joint space: the embedding of each voice is the query, all people of the split are the "
        "gallery. Green frame: the right face.",
        "queries_feature": "Feature space: the face feature regressed from each voice is the query, all people of the "
        "split are the gallery. Green frame: the right face.",
        "recall": "Recall in the headline gallery with 95 % intervals. Dotted: the same predictions, assigned to "
        "other people's voices.",
        "listening": "Similarity of pairs that differ in noise, clip or person, one dot a person, at variety 0. "
        "Drawings of one voice should be similar there, those of two people should not.",
    }
    for name, caption in captions.items():
        if name in pictures:
            parts.append(f"![{name}]({pictures[name]})\n\n*{caption}*\n")
    parts.append(_headline_table(measured, headline))
    if measured.varieties is not None:
        parts.append(variety_section(measured.varieties))
    parts += [_other_judge_section(other) for other in measured.other_judges]
    parts += [_detail_table(measured), _sensitivity_section(measured), attribute_section(measured.attributes)]
    parts += [_quality_section(measured), _length_section(measured), _group_section(measured)]
    parts += [provenance_section(provenance), _method_section(measured)]
    return "\n".join(part for part in parts if part)


def _sentence(headline: Sequence[RetrievalResult], measured: RetrievalMeasurement) -> str:
    lines = []
    several = [] if measured.varieties is None else [measured.varieties.headline.mean]
    for result in (*headline, *several):
        k = _main_k(result)
        if k is None:
            continue
        what = f" ({_what_is_drawn(result)})" if result.space == "image" else ""
        lines.append(
            f"- **{result.space} space**{what}: the right face is among the first {k} of {result.gallery} for "
            f"**{percent(result.recall[k])} %** of the voices (95 % interval {percent(result.ci95[k][0])} to "
            f"{percent(result.ci95[k][1])}, chance {percent(result.chance[k])}; {result.queries} voices of "
            f"{result.identities} people, {result.metric}, judged by {result.judge})."
        )
    return "\n".join(lines) + "\n"


def _what_is_drawn(result: RetrievalResult) -> str:
    """The words for a result of the image space."""
    if result.system == "model":
        return "one drawing, variety 0"
    return result.system.removeprefix("model, ")


def _main_k(result: RetrievalResult) -> str | None:
    return "10" if "10" in result.recall else (max(result.recall, key=int) if result.recall else None)


def _recall_header(rows: Sequence[RetrievalResult], wanted: Sequence[int]) -> list[str]:
    present = {k for row in rows for k in row.recall}
    return [str(k) for k in wanted if str(k) in present]


def _gallery_name(result: RetrievalResult) -> str:
    kind = {"random": "random", "whole_split": "whole split", "same_sex": "same sex"}[result.gallery_kind]
    return f"{result.gallery} {kind}"


def _headline_table(measured: RetrievalMeasurement, headline: Sequence[RetrievalResult]) -> str:
    gallery = measured.headline
    several = [] if measured.varieties is None else [measured.varieties.headline.mean]
    limits = [row for row in measured.bounds if row.space == "latent"]
    bounds = [row for row in measured.bounds if row.space != "latent"] + measured.f2f_by_training_network
    chosen = [
        row
        for row in (*headline, *several, *measured.floors, *bounds, *limits)
        if (row.gallery_kind, row.gallery) == (gallery.kind, gallery.size)
    ]
    ks = _recall_header(chosen, (1, 5, 10))
    rows = [["chance", None, None, None, gallery.size, None, *(percent(int(k) / gallery.size) for k in ks), None]]
    for row in chosen:
        rows.append(
            [
                _system(row),
                row.space,
                row.metric,
                row.judge,
                _gallery_name(row),
                f"{row.queries} / {row.identities}",
                *(percent_interval(row.recall[k], row.ci95[k]) if k in row.recall else None for k in ks),
                f"{row.median_rank:.1f}",
            ]
        )
    header = [
        "system",
        "space",
        "metric",
        "judge",
        "gallery",
        "queries / people",
        *(f"R@{k} %" for k in ks),
    ]
    text = table([*header, "median rank"], rows, "lllll" + "r" * (len(ks) + 2))
    return f"## Model, floors and bounds in the headline gallery of {gallery.size}\n\n{text}"


def _system(row: RetrievalResult) -> str:
    if row.space == "image" and row.system.startswith("model"):
        return f"**model**, {_what_is_drawn(row)}"
    return "**model**" if row.system == "model" else row.system


def _other_judge_section(other: OtherJudge) -> str:
    """The image space by another judge."""
    ks = _recall_header(other.results, (1, 5, 10))
    rows = [
        [
            _system(row),
            _gallery_name(row),
            f"{row.queries} / {row.identities}",
            *(percent_interval(row.recall[k], row.ci95[k]) if k in row.recall else None for k in ks),
            f"{row.median_rank:.1f}",
        ]
        for row in (*other.results, *other.bounds)
    ]
    header = ["system", "gallery", "queries / people", *(f"R@{k} %" for k in ks), "median rank"]
    text = table(header, rows, "lll" + "r" * (len(ks) + 1))
    return (
        f"## The drawings judged by {other.name}\n\nAnother judge than the headline's sees one voice and two "
        f"photographs of each person, in galleries of their own.\n\n{text}\n"
        + other_judge_section(other.name, other.points)
    )


def _detail_table(measured: RetrievalMeasurement) -> str:
    ks = _recall_header(measured.results, RECALLS)
    rows = []
    for row in measured.results:
        recalls = [
            f"{percent_interval(row.recall[k], row.ci95[k])} [{percent(row.chance[k])}]" if k in row.recall else None
            for k in ks
        ]
        rows.append(
            [
                row.space,
                _gallery_name(row),
                f"{row.queries} / {row.draws}",
                row.metric,
                *recalls,
                f"{row.median_rank:.1f}",
                f"{row.mean_reciprocal_rank:.3f}",
            ]
        )
    header = ["space", "gallery", "queries / draws", "metric", *(f"R@{k}" for k in ks), "median rank", "MRR"]
    text = table(header, rows, "llll" + "r" * (len(ks) + 2))
    return (
        "## Every gallery and metric\n\n<details><summary>The whole table: percent, 95 % bootstrap interval over "
        f"people in parentheses, chance in brackets</summary>\n\n{text}\n</details>\n"
    )


def _sensitivity_section(measured: RetrievalMeasurement) -> str:
    if not measured.sensitivity:
        return ""
    rows = [
        [
            a.pair,
            a.num,
            number_interval(a.cosine, a.ci95),
            None if a.pixel_difference is None else percent(a.pixel_difference),
            None if a.lpips is None else f"{a.lpips:.3f}",
        ]
        for a in measured.sensitivity
    ]
    header = ["pair", "people", "centred cosine, E (95 %)", "pixel difference %", "LPIPS"]
    missing = measured.lpips_missing
    return (
        "## Sensitivity of the drawings\n\nAt variety 0, drawings of one voice should show the same person whatever "
        "the noise; those of another person's voice should not. LPIPS of the first line is the spread over noise.\n\n"
        + table(header, rows)
        + (f"\nLPIPS was not measured: {missing}\n" if missing is not None else "")
    )


def _quality_section(measured: RetrievalMeasurement) -> str:
    text = ""
    if measured.faces_found is not None:
        found = measured.faces_found
        text += (
            f"A face is found in **{percent(found['drawings'])} %** of {found['num_drawings']} drawings "
            f"from voices (photographs of the same people: {percent(found['photographs'])} % of "
            f"{found['num_photographs']}; {found['detector']}).\n\n"
        )
    if measured.reconstruction is not None:
        f2f = measured.reconstruction
        rows = [
            [
                f"MS-SSIM, {f2f['ms_ssim_scales']} scales (higher is better)",
                f2f["num_images"],
                f"{f2f['ms_ssim']:.3f}",
                f"{f2f['ms_ssim_stranger']:.3f}",
            ]
        ]
        if f2f["lpips"] is not None:
            distances = [f"{f2f['lpips']:.3f}", f"{f2f['lpips_stranger']:.3f}"]
            rows.append(["LPIPS, AlexNet (lower is better)", f2f["num_images"], *distances])
        text += table(
            ["compared with the true face", "faces", "drawing of its true feature (F2F)", "another person's face"], rows
        )
        if f2f["lpips"] is None:
            text += f"\nLPIPS was not measured: {f2f['lpips_missing']}\n"
    return f"## Drawings\n\n{text}" if text else ""


def _length_section(measured: RetrievalMeasurement) -> str:
    rows = []
    for row in measured.lengths:
        k = _main_k(row)
        if k is not None:
            rows.append(
                [
                    f"{row.extra['seconds']:g}",
                    percent(row.extra["long_enough"]),
                    _gallery_name(row),
                    row.queries,
                    k,
                    percent_interval(row.recall[k], row.ci95[k]),
                    percent(row.chance[k]),
                    f"{row.median_rank:.1f}",
                ]
            )
    header = [
        "seconds used",
        "clips this long %",
        "gallery",
        "queries",
        "k",
        "R@k %",
        "chance %",
        "median rank",
    ]
    return f"## By length of speech (joint space)\n\n{table(header, rows, 'rrlrrrrr')}" if rows else ""


def _group_section(measured: RetrievalMeasurement) -> str:
    rows = []
    for row in measured.groups:
        k = _main_k(row)
        if k is not None:
            interval = percent_interval(row.recall[k], row.ci95[k])
            group = f"{row.extra['group']}: {row.extra['value']}"
            rows.append([row.space, group, f"{row.queries} / {row.identities}", interval, percent(row.chance[k])])
    small = small_groups_sentence(measured.small_groups)
    if not rows:
        return f"## By group of people\n\n{small}\n" if small else ""
    k = _main_k(measured.groups[0])
    header = ["space", "group", "queries / people", f"R@{k} %", "chance %"]
    return (
        f"## By group of people\n\nAll groups are measured in the same galleries of {measured.headline.size}. "
        f"{small}\n\n{table(header, rows, 'llrrr')}"
    )


def _method_section(measured: RetrievalMeasurement) -> str:
    lines = [
        "A gallery holds one face of each of several people who have both a voice and a face; one voice of each is "
        "the query. Faces and voices are drawn anew for each draw of a gallery, and all systems are measured on the "
        "same draws.",
        "Ties count as the expectation over their random orders, so a constant prediction reaches exactly chance.",
        "Intervals are bootstraps over the people asked for (2,000 resamples, 95 %). They do not cover the "
        "randomness of training.",
        "`centred_cosine` subtracts means over the training split: the mean prediction for training voices from "
        "queries, the mean of training faces from faces. The headline metric of each space was fixed beforehand: "
        + ", ".join(f"{space} {metric}" for space, metric in PRIMARY_METRICS.items())
        + ".",
        f"“{SHUFFLED}”: the model's own predictions, each assigned to a voice of another person. “{MEAN_FACE}”: its "
        "mean prediction for training voices, assigned to every voice.",
        "Image space, where nothing else is said: one drawing of each voice at variety 0, with noise that depends on "
        f"the clip and the seed alone. The second headline, the mean of {NUM_DRAWINGS} drawings at variety "
        f"{MEAN_VARIETY:g} (0 without a sampler), was fixed beforehand too.",
        "T made the data set's face features and may be part of the training loss; drawings are judged by E alone.",
        *_limit_notes(measured),
        *measured.notes,
    ]
    return "## How it was measured\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def _limit_notes(measured: RetrievalMeasurement) -> list[str]:
    if not measured.limits:
        return []
    return [
        "The people are synthetic personas, so the best possible ranking is known: by the likelihood ratio of the true "
        "traits of face and voice. No model of voices and faces can on average exceed "
        f"“{LIMIT_NAMES['voice']}”; to reach it, a model would have to read all traits from one clip and one picture "
        "without error."
    ]
