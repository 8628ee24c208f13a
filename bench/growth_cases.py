"""What growth.py asks for: filters alone and in pairs, in all orders, at both ends and deep."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from bench.dataset import ROOT
from bench.growth_catalogue import RARE_GENRE
from resolvers.catalog.imports import synthetic
from resolvers.catalog.imports.synthetic_words import GENRES

LISTS = """query Lists($category: MovieCategory, $filter: MovieFilter, $order: MovieOrder, \
$first: Int, $after: String, $last: Int) { movies(category: $category, filter: $filter, \
orderBy: $order, first: $first, after: $after, last: $last) { nodes { id title year rating } \
pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
COUNTS = """query Counts($category: MovieCategory, $filter: MovieFilter) { movies(\
category: $category, filter: $filter, first: 1) { totalCount { value precision } } }"""
SEARCHES = """query Searches($query: String!, $filter: MovieFilter) { search(query: $query, \
filter: $filter, first: 20) { nodes { __typename } } }"""
_SIZE = 20
_PAIRS_IN_ORDERS = 250  # of all pairs of filters in all orders, drawn
_HEADER = re.compile(r"^# (variables|role): (.*)$", re.MULTILINE)
_MOST_EXCLUDED = [slug for slug in GENRES if slug not in ("history", "science-fiction")]
_FILTERS: dict[str, list[Any]] = {
    "genres": [["drama"], [RARE_GENRE], ["crime", "western"]],
    "excludeGenres": [["horror"], _MOST_EXCLUDED],
    "yearFrom": [2000, 2025, 2090],
    "yearTo": [1990, 1925, 1800],
    "minRating": [5.5, 8.6, 9.9],
    "minVotes": [10, 15_000, 50_000],
    "maxRuntimeSeconds": [7200, 3960, 600],
    "language": ["en", "sv", "is", "zu"],
    "personId": [synthetic.person_id(0), synthetic.person_id(9_000)],
}
_FIELDS = ("POPULARITY", "RATING", "RELEASE_DATE", "TITLE", "CREATED_AT")
_CATEGORIES = ("TRENDING", "TOP_RATED", "NEW_RELEASES", "UPCOMING", "FEATURED")
_QUERIES = ("Golden Harbour", "harbour", "the silent river", "goldn harbor", "am", "Ada Park")
Variables = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One operation with its variables; `deep` pages are asked for, the last one is measured."""

    family: str
    name: str
    text: str
    variables: Variables
    deep: int = 0


def cases() -> list[Case]:
    """All cases, the same ones in every run."""
    return [*_operations(), *_lists(), *_counts(), *_searches()]


def _operations() -> Iterator[Case]:
    """The operations of the tests that anybody may send and that change nothing."""
    for file in sorted((ROOT / "tests/operations").glob("*.graphql")):
        text = file.read_text(encoding="utf-8")
        header = dict(_HEADER.findall(text))
        if "role" not in header and "\nquery" in text:
            yield Case("operation", file.stem, text, json.loads(header["variables"]))


def _lists() -> Iterator[Case]:
    orders = list(_orders())
    singles = [{}, *_singles()]
    for one in singles:
        for order in orders:
            yield from _ends(one, order)
    chance = random.Random(12)
    pairs = [(pair, order) for pair in _pairs() for order in orders]
    for pair, order in chance.sample(pairs, _PAIRS_IN_ORDERS):
        yield from _ends(pair, order)


def _ends(chosen: Variables, order: Variables) -> Iterator[Case]:
    """The first page, the last, and a deep one."""
    variables = {**order, "filter": chosen or None}
    name = " ".join(f"{key}={_short(value)}" for key, value in {**chosen, **order}.items())
    first = Case("list", name, LISTS, {**variables, "first": _SIZE})
    yield from (
        first,
        replace(first, name=f"{name} last", variables={**variables, "last": _SIZE}),
        replace(first, name=f"{name} deep", deep=3),
    )


def _counts() -> Iterator[Case]:
    for category in (None, *_CATEGORIES):
        for chosen in [{}, *_singles()]:
            yield _count(category, chosen)
    for pair in _pairs():
        yield _count(None, pair)


def _count(category: str | None, chosen: Variables) -> Case:
    named = {**chosen, **({"category": category} if category else {})}
    name = " ".join(f"{key}={_short(value)}" for key, value in named.items())
    return Case("count", name, COUNTS, {"category": category, "filter": chosen or None})


def _searches() -> Iterator[Case]:
    for query in _QUERIES:
        for chosen in [{}, *_singles(), *random.Random(query).sample(list(_pairs()), 12)]:
            name = " ".join([repr(query), *(f"{key}={_short(chosen[key])}" for key in chosen)])
            yield Case("search", name, SEARCHES, {"query": query, "filter": chosen or None})


def _orders() -> Iterator[Variables]:
    for field in _FIELDS:
        for direction in ("ASC", "DESC"):
            yield {"order": {"field": field, "direction": direction}}
    for category in _CATEGORIES:
        yield {"category": category}
    yield {"category": "UPCOMING", "order": {"field": "TITLE", "direction": "ASC"}}


def _singles() -> list[Variables]:
    return [{name: value} for name, values in _FILTERS.items() for value in values]


def _pairs() -> Iterator[Variables]:
    for one, other in combinations(_singles(), 2):
        if one.keys() != other.keys():
            yield {**one, **other}


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ":".join(map(str, value.values()))
    return f"{len(value)} of them" if isinstance(value, list) and len(value) > 2 else str(value)
