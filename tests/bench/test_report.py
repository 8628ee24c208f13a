"""The report's tables: their figures, their order, what is marked."""

from __future__ import annotations

from bench.items import ITEMS
from bench.report import tables
from bench.tables import number, percentile, table
from tests.bench.measured import cells, running


def test_ours_is_the_first_row_and_the_measure_of_the_others() -> None:
    # given a peer that was started before ours
    servers = [running("yoga"), running("ours")]
    measured = {("yoga", "browse"): cells(3.0, 4.0, 2.0), ("ours", "browse"): cells(1.0, 2.0, 1.0)}
    # when the tables are written
    rows = tables(servers, ITEMS, measured).splitlines()
    # then ours is above it, with medians and ratios round by round
    assert rows[0].startswith("### browse, uncached")
    assert [row.split("|")[1].strip() for row in rows[4:]] == ["ours", "yoga"]
    assert rows[5].split("|")[2].strip() == "3"
    assert rows[5].split("|")[-2].strip() == "2.00 (2.00-3.00)"


def test_a_doubtful_figure_is_marked() -> None:
    measured = {("ours", "browse"): [*cells(1.0), *cells(1.0, doubt="3 of 9 requests failed")]}
    assert "| 1? " in tables([running("ours")], ITEMS, measured)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(["a", "long head"], [["wider", "b"]]).splitlines() == [
        "| a     | long head |",
        "| ----- | --------- |",
        "| wider | b         |",
    ]


def test_numbers_have_three_digits_that_count() -> None:
    figures = {0.01444: "0.0144", 1.005: "1", 12.345: "12.3", 12345.6: "12346"}
    assert {figure: number(figure) for figure in figures} == figures


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3, 1, 2], 0.99) == 3
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([], 0.99) == 0
