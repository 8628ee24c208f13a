"""Search and suggestions: candidates of all kinds, ranked in one list.

A score depends on names, words and popularity only, so it is the same on every page and may be part
of a cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from models.catalog.queries import MovieFilter
from models.catalog.search.branches import (
    exact_branches,
    joined_words,
    single_word_branches,
    tolerant_branches,
)
from models.catalog.search.lexicon import SimilarWord, frequencies, similar_words
from models.catalog.search.matching import Query, Tier, best_tier, matched_share
from models.catalog.search.retrieval import (
    Branch,
    Candidate,
    Scope,
    SearchKind,
    open_scope,
    read_candidates,
)
from models.mongo.base import Record

_FEW = 10  # with fewer good hits, similar words and single words are looked for
_LEAST_SHARE = 0.1  # of the query's weight
_HALF_POPULARITY = 100.0  # gives half of what popularity can add to a tier
_FIRST_HITS, MOST_HITS = 100, 1_000  # of each branch and kind
_MOST_SUGGESTIONS = 40


class SearchHit(NamedTuple):
    """A match; hits are ordered by falling score, then rising id."""

    score: float
    id: str


class SearchHits(Record, frozen=True):
    """Hits, best first; beyond the first `settled` a deeper search may have others between."""

    hits: list[SearchHit] = []
    settled: int = 0


async def search_names(
    words: Sequence[str],
    kinds: Collection[SearchKind],
    chosen: MovieFilter,
    *,
    is_deep: bool = False,
) -> SearchHits:
    """Titles and people with these words in names or descriptions, best first.

    One command per kind; with several words one for their frequencies, with few hits as many again.
    A filter costs up to two more per kind, and one for each index that may know of few titles.

    Args:
        words: folded, as `fold_query` makes them.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    query = Query(tuple(words))
    most = MOST_HITS if is_deep else _FIRST_HITS
    scope = await open_scope(kinds, chosen)
    query, hits, unread = await _search_exactly(query, scope, most)
    if len(hits) < _FEW:
        hits = await _search_tolerantly(query, scope, hits)
    ordered = _in_order(hits)
    return SearchHits(hits=ordered, settled=sum(hit.score > unread for hit in ordered))


async def suggest_names(
    words: Sequence[str], kinds: Collection[SearchKind], *, is_word_ended: bool = False
) -> list[SearchHit]:
    """Titles and people whose names begin so or have words that do; else similar ones.

    Args:
        is_word_ended: the last word is more likely a whole word than a beginning.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    query = Query(tuple(words), is_typing=True, is_word_ended=is_word_ended)
    scope = await open_scope(kinds, MovieFilter())
    query, hits, _ = await _search_exactly(query, scope, _MOST_SUGGESTIONS)
    if not hits:
        hits = await _search_tolerantly(query, scope, hits)
    return _in_order(hits)


async def _search_exactly(
    query: Query, scope: Scope, most: int
) -> tuple[Query, dict[str, float], float]:
    """Scores by id, and the best score that a title can have which was not read."""
    if len(query.words) > 1:
        query = query.learn(await frequencies(query.words), {})
    branches = exact_branches(query, most)
    rows = await _read(branches, scope)
    hits = {
        row.id: _score(tier, row.popularity)
        for row in chain.from_iterable(rows)
        if (tier := best_tier(query, row.search.names, tolerant=False)) > Tier.SOME_WORDS
    }
    return query, hits, max((_unread_score(some, branches) for some in rows), default=0.0)


async def _search_tolerantly(
    query: Query, scope: Scope, hits: Mapping[str, float]
) -> dict[str, float]:
    looked_up = {*query.words, *chain.from_iterable(joined_words(query.words))}
    titles, similar = await asyncio.gather(frequencies(looked_up), similar_words(looked_up))
    query = query.learn(titles, {word: _distances(near) for word, near in similar.items()})
    branches = tolerant_branches(query, similar, _FIRST_HITS)
    if not query.is_typing:
        branches += single_word_branches(query, similar)
    found = dict(hits)
    for row in chain.from_iterable(await _read(branches, scope) if branches else ()):
        score = _tolerant_score(query, row)
        if score is not None and score > found.get(row.id, 0.0):
            found[row.id] = score
    return found


def _tolerant_score(query: Query, row: Candidate) -> float | None:
    tier = best_tier(query, row.search.names, tolerant=True)
    if tier > Tier.SOME_WORDS:
        return _score(tier, row.popularity)
    share = round(matched_share(query, row.search.names, row.matched), 1)
    if query.is_typing or share < _LEAST_SHARE:
        return None
    return Tier.SOME_WORDS + 0.9 * share + 0.09 * _fraction(row.popularity)


async def _read(branches: Sequence[Branch], scope: Scope) -> list[list[Candidate]]:
    return await asyncio.gather(*(read_candidates(kind, branches, scope) for kind in scope.kinds))


def _unread_score(rows: Iterable[Candidate], branches: Sequence[Branch]) -> float:
    """The best score beyond the last rows of branches that are cut; 0 if none is."""
    by_branch: dict[int, list[float]] = {}
    for row in rows:
        by_branch.setdefault(row.branch, []).append(row.popularity)
    return max(
        (
            _score(branches[number].best, min(popularities))
            for number, popularities in by_branch.items()
            if len(popularities) >= branches[number].most
        ),
        default=0.0,
    )


def _distances(similar: Iterable[SimilarWord]) -> dict[str, int]:
    return {each.word: each.distance for each in similar}


def _score(tier: Tier, popularity: float) -> float:
    return tier + _fraction(popularity)


def _fraction(popularity: float) -> float:
    """A number below 1 that grows with popularity."""
    return max(popularity, 0.0) / (max(popularity, 0.0) + _HALF_POPULARITY)


def _in_order(hits: Mapping[str, float]) -> list[SearchHit]:
    return sorted(
        (SearchHit(score, id_) for id_, score in hits.items()), key=lambda hit: (-hit.score, hit.id)
    )
