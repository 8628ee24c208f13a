"""Constant frame rates for films: from the instants of their pictures, however uneven."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil
from statistics import fmean

_STANDARD_RATES = [
    *(Fraction(rate) for rate in (24, 25, 30, 50, 60)),
    *(Fraction(rate, 1001) for rate in (24_000, 30_000, 60_000)),
]
_HIGHEST_RATE = 60
_HIGHEST_REAL_RATE = 240  # what is above is a time base and no rate
_LARGEST_DIVISOR = 1001
_EXACT = 0.0005
_STEADY = 0.02  # of the rate
_NEARLY_STEADY = 0.1
_UNEVEN = 0.05  # of the pictures in a second may be too many for a rate
_SUSTAINED_PART = 0.9  # of the seconds with pictures have at most this rate


def choose_frame_rate(rate: float) -> Fraction:
    """Choose the constant rate for a measured one: a standard one within 1 %, else itself.

    Rates above 60 are divided, so that every second or third picture stays; at least 1 a second.
    """
    nearest = min(_STANDARD_RATES, key=lambda standard: abs(standard - rate))
    if abs(nearest - rate) <= 0.01 * nearest:
        return nearest
    if rate > _HIGHEST_REAL_RATE:
        return Fraction(_HIGHEST_RATE)
    if rate > _HIGHEST_RATE:
        return choose_frame_rate(rate / ceil(rate / _HIGHEST_RATE - 0.01))
    return max(Fraction(1), _simplest(rate))


def measure_frame_rate(times: Sequence[float]) -> float | None:
    """Measure the rate at which pictures follow each other; None for less than two.

    Of a film whose rate varies it is what the quicker parts need: no picture of them is lost, and
    the slower parts repeat theirs.
    """
    gaps = sorted(after - before for before, after in pairwise(sorted(times)) if after > before)
    if not gaps:
        return None
    average = 1 / fmean(gaps)
    usual = 1 / fmean(gaps[len(gaps) // 4 : ceil(len(gaps) * 3 / 4)] or gaps)
    if abs(average - usual) <= _NEARLY_STEADY * usual and _is_standard(usual):
        return usual
    if abs(average - usual) <= _STEADY * usual:  # instants rounded to milliseconds add up to it
        return average
    if abs(average - usual) <= _NEARLY_STEADY * usual:
        return usual  # some pictures were lost, or stand a little longer
    return _next_standard(_sustained(times))


def _is_standard(rate: float) -> bool:
    return any(abs(rate - standard) <= _EXACT * standard for standard in _STANDARD_RATES)


def _sustained(times: Sequence[float]) -> int:
    """Pictures in a busy second."""
    counts = sorted(Counter(int(time) for time in times).values())
    return counts[min(len(counts) - 1, int(len(counts) * _SUSTAINED_PART))]


def _next_standard(rate: int) -> float:
    slowest = min(_STANDARD_RATES)
    if rate < slowest * (1 - _UNEVEN):
        return rate
    enough = (standard for standard in _STANDARD_RATES if standard * (1 + _UNEVEN) >= rate)
    return float(min(enough, default=Fraction(_HIGHEST_RATE), key=lambda each: abs(each - rate)))


def _simplest(rate: float) -> Fraction:
    """The fraction with the smallest divisor that is the rate to 1 in 500: 12.5 is 25/2."""
    for divisor in range(1, _LARGEST_DIVISOR + 1):
        fraction = Fraction(round(rate * divisor), divisor)
        if abs(fraction - Fraction(rate)) <= Fraction(rate) / 500:
            return fraction
    return Fraction(rate).limit_denominator(_LARGEST_DIVISOR)
