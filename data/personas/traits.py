"""The true traits of the personas in a data set; other data sets have none."""

from __future__ import annotations

import numpy as np

from data.personas.population import TRAIT_COLUMNS, Population
from data.store.dataset import ClipDataset


def read_traits(dataset: ClipDataset) -> Population | None:
    """Sex and true traits of personas, one row for each of the data set's `identities`.

    Returns:
        None for a data set of other people.

    Raises:
        DatasetError: If a shard is missing or damaged.
    """
    columns = {name: dataset.person_vectors(name) for name in TRAIT_COLUMNS}
    known = {name: column for name, column in columns.items() if column is not None}
    if "population" not in dataset.info.extra or len(known) < len(TRAIT_COLUMNS):
        return None
    is_male = np.array([dataset.attributes(i).sex == "male" for i in range(len(dataset.identities))], np.bool_)
    return Population(int(dataset.info.extra["population"]["seed"]), is_male, **known)
