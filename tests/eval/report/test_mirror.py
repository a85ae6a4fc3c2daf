from eval.report.mirror import as_table, headline_numbers


def test_nested_entries_become_flat_columns_and_missing_ones_are_empty():
    columns, rows = as_table(
        [
            {"space": "joint", "recall": {"1": 0.1, "5": 0.3}, "ci95": {"1": [0.05, 0.2]}},
            {"space": "image", "recall": {"1": 0.2}, "seconds": 3.0},
        ]
    )
    assert columns == ["space", "recall@1", "recall@5", "ci95@1", "seconds"]
    assert rows == [["joint", 0.1, 0.3, "0.05 to 0.2", None], ["image", 0.2, None, None, 3.0]]


def test_headlines_are_the_primary_metrics_in_the_first_gallery():
    def entry(space: str, metric: str, rate: float) -> dict:
        return {"task": "retrieval", "space": space, "metric": metric, "recall": {"10": rate}}

    report = {
        "primary_metrics": {"joint": "cosine"},
        "results": [entry("joint", "l2", 0.9), entry("joint", "cosine", 0.3), entry("joint", "cosine", 0.1)],
    }
    assert headline_numbers(report) == {"joint/recall@10": 0.3}
