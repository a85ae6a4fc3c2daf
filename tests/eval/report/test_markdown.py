import pytest

from eval.report.markdown import percent_interval, table


def test_tables_escape_bars_leave_none_empty_and_refuse_ragged_rows():
    text = table(["who", "R@1"], [["a|b", None]])
    assert text.splitlines() == ["| who | R@1 |", "| :-- | --: |", "| a\\|b |  |"]
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table(["who", "R@1"], [["a"]])
    assert percent_interval(0.312, (0.26, 0.365)) == "31.2 (26.0 to 36.5)"
