"""The evaluation commands on made-up people and models with random weights."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from encoder.sampler import SamplerConfig
from eval.report.folder import read_parts
from gan.voice2face import Voice2Face
from tests.commands import assert_one_line, call_script, run_script
from tests.networks import write_classifier
from tests.synthetic import TinyWorld


@pytest.fixture(scope="module")
def models(tiny_encoder: Path, tiny_model: Voice2Face, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An encoder alone and a whole model around it, untrained."""
    folder = tmp_path_factory.mktemp("models") / "whole"
    tiny_model.save_pretrained(folder)
    return tiny_encoder, folder


@pytest.fixture(scope="module")
def with_sampler(tiny_model: Voice2Face, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole model with a sampler of random weights."""
    torch.manual_seed(2)
    encoder = replace(tiny_model.config.encoder, sampler=SamplerConfig(width=8))
    model = Voice2Face(replace(tiny_model.config, encoder=encoder))
    model.load_state_dict(tiny_model.state_dict(), strict=False)
    for buffer in model.encoder.require_sampler().buffers():
        buffer.normal_(std=0.3)
    folder = tmp_path_factory.mktemp("sampler") / "model"
    model.save_pretrained(folder)
    return folder


def common(tiny_world: TinyWorld, model: Path, out: Path) -> list[object]:
    return ["--model", model, "--dataset", tiny_world.dataset, "--out", out]


def check_entry(entry: dict) -> None:
    """The form that the issue promises, and numbers that can be."""
    promised = "task space metric judge gallery queries recall chance ci95 median_rank"
    assert set(promised.split()) <= set(entry), entry
    assert entry["task"] == "retrieval" and entry["queries"] >= 1
    for k, rate in entry["recall"].items():
        low, high = entry["ci95"][k]
        assert 0 <= low <= rate <= high <= 1
        assert entry["chance"][k] == pytest.approx(int(k) / entry["gallery"])
    assert 1 <= entry["median_rank"] <= entry["gallery"]


def check_pictures(report: dict, folder: Path, text: str) -> None:
    assert report["pictures"]
    for name in report["pictures"].values():
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 200
        assert f"({name})" in text
    # Pictures first, numbers under them.
    assert text.index("![") < text.index("| ")


def test_a_whole_model_is_judged_in_three_spaces_beside_floors_and_bounds(tiny_world, models, tmp_path):
    result = run_script(
        "evaluate_retrieval",
        *common(tiny_world, models[1], tmp_path / "report"),
        *("--judge", "personas-judge", "--gallery-sizes", 5, 100, "--num-draws", 4),
    )
    assert result.returncode == 0, result.stderr
    report = read_parts(tmp_path / "report")["retrieval"]
    text = (tmp_path / "report" / "report.md").read_text()
    for entry in (*report["results"], *report["floors"], *report["bounds"], *report["lengths"]):
        check_entry(entry)
    assert {(e["space"], e["judge"]) for e in report["results"]} == {
        ("joint", "insightface:tiny/tiny"),
        ("feature", "insightface:tiny/tiny"),
        ("image", "personas-judge"),
    }
    assert {e["system"].split(":")[0] for e in report["floors"]} == {"floor"}
    assert {e["space"] for e in report["bounds"]} == {"image-to-image", "image"}
    by_t = report["f2f_by_training_network"]
    assert {(e["space"], e["judge"]) for e in by_t} == {("image", "insightface:tiny/tiny")} and by_t[0]["queries"] > 5
    # Even the tiny network tells some cartoons apart: another picture of a person finds the person.
    own = [e for e in report["bounds"] if e["judge"] == "insightface:tiny/tiny" and e["gallery"] == 5]
    assert own[0]["recall"]["1"] > 1.5 * own[0]["chance"]["1"]
    people = report["results"][0]["identities"]
    pairs = {row["pair"]: row for row in report["listening"]}
    assert pairs["same voice, other noise"]["num"] == people
    assert pairs["same person, other clip, same noise"]["pixel_difference"] is not None
    assert 0 <= report["faces_found"]["drawings"] <= 1
    assert report["reconstruction"]["ms_ssim_scales"] == 3
    ratios = report["attributes"]["craniofacial"]
    assert ratios["missing"] is None and ratios["num_people"] == people and len(ratios["rows"]) == 12
    # An untrained generator draws no face that is found, and these are few people.
    assert all(row["too_small"] and row["correlation"] is None for row in ratios["rows"])
    assert "## Craniofacial ratios" in text and "too small: fewer than 10 people" in text
    assert report["small_groups"] and all(group["people"] < 10 for group in report["small_groups"])
    # Without a sampler there is variety 0 alone, and no curve.
    (entry,) = report["varieties"]
    image = next(e for e in report["results"] if (e["space"], e["metric"]) == ("image", "centred_cosine"))
    assert entry["variety"] == 0 and entry["recall_one"] == pytest.approx(image["recall"])
    assert "mean of 8 drawings, variety 0" in text and report["by_other_judges"] == []
    assert set(report["pictures"]) == {"queries_joint", "queries_image", "samples", "recall", "listening"}
    check_pictures(report, tmp_path / "report", text)
    check_provenance(report, text, models[1])
    assert "NaN" not in (tmp_path / "report" / "report.json").read_text()


def check_provenance(report: dict, text: str, model: Path) -> None:
    for network in ("training_face_network", "judge"):
        assert re.fullmatch(r"[0-9a-f]{64}", report[network]["sha256"])
        assert report[network]["sha256"] in text
        assert "path" not in report[network]
    assert report["judge"]["sha256"] != report["training_face_network"]["sha256"]
    assert re.fullmatch(r"[0-9a-f]{64}", report["dataset"]["split_sha256"])
    assert report["dataset"]["split_sha256"] in text and report["model"]["sha256"] in text
    assert report["model"]["source"] == str(model)


def test_an_encoder_alone_is_judged_in_every_gallery_and_metric_and_needs_no_judge(tiny_world, models, tmp_path):
    result = call_script(
        "evaluate_retrieval",
        *common(tiny_world, models[0], tmp_path),
        *("--judge", "none", "--split", "all", "--gallery-sizes", 5, 100, "--num-draws", 30, "--json"),
    )
    assert result.returncode == 0, result.stderr
    report = read_parts(tmp_path)["retrieval"]
    assert json.loads(result.stdout) == report
    for entry in (*report["results"], *report["groups"]):
        check_entry(entry)
    assert {(e["space"], e["metric"], e["gallery_kind"], e["gallery"]) for e in report["results"]} == {
        (space, metric, *gallery)
        for space in ("joint", "feature")
        for metric in ("cosine", "l2", "l1", "centred_cosine")
        for gallery in (("random", 5), ("whole_split", 24), ("same_sex", 12))
    }
    assert "No gallery of 100: only 24 people" in (tmp_path / "report.md").read_text()
    assert [row["seconds"] for row in report["lengths"]] == [1.0, 3.0, 6.0]
    assert {(row["group"], row["value"]) for row in report["groups"]} >= {("sex", "female"), ("sex", "male")}
    # An untrained model knows nobody: what chance gives lies within the interval.
    for entry in report["results"]:
        if entry["gallery"] == 24 and entry["metric"] == "cosine":
            low, high = entry["ci95"]["1"]
            assert low <= entry["chance"]["1"] <= high
    assert report["judge"] is None and report["listening"] == [] and report["reconstruction"] is None
    assert set(report["pictures"]) == {"queries_joint", "queries_feature", "recall"}


def test_a_sampler_gives_a_curve_over_variety_by_every_judge(tiny_world, with_sampler, tmp_path, monkeypatch):
    monkeypatch.setattr("eval.retrieval.measure.MIN_HEADLINE_IMAGES", 40)
    arguments = ("--judge", "personas-judge", "personas", "--varieties", 1, 0, 0.5, "--guidance", 1.5)
    result = call_script(
        "evaluate_retrieval",
        *common(tiny_world, with_sampler, tmp_path),
        *(*arguments, "--gallery-sizes", 5, "--num-draws", 4),
    )
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"^variety (?:0|0\.5|1): R@2 ", result.stdout, re.MULTILINE)) == 3
    report = read_parts(tmp_path)["retrieval"]
    assert report["settings"]["guidance"] == 1.5
    entries = report["varieties"]
    assert [(e["judge"], e["variety"]) for e in entries] == [
        (judge, variety) for judge in ("personas-judge", "personas") for variety in (0, 0.5, 1)
    ]
    for first, *_, last in (entries[:3], entries[3:]):
        assert last["two_drawings"] < first["two_drawings"] - 0.05
        assert last["gap"] == pytest.approx(last["two_drawings"] - last["photograph"], abs=1e-9)
    assert entries[0]["frechet_distance"] > 0 and "frechet_distance" not in entries[3]
    others = report["by_other_judges"]
    assert {e["judge"] for e in others} == {"personas"} and {e["system"].split(":")[0] for e in others} == {
        "model",
        "bound",
    }
    assert [judge["name"] for judge in report["other_judges"]] == ["personas"]
    text = (tmp_path / "report.md").read_text()
    assert "(mean of 8 drawings, variety 0.5)" in text and "## The drawings judged by personas\n" in text
    assert report["pictures"]["varieties"] == "varieties.png"
    check_pictures(report, tmp_path, text)
    given = *common(tiny_world, with_sampler, tmp_path), *arguments, "--num-images", 20
    result = call_script("evaluate_fid", *given, "--json")
    assert result.returncode == 0, result.stderr
    parts = read_parts(tmp_path)
    assert json.loads(result.stdout) == parts["image_quality"]
    assert set(parts) == {"retrieval", "image_quality"}
    images = parts["image_quality"]
    assert [(e["feature_space"], e["variety"]) for e in images["varieties"]] == [
        (judge, variety) for judge in ("personas-judge", "personas") for variety in (0, 0.5, 1)
    ]
    # The headline is the highest variety.
    assert [e["variety"] for e in images["results"]] == [1, 1]
    check_pictures(images, tmp_path, (tmp_path / "image_quality.md").read_text())


def test_fid_of_few_drawings_is_printed_as_not_comparable(tiny_world, models, tmp_path):
    result = call_script(
        "evaluate_fid", *common(tiny_world, models[1], tmp_path), "--num-images", 20, "--wandb", "offline"
    )
    assert result.returncode == 0, result.stderr
    assert "too few pictures to be comparable" in result.stdout
    # The mirror is a whole offline run that the printed command would upload.
    (upload,) = re.findall(r"wandb sync (\S+)", result.stdout)
    assert list(Path(upload).glob("*.wandb"))
    report = read_parts(tmp_path)["image_quality"]
    (entry,) = [e for e in report["results"] if e["feature_space"] == "dlib"]
    assert entry["num_images"] == 20 and entry["comparable"] is False
    assert entry["frechet_distance"] > 0 and entry["kid"] > 0
    bounds = {e["system"].split(":")[0]: e for e in report["bounds"] if e["feature_space"] == "dlib"}
    # Other real faces are closer than drawings of an untrained generator.
    assert bounds["bound"]["kid"] < entry["kid"]
    text = (tmp_path / "report.md").read_text()
    assert "(not comparable)" in text and "20 / " in text
    check_pictures(report, tmp_path, text)
    check_provenance(report, text, models[1])
    # Without Inception's weights the rest is measured, and the report says what is missing; too few people for a class.
    assert len(report["missing"]) == 3 and "pt_inception-2015-12-05-6726825d.pth" in report["missing"][2]
    assert "it needs 20 people" in report["missing"][0] and "--classifier" in report["missing"][1]
    assert all(sentence in text and sentence in result.stdout for sentence in report["missing"])
    assert report["face_scores"] == [] and "## Face score" not in text


class PooledPixels(torch.nn.Module):
    """In place of Inception: the mean colours of the quarters of a picture, 12 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.scale * torch.nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1)


