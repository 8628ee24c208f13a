"""What titles are filtered by, in few values each, so that one index finds titles of any filter.

An index scan skips from value to value of its first keys, which costs little only while those are
few: votes, rating and run time are stored in steps. Genres and languages are one text, which, other
than a list, an index may hold beside any other key.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

Clause = dict[str, Any]
FACET_SOURCES = ("rating", "vote_count", "runtime_seconds", "genre_ids", "languages")
_VOTES = (1, 10, 100, 1_000, 10_000)
_RATINGS = (1, 2, 3, 4, 5, 6, 6.5, 7, 7.5, 8, 8.5, 9)
_RUNTIMES = tuple(60 * minutes for minutes in (30, 45, 60, 70, 80, 90, 100, 110, 120, 150))
FACET_EDITION = 2  # grows whenever steps change: stored facets of another edition are made anew
_MARK = "|"  # around each genre and language


class Facets(BaseModel):
    """Steps that numbers reach, and texts such as "|genre_crime|genre_drama|"."""

    edition: int = FACET_EDITION
    votes: int = 0
    rating: int | None = None
    runtime: int | None = None
    genres: str = ""
    languages: str = ""


def facets_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Build the facets of a title from its stored values."""
    rating, runtime = row.get("rating"), row.get("runtime_seconds")
    return Facets(
        votes=bisect_right(_VOTES, row.get("vote_count") or 0),
        rating=None if rating is None else bisect_right(_RATINGS, rating),
        runtime=None if runtime is None else bisect_right(_RUNTIMES, runtime),
        genres=_join(row.get("genre_ids") or ()),
        languages=_join(row.get("languages") or ()),
    ).model_dump()


def step_clauses(
    min_rating: float | None, min_votes: int | None, max_runtime_seconds: int | None
) -> list[Clause]:
    """Build clauses that all titles within these bounds fit, and a few beyond them."""
    clauses: list[Clause] = []
    if min_votes is not None:
        clauses.append({"facets.votes": {"$gte": bisect_right(_VOTES, min_votes)}})
    if min_rating is not None:
        clauses.append({"facets.rating": {"$gte": bisect_right(_RATINGS, min_rating)}})
    if max_runtime_seconds is not None:
        clauses.append({"facets.runtime": {"$lte": bisect_right(_RUNTIMES, max_runtime_seconds)}})
    return clauses


def having_any(facet: str, values: Iterable[str]) -> Clause:
    """Build the clause of titles with at least one of these genre ids or languages."""
    return {facet: {"$regex": _pattern(values)}}


def having_none(facet: str, values: Iterable[str]) -> Clause:
    """Build the clause of titles with none of them; `$not` could not be decided on index keys."""
    return {facet: {"$regex": f"^(?!.*{_pattern(values)})"}}


def _pattern(values: Iterable[str]) -> str:
    mark = re.escape(_MARK)
    return f"{mark}(?:{'|'.join(map(re.escape, values))}){mark}"


def _join(values: Collection[str]) -> str:
    return _MARK.join(["", *sorted(set(values)), ""]) if values else ""
