"""The page of a made-up world: it stands alone, escapes what it is given, and shows what there is."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import eval.pages.model.build
from data.personas.footage.vowels import sex_of, speak
from data.store.dataset import ClipDataset
from encoder.sampler import SamplerConfig
from eval.model_under_test import ModelUnderTest
from eval.pages.model.build import PageOptions, write_page
from eval.pages.model.numbers import headlines, show_recall, show_varieties
from eval.pages.model.people import draw_gallery, draw_log_mel
from eval.pages.model.runs import read_stats, show_run
from eval.pages.parts.cards import choose_people, spread
from eval.pages.parts.charts import Line, bar_chart, line_chart, spark_line
from gan.voice2face import Voice2Face, Voice2FaceConfig
from tests.synthetic import TinyWorld
from training.pipeline import StepRecord

NASTY = "<script>alert('&')</script>"


class Page(HTMLParser):
    """All files that a page refers to, and every picture's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.files: list[str] = []
        self.texts: list[str | None] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.files += [str(values[name]) for name in ("src", "href") if name in values]
        if tag in ("img", "svg"):
            self.texts.append(values.get("alt" if tag == "img" else "aria-label"))


@pytest.fixture(autouse=True)
def provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code and machine as they would be described, without processes of git and uname."""
    versions = {"python": "3.12", "torch": "2.11", "numpy": "2.0"}
    described = {"commit": "c0ffee" * 7, "changed_since": True, **versions}
    monkeypatch.setattr(eval.pages.model.build, "describe_code", lambda: described)
    monkeypatch.setattr(eval.pages.model.build, "describe_machine", lambda: "a processor, 2 cores")


@pytest.fixture(scope="module")
def model(tiny_model: Voice2Face) -> ModelUnderTest:
    return ModelUnderTest(tiny_model.encoder, tiny_model, "a model", None)


@pytest.fixture(scope="module")
def sampling_model(tiny_model: Voice2Face) -> ModelUnderTest:
    """The same model with a sampler."""
    encoder = replace(tiny_model.config.encoder, sampler=SamplerConfig())
    model = Voice2Face(Voice2FaceConfig(encoder, tiny_model.config.generator, tiny_model.image_size))
    model.load_state_dict(tiny_model.state_dict(), strict=False)
    assert model.encoder.sampler is not None
    model.encoder.sampler.residual_root.copy_(torch.eye(encoder.face_encoder.feature_size))
    return ModelUnderTest(model.encoder, model, "a model", None)


def variety_point(variety: float, judge: str = "E") -> dict:
    """What a retrieval report says of one variety."""
    point = {"variety": variety, "judge": judge, "gallery": 100, "chance": {"1": 0.01, "10": 0.1}, "people": 120}
    for name, at_ten in (("one", 0.6 - 0.3 * variety), ("mean_of_8", 0.65 - 0.05 * variety)):
        point[f"recall_{name}"] = {"1": at_ten / 4, "10": at_ten}
        point[f"recall_{name}_ci95"] = {"1": [0.0, 0.5], "10": [at_ten - 0.04, at_ten + 0.04]}
    for name, cosine in (("two_drawings", 0.95 - 0.6 * variety), ("photograph", 0.38)):
        point |= {name: cosine, f"{name}_ci95": [cosine - 0.02, cosine + 0.02]}
    return point | {"frechet_distance": 0.3 - 0.2 * variety, "faces_found": 0.98}


def retrieval_part() -> dict:
    """The numbers of a report, as small as it can be."""

    def row(system: str, space: str, at_ten: float, **more: object) -> dict:
        recall = {"1": 0.1, "10": at_ten, "25": min(1.0, at_ten + 0.1)}
        return {
            **{"system": system, "space": space, "metric": "cosine", "judge": "E", "recall": recall},
            **{"gallery_kind": "random", "gallery": 100, "draws": 7, "identities": 120, "median_rank": 4.5},
            "chance": {k: int(k) / 100 for k in recall},
            "ci95": {k: [v - 0.05, min(1.0, v + 0.05)] for k, v in recall.items()},
            **more,
        }

    return {
        "results": [row("model", "joint", 0.7), row("model", "image", 0.4), row("model", "joint", 0.2, gallery=1000)],
        "primary_metrics": {"joint": "cosine", "image": "cosine"},
        "curves": {"joint": np.linspace(0.1, 1, 100).tolist(), "image": np.linspace(0.1, 0.9, 100).tolist()},
        "limits": [row("", "", 0.9, knows="voice"), row("", "", 0.8, knows="voice", gallery=1000)],
        "bounds": [
            row("bound: another real image of the person", "image-to-image", 0.99),
            row("best possible, the voice's traits known", "latent", 0.9),
        ],
        "floors": [row("floor: shuffled voices", "joint", 0.1)],
        "attributes": {
            "sex": [
                {"said_by": "drawing", "compared_with": "labels", "agreement": 0.97, "ci95": [0.9, 1.0]}
                | {"majority": 0.5, "people": 120}
            ]
        },
        "listening": [{"pair": "same voice, other noise", "cosine": 0.6, "ci95": [0.5, 0.7], "num": 100}],
        "faces_found": {"detector": "dlib HOG", "drawings": 0.98, "photographs": 1.0},
        "varieties": [variety_point(0.0), variety_point(0.5), variety_point(1.0), variety_point(1.0, "another judge")],
        "judge": {"name": "E", "sha256": "e" * 64, "feature_size": 128},
        "settings": {"seed": 3},
        "notes": [NASTY],
    }


def image_part() -> dict:
    def row(system: str, distance: float) -> dict:
        numbers = {"frechet_distance": distance, "kid": distance / 10, "kid_std": 0.001, "comparable": False}
        return {"system": system, "feature_space": "E", "num_images": 128, "num_real_images": 480, **numbers}

    return {
        "results": [row("drawings from voices", 0.2)],
        "bounds": [row("bound: other real faces", 0.01), row("floor: real faces under heavy noise", 0.5)],
        "judge": {"name": "E", "sha256": "e" * 64, "feature_size": 128},
        "settings": {"seed": 3},
        "notes": [],
    }


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    folder.mkdir()
    parts = {"retrieval": retrieval_part(), "image_quality": image_part()}
    (folder / "report.json").write_text(json.dumps({"parts": parts}))
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "generator"
    (folder / "samples").mkdir(parents=True)
    lines = [{"images_seen": i, "generator/pixel": 1 / i, "speed/images_per_second": 50.0} for i in (8, 16, 24)]
    (folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"images_se')
    for moment in (8, 16, 24):
        Image.new("RGB", (3 * 64, 7 * 64), (moment, 0, 0)).save(folder / "samples" / f"{moment:09d}.png")
    return folder


def test_the_page_stands_alone_and_every_picture_has_a_text(
    tiny_world: TinyWorld, model: ModelUnderTest, report: Path, run_folder: Path, tmp_path: Path
) -> None:
    steps = [StepRecord("generator", NASTY, 61.0, ("python train.py --name '<b>'",), ("50 images/s",))]
    dataset = ClipDataset(tiny_world.dataset, "test")
    options = PageOptions([report], [run_folder, tmp_path / "no run"], steps, NASTY, num_people=4)
    out = tmp_path / "page"
    out.mkdir()
    path = write_page(out, model, dataset, options)
    assert path == out / "index.html"
    text = path.read_text()
    page = Page(text)
    assert page.files and all((out / file).is_file() for file in page.files)
    assert page.texts and all(page.texts)
    assert page.tags.isdisjoint({"script", "link", "iframe", "b<"}) and "alert(" in text and "<script" not in text
    assert "http" not in re.sub(r"http://www.w3.org/\S+", "", text)
    assert str(tmp_path) not in text.replace(str(tiny_world.dataset), "").replace(str(out), "")
    for shown in (
        "70.0 %",
        "bound 90.0 %, chance 10.0 %",
        "97.0 %",
        "0.2",
        "1 min 01 s",
        "50 images/s",
        "24 images",
        "c0ffeec0ffee with changes since",
    ):
        assert shown in text, shown
    assert text.count("<audio") == 4 and text.count('class="samples"') == 1


def test_recordings_are_the_data_sets_and_drawings_say_that_they_are_synthetic(
    tiny_world: TinyWorld, model: ModelUnderTest, tmp_path: Path
) -> None:
    dataset = ClipDataset(tiny_world.dataset, "test")
    write_page(tmp_path, model, dataset, PageOptions(num_people=2))
    first = choose_people(dataset, 2)[0]
    heard, rate = soundfile.read(tmp_path / "assets" / "01-voice.flac")
    assert rate == 16_000
    np.testing.assert_allclose(heard, dataset.waveform(dataset.voices_of(first)[0]), atol=1e-4)
    with Image.open(tmp_path / "assets" / "01-drawing-1.png") as picture:
        assert "Synthetic" in picture.text["Description"] and picture.size == (64, 64)


def test_without_reports_and_generator_the_page_shows_people_and_no_numbers(
    tiny_world: TinyWorld, model: ModelUnderTest, tmp_path: Path
) -> None:
    dataset = ClipDataset(tiny_world.dataset, "test")
    text = write_page(tmp_path, replace(model, voice2face=None), dataset, PageOptions(num_people=2)).read_text()
    assert text.count("<audio") == 2
    assert "drawn from the voice" not in text and "R@10" not in text and "Time needed" not in text


def test_drawings_at_several_varieties_differ_the_more_the_higher_the_variety(
    tiny_world: TinyWorld, sampling_model: ModelUnderTest, tmp_path: Path
) -> None:
    dataset = ClipDataset(tiny_world.dataset, "test")
    text = write_page(tmp_path, sampling_model, dataset, PageOptions(num_people=1)).read_text()
    spread_of = {}
    for variety, file, count in ((0, "drawing", 5), (0.5, "variety-050", 7), (1, "variety-100", 7)):
        assert f"<span>variety {variety:g}" in text
        drawings = [
            np.asarray(Image.open(tmp_path / "assets" / f"01-{file}-{i}.png"), float) for i in range(1, count + 1)
        ]
        spread_of[variety] = np.mean([np.abs(drawing - drawings[0]).mean() for drawing in drawings[1:]])
    assert spread_of[0] < spread_of[0.5] < spread_of[1]
    assert "differ by noise alone; a column" not in text and "the most telling face" in text


def test_without_a_sampler_the_page_speaks_of_no_variety(
    tiny_world: TinyWorld, model: ModelUnderTest, tmp_path: Path
) -> None:
    text = write_page(tmp_path, model, ClipDataset(tiny_world.dataset, "test"), PageOptions(num_people=1)).read_text()
    assert "variety" not in text and "differ by noise alone; a column" in text
    assert not list((tmp_path / "assets").glob("01-variety-*"))


def test_another_model_draws_the_same_voices_beside(
    tiny_world: TinyWorld, model: ModelUnderTest, tiny_model: Voice2Face, tmp_path: Path
) -> None:
    dataset = ClipDataset(tiny_world.dataset, "test")
    options = PageOptions(num_people=1, beside=tiny_model, beside_name=f"its {NASTY}")
    page = write_page(tmp_path, model, dataset, options).read_text()
    assert "drawn by its &lt;script" in page
    own, beside = ((tmp_path / "assets" / f"01-{what}-2.png").read_bytes() for what in ("drawing", "beside"))
    assert own == beside  # the same model with the same noise


def test_only_a_page_of_personas_says_that_nobody_on_it_exists(
    tiny_world: TinyWorld, model: ModelUnderTest, tmp_path: Path
) -> None:
    dataset = ClipDataset(tiny_world.dataset, "test")
    assert "exists" not in write_page(tmp_path, model, dataset, PageOptions(num_people=1)).read_text()
    dataset.info = replace(dataset.info, extra={"population": {"seed": 5}})
    text = write_page(tmp_path, model, dataset, PageOptions(num_people=1)).read_text()
    assert "Nobody on this page exists" in text and "seed 5" in text


def test_the_right_face_is_marked_where_it_is_among_the_answers(
    tiny_world: TinyWorld, model: ModelUnderTest, tmp_path: Path
) -> None:
    dataset = ClipDataset(tiny_world.dataset, "test")
    text = write_page(tmp_path, model, dataset, PageOptions(num_people=4)).read_text()
    ranks = [int(rank) for rank in re.findall(r"the right face is (\d+)", text)]
    assert len(ranks) == 4
    assert text.count("<figcaption>right face</figcaption>") == sum(rank <= 7 for rank in ranks)


def test_people_are_spread_and_the_sexes_take_turns(tiny_world: TinyWorld) -> None:
    dataset = ClipDataset(tiny_world.dataset, "all")
    chosen = choose_people(dataset, 6)
    assert len(set(chosen)) == 6
    sexes = [sex_of(int(dataset.identities[person].split("_")[1])) for person in chosen]
    assert sexes == ["female", "male"] * 3
    assert len(choose_people(dataset, 1000)) == 24  # those who have both a voice and a face
    assert sorted(draw_gallery(dataset, chosen, 0)) == sorted(choose_people(dataset, 1000))


def test_spread_takes_from_everywhere() -> None:
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread(range(3), 5) == [0, 1, 2] and spread([], 5) == [] and spread([1], 0) == []


def test_a_spectrogram_shows_high_tones_above_low_ones() -> None:
    time = np.arange(16_000) / 16_000
    low, high = (
        draw_log_mel(np.sin(2 * np.pi * f * time).astype(np.float32)).astype(float).sum(2) for f in (200, 4000)
    )
    assert low.shape == (192, 520)
    assert low[96:].sum() > low[:96].sum() and high[:96].sum() > high[96:].sum()
    assert draw_log_mel(speak(0)).std() > 10


def test_charts_escape_names_and_describe_themselves() -> None:
    line = Line(NASTY, [(1, 10), (25, 90)], "c1", [(1, 5, 15), (25, 80, 95)])
    chart = str(
        line_chart([line], x_label="k", y_label="%", x_ticks=[1, 25], y_ticks=[0, 100], description=f'"{NASTY}"')
    )
    assert "<script" not in chart and 'role="img"' in chart and "&#34;&lt;script" in chart
    assert "<script" not in str(bar_chart([(NASTY, 1.0, "1", "c1"), ("none", 0.0, "0", "c2")], description="bars"))


def test_a_curve_of_one_point_or_without_numbers_is_left_out() -> None:
    assert spark_line([(1, 2.0)], "") == "" and spark_line([(1, float("nan")), (2, 1.0)], "") == ""
    assert "path" in spark_line([(1, 2.0), (2, 2.0)], "flat")


def test_the_curve_of_faithfulness_against_variety_is_the_first_judges() -> None:
    view = show_varieties(retrieval_part())
    assert view is not None and (view.k, view.gallery) == ("10", 100)
    assert {entry.name: entry.value for entry in view.recall_legend} == {
        "mean of 8 drawings": "65.0 % → 60.0 %",
        "one drawing": "60.0 % → 30.0 %",
        "chance": "10.0 % → 10.0 %",
    }
    assert [entry.value for entry in view.similarity_legend] == ["0.95 → 0.35", "0.38 → 0.38"]
    assert [row[0] for row in view.table.rows] == ["variety 0", "variety 0.5", "variety 1"]
    assert view.table.header[-2:] == ["Frechet distance", "faces found, %"]  # this report tells no sex
    assert view.table.rows[0][1:3] == ["60.0 (56.0 to 64.0)", "65.0 (61.0 to 69.0)"]


@pytest.mark.parametrize(
    "points", [[], [variety_point(0.0)], [variety_point(0.0), variety_point(1.0, "another judge")]]
)
def test_fewer_than_two_varieties_are_no_curve(points: list[dict]) -> None:
    assert show_varieties({"varieties": points}) is None


def test_the_recall_curve_holds_the_bound_of_its_own_gallery_alone() -> None:
    view = show_recall(retrieval_part())
    assert (view.gallery, view.people, view.draws) == (100, 120, 7)
    names = {entry.name: entry.value for entry in view.legend}
    assert names["bound: the voice is heard perfectly"] == "90.0 %" and names["chance"] == "10.0 %"
    assert [entry.value for entry in view.legend] == sorted(names.values(), key=lambda v: -float(v[:-2]))
    assert view.table.rows[0][:3] == ["joint space", "10.0 (5.0 to 15.0)", "70.0 (65.0 to 75.0)"]
    assert len(view.table.rows) == 6  # two spaces, the bound once, another image, shuffled voices, chance
    part = retrieval_part()
    del part["limits"], part["curves"]  # of a data set whose truth nobody knows, of an older report
    assert "bound: the voice is heard perfectly" not in {entry.name for entry in show_recall(part).legend}


def test_headlines_tell_what_to_hold_beside_them() -> None:
    recall, sex, distance = headlines(retrieval_part(), image_part())
    assert recall.note == "bound 90.0 %, chance 10.0 %" and sex.note == "always the same guess: 50.0 %"
    assert distance.note == "other real faces 0.01, real faces under heavy noise 0.5"
    assert distance.name.endswith("(E)")  # of a model without a sampler
    part = image_part()
    part["results"][0]["variety"] = 1.0
    assert headlines(None, part)[0].name.endswith("(E, variety 1)")
    assert headlines(None, None) == []


@pytest.mark.parametrize("num_rows", [7, 8])
def test_drawings_are_cut_out_of_grids_of_this_and_earlier_versions(
    num_rows: int, tmp_path: Path, run_folder: Path
) -> None:
    (tmp_path / "assets").mkdir()
    grid = np.repeat(np.arange(num_rows, dtype=np.uint8), 64)[:, None, None] * np.ones((1, 192, 3), np.uint8)
    Image.fromarray(grid).save(run_folder / "samples" / "000000024.png")
    run = show_run(tmp_path, run_folder)
    assert run is not None
    rows = [np.unique(np.asarray(Image.open(tmp_path / picture.file))).tolist() for picture in run.samples[-2:]]
    assert rows == [[3], [1]]  # drawings from the regressed features, true faces


def test_scores_on_other_people_come_first_and_bare_scores_of_the_discriminator_are_left_out(
    tmp_path: Path, run_folder: Path
) -> None:
    (tmp_path / "assets").mkdir()
    lines = [
        {"images_seen": i, "generator/pixel": 1.0, "val/score_training": 3.0, "val/f2f_cosine": i / 100}
        for i in (8, 16)
    ]
    (run_folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = show_run(tmp_path, run_folder)
    assert run is not None
    titles = [curve.title for curve in run.curves]
    assert titles == ["drawings of true features: cosine of drawing and crop by T", "generator: pixel"]


def test_a_run_without_lines_is_no_run(tmp_path: Path, run_folder: Path) -> None:
    (tmp_path / "assets").mkdir()
    assert show_run(tmp_path, tmp_path / "nowhere") is None
    assert len(read_stats(run_folder)) == 3  # the line that a kill cut off is forgotten
    run = show_run(tmp_path, run_folder)
    assert run is not None and (run.images_seen, run.speed) == (24, 50.0)
    captions = [picture.caption for picture in run.samples]
    assert captions == ["8 images seen", "16 images seen", "24 images seen", "true faces"]