def test_fid_in_inceptions_space_with_both_resizings_and_the_face_score_of_a_classifier(
    tiny_world, models, tmp_path, monkeypatch
):
    monkeypatch.setattr("eval.images.features.load_inception", lambda path, device: PooledPixels())
    monkeypatch.setattr("eval.images.features.InceptionFeatures.size", 12)
    (tmp_path / "weights.pth").touch()
    classifier = write_classifier(tmp_path / "colours.onnx", probabilities=False)
    result = call_script(
        "evaluate_fid",
        *common(tiny_world, models[1], tmp_path / "out"),
        *("--num-images", 60, "--judge", "personas-judge", "--split", "all"),
        *("--inception-weights", tmp_path / "weights.pth", "--classifier", classifier),
    )
    assert result.returncode == 0, result.stderr
    report = read_parts(tmp_path / "out")["image_quality"]
    text = (tmp_path / "out" / "report.md").read_text()
    assert not any("Inception" in sentence or "--classifier" in sentence for sentence in report["missing"])
    rows = {e["feature_space"]: e for e in report["results"]}
    assert list(rows) == ["inception-clean-fid", "inception-legacy", "personas-judge"]
    fids = [rows[space]["frechet_distance"] for space in list(rows)[:2]]
    # Means over quarters of a picture hardly depend on how it was enlarged.
    assert fids[0] == pytest.approx(fids[1], rel=0.2) and fids[0] > 0
    scores = {e["system"]: e for e in report["face_scores"] if e["classifier"] == "colours"}
    assert set(scores) == {"drawings from voices", "real faces"}
    assert all(1 <= e["score"] <= 3 and e["num_images"] >= 20 for e in scores.values())
    assert "| drawings from voices | colours |" in text and "colours, sha256 " in text
    assert {(g["group"], g["value"]) for g in report["groups"]} >= {("sex", "female"), ("sex", "male")}
    assert all(g["people"] < 10 for g in report["small_groups"])


