"""Batches of people for training, balanced by person."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from data.errors import ConfigError


@dataclass(frozen=True)
class PersonDraw:
    """A person in a batch, and the seed of all random choices for it (clip, crop, face, noise).

    Attributes:
        identity: Index of the person.
        seed: Seed of the random choices.
        position: Number of draws before this one in the run, over all processes.
    """

    identity: int
    seed: int
    position: int = 0

    def falls_into(self, share: float) -> bool:
        """Whether this draw is among a share of all draws that is spread evenly over the run.

        The choice is the same however a batch is spread over processes and micro-batches.

        Args:
            share: Share of the draws, in [0, 1].
        """
        return math.floor((self.position + 1) * share + 1e-9) > math.floor(self.position * share + 1e-9)


class IdentityBatches(Sampler[list[PersonDraw]]):
    """Infinite batches of people, in which all are equally frequent, however many clips they have.

    The batch of step k is a function of (seed, k) alone: people are shuffled every epoch and cut into whole batches, so
    nobody is in a batch twice unless there are fewer people than the batch holds. Resuming needs no stored state, and
    the slices of all processes together are the same batch for any number of processes.
    """

    def __init__(
        self,
        identities: Sequence[int],
        batch_size: int,
        seed: int,
        rank: int = 0,
        num_processes: int = 1,
        start_step: int = 0,
    ) -> None:
        """Set up the sampler.

        Args:
            identities: Indices of the people to choose from.
            batch_size: People in a batch of all processes together.
            seed: Seed, the same on all processes.
            rank: Number of this process.
            num_processes: Number of processes; must divide `batch_size`.
            start_step: First step to yield.

        Raises:
            ConfigError: If there are no people, or the batch can't be divided evenly.
        """
        if not len(identities):
            raise ConfigError("there is nobody to draw batches from")
        if batch_size < 1 or batch_size % num_processes:
            raise ConfigError(f"a batch of {batch_size} can't be shared out evenly to {num_processes} processes")
        self._identities = np.asarray(identities, np.int64)
        self._batch_size = batch_size
        self._seed = seed
        share = batch_size // num_processes
        self._own = slice(rank * share, (rank + 1) * share)
        self._start_step = start_step
        self._order: tuple[int, NDArray[np.int64]] = (-1, self._identities)

    def __iter__(self) -> Iterator[list[PersonDraw]]:
        """Yield this process's slice of the batches from `start_step` on, without end."""
        step = self._start_step
        while True:
            yield self.batch(step)[self._own]
            step += 1

    def batch(self, step: int) -> list[PersonDraw]:
        """The whole batch of a step, of all processes together."""
        num_people, size = len(self._identities), self._batch_size
        if num_people >= size:
            epoch, position = divmod(step, num_people // size)
            people = self._shuffled(epoch)[position * size : (position + 1) * size]
        else:
            places = np.arange(step * size, (step + 1) * size)
            people = np.array([self._shuffled(place // num_people)[place % num_people] for place in places.tolist()])
        seeds = np.random.default_rng([self._seed, 1, step]).integers(2**63, size=size)
        return [
            PersonDraw(int(person), int(seed), step * size + place)
            for place, (person, seed) in enumerate(zip(people, seeds, strict=True))
        ]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, 0, epoch]).permutation(self._identities))
        return self._order[1]
