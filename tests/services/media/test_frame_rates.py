"""Constant rates for films of every rate, even and uneven ones."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest

from services.media.inspection.frame_rates import choose_frame_rate, measure_frame_rate


@pytest.mark.parametrize(
    ("source_rate", "rate"),
    [
        (23.98, Fraction(24000, 1001)),
        (24, Fraction(24)),
        (25, Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        (30, Fraction(30)),
        (29.83, Fraction(30000, 1001)),  # a telephone's
        (50, Fraction(50)),
        (59.94, Fraction(60000, 1001)),
        (60, Fraction(60)),
        # others stay what they are
        (12.5, Fraction(25, 2)),
        (12.4, Fraction(62, 5)),
        (12.4999, Fraction(25, 2)),
        (15, Fraction(15)),
        (16 + 2 / 3, Fraction(50, 3)),
        (48, Fraction(48)),
        (0.2, Fraction(1)),
        # too high ones lose every second or third picture
        (120, Fraction(60)),
        (119.88, Fraction(60000, 1001)),
        (100, Fraction(50)),
        (144, Fraction(48)),
        (1000, Fraction(60)),
    ],
)
def test_every_film_gets_a_constant_rate(source_rate: float, rate: Fraction) -> None:
    assert choose_frame_rate(source_rate) == rate


def steady(rate: float, seconds: float, start: float = 0.0) -> list[float]:
    return [start + number / rate for number in range(round(rate * seconds))]


@pytest.mark.parametrize("rate", [12.5, 23.976, 25, 29.97, 50, 60])
def test_a_steady_rate_is_measured_though_instants_are_rounded(rate: float) -> None:
    # given a container that counts in milliseconds, and pictures in the order of decoding
    times = [round(time, 3) for time in steady(rate, 4)]
    Random(1).shuffle(times)
    assert measure_frame_rate(times) == pytest.approx(rate, rel=0.002)


@pytest.mark.parametrize(
    ("quick", "slow", "rate"),
    [(30, 6, 30), (60, 24, 60), (25, 10, 25), (15, 3, 15), (59.94, 23.976, 60), (48, 12, 50)],
)
def test_a_rate_that_varies_is_the_one_its_quick_parts_need(
    quick: float, slow: float, rate: float
) -> None:
    times = steady(quick, 5) + steady(slow, 5, start=5)
    measured = measure_frame_rate(times)
    assert measured is not None
    assert float(choose_frame_rate(measured)) == pytest.approx(rate, rel=0.002)


def test_pictures_that_come_late_or_were_lost_change_no_rate() -> None:
    # given a telephone's 30 a second: each up to 3 ms off, one in twenty lost
    chance = Random(7)
    times = [time + chance.uniform(-0.003, 0.003) for time in steady(30, 20)]
    times = [time for time in times if chance.random() > 0.05]
    measured = measure_frame_rate(times)
    assert measured is not None
    assert float(choose_frame_rate(measured)) == pytest.approx(30, rel=0.002)


def test_one_gap_at_the_end_changes_no_rate() -> None:
    assert measure_frame_rate([*steady(25, 2), 2.04]) == pytest.approx(25)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0]])
def test_a_single_picture_has_no_rate(times: list[float]) -> None:
    assert measure_frame_rate(times) is None