def test_a_mistake_is_one_line_and_exit_code_2(tiny_world, models, tmp_path):
    result = run_script("evaluate_retrieval", *common(tiny_world, tmp_path / "nothing", tmp_path / "out"))
    assert_one_line(result, "nothing")


def test_the_judge_must_not_be_the_training_network(tiny_world, models, tmp_path):
    judge = ("--judge", "personas-judge", "insightface:tiny", "--insightface-root", tiny_world.pack_root)
    for name, model in (("evaluate_retrieval", models[0]), ("evaluate_fid", models[1])):
        result = call_script(name, *common(tiny_world, model, tmp_path), *judge)
        assert_one_line(result, "the same weights as the training face network")


def test_an_encoder_alone_has_no_image_quality(tiny_world, models, tmp_path):
    result = call_script("evaluate_fid", *common(tiny_world, models[0], tmp_path))
    assert_one_line(result, "an encoder alone draws nothing")


def test_an_output_that_cannot_be_written_is_told_before_anything_is_computed(tiny_world, models, tmp_path):
    (tmp_path / "file").write_text("in the way")
    arguments = (*common(tiny_world, models[0], tmp_path / "file" / "out"), "--judge", "none")
    assert_one_line(call_script("evaluate_retrieval", *arguments), "a report can't be written there")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "tset"], "invalid choice"),
        (["--gallery-sizes", 1], "must be 2 or more"),
        (["--device", "cuda:77"], "not on this machine"),
        (["--judge", "nobody"], "unknown face network"),
        (["--judge", "personas", "personas"], "the same network twice"),
        (["--varieties", 2], "a variety lies between 0 and 1"),
        (["--varieties", 0.5], "this model has no sampler"),
        (["--guidance", 2], "it has no sampler, which guidance belongs to"),
        (["--colour", "blue"], "unrecognized arguments"),
    ],
)
def test_wrong_settings_are_one_line(tiny_world, models, tmp_path, arguments, message):
    assert_one_line(call_script("evaluate_retrieval", *common(tiny_world, models[0], tmp_path), *arguments), message)


def test_a_data_set_made_with_another_face_network_is_refused(tiny_world, models, tmp_path):
    other = shutil.copytree(tiny_world.dataset, tmp_path / "dataset")
    info = json.loads((other / "dataset.json").read_text())
    info["face_encoder"]["sha256"] = "0" * 64
    (other / "dataset.json").write_text(json.dumps(info))
    arguments = ("--model", models[0], "--dataset", other, "--out", tmp_path / "out", "--judge", "none")
    assert_one_line(call_script("evaluate_retrieval", *arguments), "prepare it with the model's face network")
