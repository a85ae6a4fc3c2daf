"""Speed and memory of exact ranks in a gallery that does not fit into memory."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import ConfigError
from eval.report.provenance import describe_machine
from eval.retrieval.ranks import count_ranks
from training.command import check_device

_SIMILARITY = 0.1
"""Mean cosine of a query and its right item: 1,000 such queries among 1,000,000 x 512 have all kinds of ranks."""


_NUM_ROWS = 4096


class RolledGallery:
    """Random vectors [M, D] that are made when they are read, a block at a time.

    Row r is row r mod B of one block of B random rows, rolled by r / B places: as many different vectors as places and
    rows allow, made as fast as memory is copied.

    Attributes:
        shape: M and D.
    """

    def __init__(self, num_items: int, size: int, num_rows: int = _NUM_ROWS, seed: int = 0) -> None:
        """Draw the block.

        Args:
            num_items: M, at most `num_rows` times `size`.
            size: D.
            num_rows: B.
            seed: Seed of its numbers.
        """
        assert num_items <= num_rows * size, "rows would repeat"
        self.shape = (num_items, size)
        self._block = np.random.default_rng(seed).standard_normal((num_rows, size), np.float32)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """[n, D] float32."""
        numbers = np.arange(*rows.indices(self.shape[0])) if isinstance(rows, slice) else rows
        result = np.empty((len(numbers), self.shape[1]), np.float32)
        places, own_rows = np.divmod(numbers, len(self._block))
        starts = np.flatnonzero(np.diff(places, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
            place, first = int(places[start]), int(own_rows[start])
            chosen = slice(first, first + stop - start) if isinstance(rows, slice) else own_rows[start:stop]
            own = self._block[chosen]
            result[start:stop, place:], result[start:stop, :place] = np.split(own, [self.shape[1] - place], axis=1)
        return result


def measure(given: argparse.Namespace) -> None:
    """Rank queries, and print seconds, memory and hardware.

    Args:
        given: Arguments `items`, `queries`, `size`, `threads` and `device`.
    """
    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(device)
    if given.queries < 1 or not 1 <= given.items <= _NUM_ROWS * given.size:
        raise ConfigError(
            f"--items {given.items}, --queries {given.queries}: 1 or more of each, and {_NUM_ROWS} items at most for "
            "each number in a vector"
        )
    if given.threads:
        torch.set_num_threads(given.threads)
    gallery = RolledGallery(given.items, given.size)
    queries, targets = draw_queries(gallery, given.queries)
    start, cpu_start = time.perf_counter(), time.process_time()
    ranks = count_ranks(queries, gallery, targets, "cosine", device=device)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    middle = np.percentile(ranks.middle_rank, (5, 50, 95))
    print(f"{describe_machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads, on {device}")
    print(
        f"exact ranks of {given.queries:,} queries in {given.items:,} x {given.size} float32: {seconds:.2f} s "
        f"({cpu_seconds:.2f} s of CPU time, the making of the gallery included), {peak_gb():.2f} GB at most"
    )
    if device != "cpu":
        print(f"memory of the GPU: {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB at most")
    print(f"median rank {middle[1]:,.0f}, nine in ten between {middle[0]:,.0f} and {middle[2]:,.0f}")


def draw_queries(gallery: Any, num: int, seed: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Queries that are a little like their right items, and these items' rows.

    Args:
        gallery: The gallery.
        num: Number of queries.
        seed: Seed of the draw.
    """
    random = np.random.default_rng(seed)
    targets = random.integers(gallery.shape[0], size=num)
    noise = random.standard_normal((num, gallery.shape[1]), np.float32)
    return _SIMILARITY * gallery[targets] + noise * (1 - _SIMILARITY**2) ** 0.5, targets


def peak_gb() -> float:
    """Largest memory of this process so far, GB (10^9 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
