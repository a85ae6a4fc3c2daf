import re

import numpy as np
import pytest

from eval.benchmarks.retrieval import RolledGallery, draw_queries
from eval.retrieval.ranks import count_ranks
from tests.commands import assert_one_line, call_script


def test_the_rows_of_the_gallery_differ_and_are_the_same_however_they_are_read():
    gallery = RolledGallery(70, 8, num_rows=10)
    rows = gallery[0:70]
    assert len(np.unique(rows, axis=0)) == 70
    assert rows[23].tolist() == np.roll(rows[3], 2).tolist()
    for start, stop in ((0, 7), (7, 34), (60, 90)):
        assert (gallery[start:stop] == rows[start:stop]).all()
    chosen = np.array([65, 3, 3, 69, 10])
    assert (gallery[chosen] == rows[chosen]).all()


def test_ranks_in_a_gallery_that_makes_its_rows_are_those_in_an_array():
    gallery = RolledGallery(3000, 32, num_rows=100)
    queries, targets = draw_queries(gallery, 40)
    made = count_ranks(queries, gallery, targets, "cosine", block_size=700)
    stored = count_ranks(queries, gallery[0:3000].astype(np.float64), targets, "cosine", block_size=3000)
    assert made.better.tolist() == stored.better.tolist()
    assert np.median(made.middle_rank) < 1300  # queries are a little like their right items


@pytest.mark.slow
def test_the_benchmark_prints_seconds_memory_and_hardware():
    done = call_script("benchmark", "retrieval", "--items", 20_000, "--queries", 20, "--size", 16, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert re.search(r"20 queries in 20,000 x 16 float32: \d+\.\d\d s \(\d+\.\d\d s of CPU time", done.stdout)
    assert re.search(r"\d\.\d\d GB at most", done.stdout) and "core" in done.stdout


def test_a_gallery_of_more_rows_than_can_differ_is_refused():
    assert_one_line(call_script("benchmark", "retrieval", "--items", 10_000, "--size", 2), "--items 10000")
