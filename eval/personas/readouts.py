"""How well personas' traits can be read from a face network's features of one picture by linear regression."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from data.faces.protocol import unit_rows
from encoder.canonical import ridge_regression

_RIDGE = 1e-3  # as a share of the features' mean variance


def trait_correlations(
    train_features: NDArray[np.floating],
    train_traits: NDArray[np.floating],
    test_features: NDArray[np.floating],
    test_traits: NDArray[np.floating],
    test_is_male: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Correlation of true traits with those that a ridge regression, fitted on other people, predicts from faces.

    Args:
        train_features: [N, D] face features, not zero; normalised here.
        train_traits: [N, T] traits of the people whose faces they are.
        test_features: [M, D] face features of other people.
        test_traits: [M, T] traits of these people.
        test_is_male: [M] sex of these people. Correlations are taken within each sex, so that a prediction of sex alone
            scores zero.

    Returns:
        [T] correlations in [-1, 1], pooled over both sexes.
    """
    train_units, test_units = (unit_rows(features).astype(np.float64) for features in (train_features, test_features))
    centre = train_units.mean(axis=0)
    design = train_units - centre
    traits = train_traits.astype(np.float64) - train_traits.mean(axis=0, dtype=np.float64)
    weights = ridge_regression(torch.from_numpy(design), torch.from_numpy(traits), _RIDGE).numpy()
    predicted = _without_sex((test_units - centre) @ weights, test_is_male)
    truth = _without_sex(test_traits.astype(np.float64), test_is_male)
    correlations: NDArray[np.float64] = (predicted * truth).sum(axis=0) / np.sqrt(
        (predicted**2).sum(axis=0) * (truth**2).sum(axis=0)
    )
    return correlations


def _without_sex(values: NDArray[np.float64], is_male: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[M, T] values minus the mean of their sex."""
    values = values.copy()
    for sex in (False, True):
        if (is_male == sex).any():
            values[is_male == sex] -= values[is_male == sex].mean(axis=0)
    return values
