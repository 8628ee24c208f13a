"""Full-text search over one collection: matches from a position on, best first.

A score depends only on the text and the words, so it is the same on every page and may be part of a
cursor. MongoDB scores every match before it can order them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from models.catalog.documents import Movie, Person, Show
from models.catalog.filters import Clause, filter_clauses
from models.catalog.queries import MovieFilter
from models.mongo.base import StoredDocument
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import database_errors

_OPERATORS = re.compile(r'["-]')  # of $search: phrases and exclusions
_WORD = re.compile(r"\w")


class SearchKind(Enum):
    MOVIE = "MOVIE"
    TV_SHOW = "TV_SHOW"
    PERSON = "PERSON"


class SearchHit(NamedTuple):
    """A match; hits are ordered by falling score, then rising id."""

    score: float
    id: str


_DOCUMENTS: dict[SearchKind, type[StoredDocument]] = {
    SearchKind.MOVIE: Movie,
    SearchKind.TV_SHOW: Show,
    SearchKind.PERSON: Person,
}


def plain_words(query: str) -> str | None:
    """The words of a query without search operators; None if there are none."""
    words = " ".join(_OPERATORS.sub(" ", query).split())
    return words if _WORD.search(words) else None


async def search_kind(
    kind: SearchKind, words: str, chosen: MovieFilter, after: SearchHit | None, size: int
) -> list[SearchHit]:
    """Active titles that match the filter, or people, that have any of the words; one command.

    Args:
        words: as `plain_words` returns them.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    pipeline = search_stages(kind, words, chosen, after, size)
    collection = collection_for_reads(_DOCUMENTS[kind])
    with database_errors():
        cursor = await collection.aggregate(pipeline, batchSize=size + 2)
        rows = await cursor.to_list(None)
    return [SearchHit(row["score"], row["_id"]) for row in rows]


def search_stages(
    kind: SearchKind, words: str, chosen: MovieFilter, after: SearchHit | None, size: int
) -> Sequence[dict[str, Any]]:
    """Build the aggregation pipeline of `search_kind`."""
    clauses: list[Clause] = [{"$text": {"$search": words}}]
    if kind is not SearchKind.PERSON:
        clauses += [{"is_active": True}, *filter_clauses(chosen)]
    beyond = [] if after is None else [{"$match": _beyond(after)}]
    return [
        {"$match": {"$and": clauses}},
        {"$project": {"score": {"$meta": "textScore"}}},
        *beyond,
        {"$sort": {"score": -1, "_id": 1}},
        {"$limit": size},
    ]


def _beyond(after: SearchHit) -> Clause:
    tie = {"score": after.score, "_id": {"$gt": after.id}}
    return {"$or": [{"score": {"$lt": after.score}}, tie]}
