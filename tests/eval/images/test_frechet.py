import numpy as np
import piq
import pytest
import torch
from scipy.linalg import sqrtm

from eval.images.kid import kernel_distance, squared_mmd
from gan.frechet import GaussianStatistics, frechet_distance


def test_the_frechet_distance_of_two_known_gaussians():
    # In one dimension: (m1 - m2)^2 + (s1 - s2)^2.
    assert frechet_distance([1.0], [[4.0]], [3.0], [[25.0]]) == pytest.approx(4 + 9)
    # Covariances that commute: the sum over their common axes.
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    first = rotation @ np.diag([1.0, 4.0, 9.0]) @ rotation.T
    second = rotation @ np.diag([16.0, 1.0, 9.0]) @ rotation.T
    assert frechet_distance(np.zeros(3), first, np.ones(3), second) == pytest.approx(3 + 9 + 1 + 0)


def test_frechet_of_covariances_that_do_not_commute_agrees_with_the_eigenvalues_of_their_product():
    random = np.random.default_rng(1)
    first, second = (a @ a.T for a in random.normal(size=(2, 5, 5)))
    cross = np.sqrt(np.linalg.eigvals(first @ second).real).sum()
    expected = np.trace(first) + np.trace(second) - 2 * cross
    assert frechet_distance(np.zeros(5), first, np.zeros(5), second) == pytest.approx(expected)
    assert frechet_distance(np.zeros(5), second, np.zeros(5), first) == pytest.approx(expected)


def test_the_distance_of_given_features_agrees_with_two_other_implementations():
    random = np.random.default_rng(5)
    mixing = random.normal(size=(24, 24))
    first, second = random.normal(size=(300, 24)), random.normal(size=(250, 24)) @ mixing / 5 + 0.3
    ours = [GaussianStatistics(24), GaussianStatistics(24)]
    for statistics, features in zip(ours, (first, second), strict=True):
        statistics.add(features)
    distance = frechet_distance(ours[0].mean, ours[0].covariance, ours[1].mean, ours[1].covariance)
    # pytorch-fid and clean-fid write it out so: the root of the product, and numpy's covariances.
    covariances = np.cov(first.T), np.cov(second.T)
    root = sqrtm(covariances[0] @ covariances[1]).real
    means = np.sum((first.mean(0) - second.mean(0)) ** 2)
    by_root = means + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root)
    assert distance == pytest.approx(by_root, abs=1e-6)
    # piq iterates for the root (Newton and Schulz) and stops at an error of 1e-5.
    by_piq = piq.FID()(torch.from_numpy(first), torch.from_numpy(second)).item()
    assert distance == pytest.approx(by_piq, rel=1e-4)


def test_a_singular_covariance_gives_a_number():
    singular = np.diag([1.0, 0.0, 0.0])
    assert frechet_distance(np.zeros(3), singular, np.zeros(3), singular) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(np.zeros(3), singular, np.zeros(3), np.zeros((3, 3))) == pytest.approx(1)


def test_statistics_do_not_depend_on_the_batches_and_survive_a_large_mean():
    features = np.random.default_rng(2).normal(size=(101, 4)).astype(np.float64) + 1e6
    streamed, left, right = GaussianStatistics(4), GaussianStatistics(4), GaussianStatistics(4)
    for start in range(0, 101, 7):
        streamed.add(features[start : start + 7])
    left.add(features[:13])
    right.add(features[13:])
    left.merge(right)
    for statistics in (streamed, left):
        assert statistics.num == 101
        np.testing.assert_allclose(statistics.mean, features.mean(0), rtol=1e-12)
        np.testing.assert_allclose(statistics.covariance, np.cov(features.T), rtol=1e-6, atol=1e-8)


def test_statistics_refuse_what_is_not_finite_or_too_few():
    with pytest.raises(ValueError, match="not finite"):
        GaussianStatistics(2).add(np.array([[0.0, np.inf]]))
    with pytest.raises(ValueError, match="at least two"):
        _ = GaussianStatistics(2).covariance


def test_the_mmd_of_hand_made_vectors():
    # One dimension, kernel (xy + 1)^3. In {0, 1}: k(0, 1) = 1. In {1, 2}: k(1, 2) = 27. Across: 1, 1, 8, 27.
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert squared_mmd(x, y) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


def test_kid_of_samples_of_one_distribution_is_zero_in_the_mean_and_of_two_is_not():
    random = np.random.default_rng(3)
    same = kernel_distance(random.normal(size=(600, 8)), random.normal(size=(500, 8)), subset_size=200)
    other = kernel_distance(random.normal(size=(600, 8)), random.normal(size=(500, 8)) + 1, subset_size=200)
    assert abs(same.mean) < 0.02 and other.mean > 0.5


def test_kid_of_very_few_images_uses_what_there_is():
    random = np.random.default_rng(4)
    few = kernel_distance(random.normal(size=(3, 8)), random.normal(size=(5, 8)), num_subsets=5)
    assert np.isfinite(few.mean)
    with pytest.raises(ValueError, match="at least two"):
        kernel_distance(np.ones((1, 8)), np.ones((5, 8)))
