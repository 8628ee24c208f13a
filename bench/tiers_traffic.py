"""Zipf(1.0) traffic over browse, film and search documents: what share of the entities it reads
the tiers answer. From a cold start; whole answers are left out, which would hide the reads."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from bench.dataset import Dataset
from bench.session import Session

_OPERATIONS = 30_000
_PARTS = ("first", "second", "last")
_MIX = {"browse": 0.35, "film": 0.45, "search": 0.2}
_ENTITIES = ("movie", "person", "genre", "show")
_LEVELS = ("memory", "redis", "stale", "database")
_CATEGORIES = ("POPULAR", "TRENDING", "TOP_RATED", "NEW_RELEASES", "FEATURED")
_BROWSE = """query Browse($category: MovieCategory, $filter: MovieFilter, $first: Int) {
  movies(category: $category, filter: $filter, first: $first) {
    nodes { id title year rating poster { url(width: 342) } genres { id name } }
    pageInfo { hasNextPage } } }"""
_FILM = """query Film($id: ID!) { movie(by: {id: $id}) { id title overview year runtimeSeconds
  genres { id name } credits(first: 10) { character person { id name } }
  similar(first: 6) { id title poster { url(width: 185) } } } }"""
_SEARCH = """query Search($query: String!, $first: Int) { search(query: $query, first: $first) {
  nodes { __typename ... on Movie { id title year } ... on Person { id name } } } }"""
_TITLES = "query ($after: String) { movies(first: 100, after: $after) { nodes { title } } }"
_GENRES = "{ genres { slug } }"


class Zipf:
    """Draws from these, the first ones most often: exponent 1.0."""

    def __init__(self, dice: random.Random, things: Sequence[Any]) -> None:
        self._dice = dice
        self._things = things
        self._weights = list(itertools.accumulate(1 / n for n in range(1, len(things) + 1)))

    def __call__(self) -> Any:
        return self._dice.choices(self._things, cum_weights=self._weights)[0]


class Traffic:
    """The same operations in every run."""

    def __init__(self, session: Session, films: Dataset) -> None:
        self._dice = random.Random(2026)
        self._film = Zipf(self._dice, films.movie_ids)
        data, _ = session.ask(_GENRES, {})
        genres = [{"filter": {"genres": [genre["slug"]]}} for genre in data["genres"]]
        self._list = Zipf(self._dice, [*({"category": one} for one in _CATEGORIES), *genres])
        titles, _ = session.ask(_TITLES, {"after": None})
        words = {word for film in titles["movies"]["nodes"] for word in film["title"].split()}
        self._word = Zipf(self._dice, sorted(words - {"The"}))

    def next(self) -> tuple[str, str, dict[str, Any]]:
        """The document's name, its text, its variables."""
        (kind,) = self._dice.choices(list(_MIX), list(_MIX.values()))
        if kind == "browse":
            return kind, _BROWSE, {**self._list(), "first": 20}
        if kind == "film":
            return kind, _FILM, {"id": self._film()}
        return kind, _SEARCH, {"query": self._word(), "first": 20}


def run(session: Session, films: Dataset, say: Callable[[str], None]) -> None:
    traffic = Traffic(session, films)
    parts: dict[str, Counter[str]] = {}
    for number in range(_OPERATIONS):
        kind, query, variables = traffic.next()
        _, answer = session.ask(query, variables)
        read = entities(answer)
        third = f"{_PARTS[3 * number // _OPERATIONS]} third"
        for part in ("all", kind, third):
            parts.setdefault(part, Counter()).update(read)
    say(f"4. {_OPERATIONS} operations on {len(films.movie_ids)} films from a cold start; entity "
        "reads answered by the tiers (95 % promised):")  # fmt: skip
    for part, read in parts.items():
        say(f"   {part:12} {_line(read)}")


def entities(answer: dict[str, Any]) -> Counter[str]:
    """How many films, people, genres and shows each level answered."""
    counts: Counter[str] = Counter()
    for kind in _ENTITIES:
        counts.update(answer["kinds"].get(kind, {}))
    return counts


def _line(read: Counter[str]) -> str:
    total = read.total()
    share = 100 * (1 - read["database"] / total)
    levels = ", ".join(f"{level} {100 * read[level] / total:.2f} %" for level in _LEVELS)
    return f"{share:.2f} % of {total} ({levels})"
