"""Which rows count as lost, and in which order they are told."""

from __future__ import annotations

from bench.items import ITEMS
from bench.losses import Comparison, compare
from bench.report import load_average, losses
from bench.targets import CACHED, MEMORY, UNCACHED
from tests.bench.measured import cells, running


def test_comparisons_begin_with_the_greatest_loss() -> None:
    # given a peer that is cheaper in one item and dearer in another, and one that is dearer
    servers = [running(name) for name in ("yoga", "ours", "apollo")]
    measured = {
        ("ours", "browse"): cells(1.0, 1.0, 1.0),
        ("yoga", "browse"): cells(2.0, 3.0, 2.5),
        ("apollo", "browse"): cells(1.5, 1.5, 1.5),
        ("ours", "one"): cells(1.0, 2.0, 1.0),
        ("yoga", "one"): cells(0.5, 0.5, 0.8),
    }
    # when they are compared
    comparisons = compare(servers, ITEMS, measured)
    # then each has the median of its rounds' ratios, lowest first
    rows = [(one.item, one.peer, one.ratio) for one in comparisons]
    assert rows == [("one", "yoga", 0.5), ("browse", "apollo", 1.5), ("browse", "yoga", 2.5)]
    assert [one.is_lost for one in comparisons] == [True, False, False]


def test_a_peer_is_compared_in_each_of_its_groups() -> None:
    # given the peer that keeps what resolvers return: beside kept answers, and from memory
    servers = [running(name) for name in ("ours-cache", "ours-entities", "mercurius-cache")]
    measured = {(server.name, "browse"): cells(0.1 * at) for at, server in enumerate(servers, 1)}
    # when they are compared
    comparisons = compare(servers, ITEMS, measured)
    # then ours stands in each group for itself, and never beside another of ours
    pairs = {(one.group, one.ours, one.peer) for one in comparisons}
    assert pairs == {
        (CACHED, "ours-cache", "mercurius-cache"),
        (MEMORY, "ours-entities", "mercurius-cache"),
    }


def test_without_ours_nothing_is_compared() -> None:
    servers = [running("yoga"), running("apollo")]
    measured = {(server.name, "browse"): cells(1.0) for server in servers}
    assert compare(servers, ITEMS, measured) == []


def test_lost_rows_come_before_close_ones_and_won_ones_are_left_out() -> None:
    # given a row that is lost, one lost in one round of three, and one that is won
    lost, close, won = (_comparison(*ratios) for ratios in ((0.4, 0.5), (0.9, 1.1, 1.2), (2, 3)))
    # when they are told
    text = losses([lost, close, won])
    # then the first two are, under their headings
    assert "1 of 3 comparisons are lost" in text
    assert text.index("0.45 (0.40-0.50)") < text.index("not in every round")
    assert text.index("not in every round") < text.index("1.10 (0.90-1.20)")
    assert "2.50" not in text


def test_a_run_without_loss_says_so() -> None:
    assert "No row is lost" in losses([_comparison(1.2, 1.3)])


def test_the_load_average_is_told_before_and_during_the_run() -> None:
    measured = {("ours", "browse"): [*cells(1, busy=3.0), *cells(1, busy=9.5), *cells(1, busy=4.0)]}
    text = load_average(0.5, measured)
    assert "0.5 before" in text
    assert "4.0 (3.0-9.5)" in text


def _comparison(*ratios: float) -> Comparison:
    return Comparison("browse", UNCACHED, "ours", "yoga", 1.0, 1.0, tuple(ratios), "a note")
