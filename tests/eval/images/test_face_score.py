"""The face score on posteriors whose score is known, and its two kinds of classifier."""

import numpy as np
import pytest
from scipy.stats import entropy

from data.errors import ModelError
from data.faces.protocol import unit_rows
from eval.images.face_score import OnnxClassifier, compare_scores, score_in_judge_space, score_posteriors
from tests.networks import write_classifier

pytest.importorskip("onnxruntime")
pytest.importorskip("insightface")


def test_the_score_is_the_number_of_people_that_are_surely_and_equally_often_shown():
    assert score_posteriors(np.eye(8), 8, seed=0, num_parts=1) == (pytest.approx(8), 0)
    assert score_posteriors(np.tile(np.eye(8)[0], (40, 1)), 8, seed=0)[0] == pytest.approx(1)  # always the same person
    assert score_posteriors(np.full((40, 8), 1 / 8), 8, seed=0)[0] == pytest.approx(1)  # nobody in particular


def test_the_score_is_the_exponential_of_the_entropy_of_the_mean_less_the_mean_entropy():
    rows = np.random.default_rng(0).dirichlet(np.ones(6), size=30)
    expected = np.exp(entropy(rows.mean(0)) - entropy(rows, axis=1).mean())
    assert score_posteriors(rows, 30, seed=0, num_parts=1)[0] == pytest.approx(expected)


def test_sets_of_different_sizes_are_scored_in_parts_of_the_same_size():
    drawn, real = np.tile(np.eye(4), (100, 1)), np.tile(np.eye(4), (10, 1))
    rows = compare_scores({"drawings": drawn, "real": real}, "c", None, 0)
    assert [(row.system, row.num_images, row.num_classes) for row in rows] == [("drawings", 40, 4), ("real", 40, 4)]
    assert all(1 < row.score <= 4 for row in rows)
    assert compare_scores({"drawings": drawn, "real": real[:9]}, "c", None, 0) == []  # parts of one picture


def test_in_a_judges_space_photographs_of_many_people_score_high_and_drawings_of_one_face_score_one():
    random = np.random.default_rng(1)
    centres = random.normal(size=(30, 64))
    owners = np.repeat(np.arange(30), 4)
    real = unit_rows(centres[owners] + 0.3 * random.normal(size=(120, 64)))
    same = unit_rows(np.tile(centres[0], (200, 1)) + 0.1 * random.normal(size=(200, 64)))
    everybody = unit_rows(centres[np.arange(200) % 30] + 0.3 * random.normal(size=(200, 64)))
    for drawn, low, high in ((same, 1, 1.1), (everybody, 10, 24)):
        drawings, photographs = score_in_judge_space("E", ("drawings", drawn), ("real", real), owners, 0)
        assert low <= drawings.score <= high and 10 < photographs.score <= 24
        assert drawings.num_classes == 30 and drawings.num_images == photographs.num_images == 120


def test_a_photograph_does_not_find_itself_in_its_persons_mean():
    random = np.random.default_rng(2)
    features, owners = unit_rows(random.normal(size=(200, 256))), np.repeat(np.arange(100), 2)
    # Two photographs that have nothing in common: without leaving one out, each would be 70 % alike to its mean.
    _, photographs = score_in_judge_space("E", ("drawings", features), ("real", features), owners, 0)
    assert photographs.score < 5


def test_too_few_people_with_two_photographs_have_no_score():
    features = unit_rows(np.random.default_rng(3).normal(size=(60, 8)))
    assert score_in_judge_space("E", ("drawings", features), ("real", features), np.arange(60), 0) == []


@pytest.mark.parametrize(("probabilities", "batch"), [(False, "N"), (True, "N"), (False, 1), (True, 3)])
def test_a_networks_logits_and_probabilities_give_the_same_posteriors(tmp_path, probabilities, batch):
    classifier = OnnxClassifier(str(write_classifier(tmp_path / "colours.onnx", probabilities, batch)))
    assert (classifier.name, classifier.size) == ("colours", 3)
    images = np.zeros((40, 64, 64, 3), np.uint8)
    images[:20, ..., 0] = 255
    rows = classifier(images)
    # Red: values of 1, -1, -1. Black: all alike.
    np.testing.assert_allclose(rows[:20, 0], 1, atol=1e-6)
    np.testing.assert_allclose(rows[20:], 1 / 3, atol=1e-6)


def test_a_file_that_is_no_classifier_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        OnnxClassifier(str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("not a graph")
    with pytest.raises(ModelError, match="onnxruntime can't load it"):
        OnnxClassifier(str(tmp_path / "text.onnx"))
