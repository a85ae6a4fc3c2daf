"""Cards of models, and what a report adds to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import ConfigError
from data.faces.licences import weights_licence
from data.faces.protocol import FaceEncoderInfo
from eval.sharing.card import Card, complete_card, format_card, parse_card
from eval.sharing.metrics import read_metrics
from gan.voice2face import Voice2Face
from training.card import SECTIONS
from training.pretrained import TrainingData


def recall(group: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    entry = {"task": "retrieval", "system": "model", "space": "joint", "metric": "cosine", "gallery_kind": "random"}
    numbers = {"recall": {"10": 0.5}, "ci95": {"10": [0.4, 0.6]}, "chance": {"10": 0.1}}
    return {**entry, "gallery": 100, "identities": 30, **numbers, **(group or {}), **changes}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    about = {
        "model": {"sha256": "a" * 64},
        "dataset": {"root": "/home/me/people", "split": "test", "identities": 30},
        "judge": {"name": "dlib"},
        "code": {"commit": "b" * 40, "changed_since": False},
    }
    others = [
        recall(gallery=50),
        recall(gallery=1000),
        recall(metric="l2"),
        recall(gallery_kind="same sex"),
        recall(system="floor"),
    ]
    retrieval = {
        **about,
        "results": [recall(), *others],
        "groups": [recall({"group": "sex", "value": "female"}, gallery=20)],
        "small_groups": [{"group": "age", "value": "20-29", "people": 4, "too_small": True}],
    }
    quality = {
        "task": "image_quality",
        "system": "drawings from voices",
        "feature_space": "personas-judge",
        "variety": 1.0,
        "frechet_distance": 0.25,
        "kid": None,
    }
    verified = {
        "task": "verification",
        "system": "model",
        "identities": 30,
        "equal_error_rate": 0.2,
        "equal_error_rate_ci95": [0.1, 0.3],
        "chance": 0.5,
    }
    verification = {**about, "results": [{**verified, "others": "all"}, {**verified, "others": "same_sex"}]}
    parts = {
        "retrieval": retrieval,
        "verification": verification,
        "image_quality": {**about, "results": [quality]},
    }
    (tmp_path / "report.json").write_text(json.dumps({"format_version": 1, "results": [], "parts": parts}))
    return tmp_path


def test_the_headline_numbers_of_a_report_are_read(report: Path) -> None:
    metrics = read_metrics(report)
    assert [(m.task, m.name, m.value, m.interval, m.chance) for m in metrics.results] == [
        ("retrieval", "R@10", 0.5, (0.4, 0.6), 0.1),
        ("verification", "equal error rate", 0.2, (0.1, 0.3), 0.5),
        ("image-quality", "Frechet distance", 0.25, None, None),
    ]
    assert metrics.results[0].what == "voices to faces, in the joint space, galleries of 100"
    assert [m.what for m in metrics.groups] == [
        "sex female, 30 people: voices to faces, in the joint space, galleries of 20"
    ]
    assert metrics.small_groups == "Too few people to be measured: age 20-29 (4)."
    assert metrics.origin == (
        "On 30 people of the split `test` of `people`, judged by `dlib`; code of commit bbbbbbbbbbbb."
    )
    assert metrics.model_sha256 == "a" * 64


@pytest.mark.parametrize("text", ["", "{", "[]", '{"parts": {}}', '{"parts": {"retrieval": {"results": [1]}}}'])
def test_what_is_no_report_is_told_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ConfigError, match="no report that"):
        read_metrics(tmp_path)


def test_a_card_says_what_the_hub_and_a_reader_need(tiny_model: Voice2Face, report: Path) -> None:
    generated = parse_card(tiny_model.model_card())
    card = complete_card(Card({}, ""), generated, "voices", [read_metrics(report)])
    header = parse_card(format_card(card)).header
    assert header["library_name"] == "wav2face" and header["license"] == "other"
    (model,) = header["model-index"]
    assert model["name"] == "voices"
    found = {metric["type"]: metric["value"] for result in model["results"] for metric in result["metrics"]}
    assert found == {"r_at_10": 0.5, "equal_error_rate": 0.2, "frechet_distance": 0.25}
    assert all(f"\n## {section}\n" in card.text for section in SECTIONS)
    assert "| R@10 | voices to faces, in the joint space, galleries of 100 | 0.5 | 0.4 to 0.6 | 0.1 |" in card.text
    assert "/home/me" not in format_card(card) and "Not measured yet" not in card.text


def test_what_was_written_by_hand_is_kept(tiny_model: Voice2Face, report: Path) -> None:
    generated = parse_card(tiny_model.model_card())
    text = generated.text.replace("## Limits\n", "## Limits\n\nTrained on Tuesdays.\n")
    own = Card({"license": "cc0-1.0", "may_tell": ["age"]}, text)
    first = complete_card(own, generated, "voices", [read_metrics(report)])
    again = complete_card(parse_card(format_card(first)), generated, "voices", [read_metrics(report)])
    for card in (first, again):
        assert "Trained on Tuesdays." in card.text
        assert card.header["license"] == "cc0-1.0" and card.told == ("age",)
    assert again == first


def test_an_old_card_without_the_sections_is_replaced(tiny_model: Voice2Face) -> None:
    generated = parse_card(tiny_model.model_card())
    card = complete_card(Card({"license": "mit"}, "# A model\n"), generated, "voices", [])
    assert card.text == generated.text and card.header["license"] == "mit"
    assert "license_name" in generated.header and "license_name" not in card.header


def test_data_and_people_in_the_weights_are_told(tiny_model: Voice2Face) -> None:
    assert "Not recorded" in tiny_model.model_card()
    model = Voice2Face(tiny_model.config)
    model.record_training_data([TrainingData("made", 5, 10, 15, is_synthetic=True), TrainingData("ours", 7, 1, 2)])
    model.record_training_data([TrainingData("ours", 7, 1, 2), TrainingData("secret", 1, 1, 1, is_private=True)])
    assert [data.name for data in model.training_data] == ["made", "ours", "secret"]
    card = model.model_card()
    assert "- `made`: 5 synthetic people (personas), 10 clips of speech, 15 face crops" in card
    assert "- `ours`: 7 people, 1 clips of speech" in card and "**private**" in card
    assert "no face feature of a person" in card


@pytest.mark.parametrize(
    ("name", "licence"),
    [("insightface:buffalo_l/w600k_r50", "non-commercial"), ("dlib", "CC0"), ("faceres-feature", "not clear")],
)
def test_the_licence_of_t_is_told(name: str, licence: str) -> None:
    assert licence in weights_licence(FaceEncoderInfo(name, "0" * 64, 512, ""))
    assert "not known" in weights_licence(FaceEncoderInfo("mine", "0" * 64, 512, ""))
