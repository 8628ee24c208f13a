"""Live messages in the report: medians of each server, ratios round by round."""

from __future__ import annotations

from bench.live import OURS, PEER, Round, compare_live, live_table


def test_a_live_message_is_compared_round_by_round() -> None:
    # given two rounds of both servers
    rounds = [_round(OURS, 40), _round(PEER, 60), _round(OURS, 50), _round(PEER, 100)]
    # when they are compared
    (comparison,) = compare_live(rounds)
    # then each of ours is set beside the peer of its round, in milliseconds
    assert comparison.ratios == (1.5, 2.0)
    assert (comparison.ours_ms, comparison.peer_ms) == (0.045, 0.08)
    # and the table has the medians
    rows = [[cell.strip() for cell in line.split("|")] for line in live_table(rounds).splitlines()]
    assert [row[1:4] for row in rows[2:]] == [[OURS, "1000", "45"], [PEER, "1000", "80"]]


def _round(server: str, microseconds: float) -> Round:
    return Round(server, 1000, microseconds, 20.0, 10, 10, 5.0)
