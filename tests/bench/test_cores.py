"""One process and two, in a sentence."""

from __future__ import annotations

import os

from bench.cores import Round, sentence
from bench.processes import cpu_of_children
from tests.support.processes import descendants


def test_two_processes_are_told_as_times_of_one() -> None:
    # given rounds in which two answered 1.5, 1.9 and 1.6 times as much, at a price 5 % higher
    alone = Round(1000, 1000, (1.0,))
    pairs = [(alone, Round(1000 * times, 950, (0.7, 0.9))) for times in (1.5, 1.9, 1.6)]
    # then both figures are told, with the spread of the rounds and what they had of the cores
    told = sentence(pairs)
    assert "answer 1.60 (1.50-1.90) times" in told
    assert "serve 1.90 (1.90-1.90) times" in told
    assert "with 1.60 of two cores" in told


def test_cpu_is_counted_of_each_child() -> None:
    assert cpu_of_children(os.getpid()).keys() <= descendants(os.getpid()).keys()
    assert os.getpid() in cpu_of_children(os.getppid())
