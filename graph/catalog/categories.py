"""Predefined lists of films as clients name them."""

from __future__ import annotations

from graph.base.enums import describe_enum
from models import MovieCategory

describe_enum(
    MovieCategory,
    "A predefined list of films with its own order.",
    {
        "POPULAR": "Most popular first.",
        "TRENDING": "Most watched here of late first: a view weighs half of one a week later.",
        "TOP_RATED": "Rated films, highest rating first; few votes weigh little.",
        "NEW_RELEASES": "Released films, newest first; of the day unknown, by year.",
        "UPCOMING": "Unreleased films, next release first.",
        "FEATURED": "Selected by the editors.",
    },
)

__all__ = ["MovieCategory"]
