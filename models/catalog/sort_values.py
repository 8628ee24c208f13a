"""Values that films are sorted by, made of other fields whenever those are written.

They are stored because a page walks an index: the day of release or, where only that is known, the
year; and a mean rating that few votes do not move far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]

SORT_VALUES = ("released", "weighted_rating")
SORT_SOURCES = ("release_date", "year", "rating", "vote_count")
_PRIOR_RATING = 6.5  # of a film nobody voted on, of 10
_PRIOR_VOTES = 50
# Orders films that nobody watched by popularity, far below the weight of any viewing.
_UNWATCHED = 1e-300


def sort_values(row: Row) -> dict[str, Any]:
    """The sort values of a film; ISO dates sort as text, also a year alone before its days.

    `released` begins with the year, if that is known: bounds of the year are bounds of the order.
    """
    year, rating = row.get("year"), row.get("rating")
    date = row.get("release_date")
    is_dated = date is not None and (year is None or date.startswith(f"{year:04}-"))
    return {
        "released": date if is_dated else None if year is None else f"{year:04}",
        "weighted_rating": None if rating is None else weigh(rating, row.get("vote_count") or 0),
    }


def weigh(rating: float, votes: int) -> float:
    """The mean of a film's votes and 50 votes of 6.5 (a Bayesian mean)."""
    mean = (rating * votes + _PRIOR_RATING * _PRIOR_VOTES) / (votes + _PRIOR_VOTES)
    return round(mean, 4)


def least_weighted_rating(rating: float) -> float:
    """A bound below the weighted ratings of all films with at least this rating."""
    return min(rating, _PRIOR_RATING) - 0.0001  # of rounding


def first_trend(popularity: float) -> float:
    """The trend of a film before its first viewing (models/playback/views.py)."""
    return popularity * _UNWATCHED
