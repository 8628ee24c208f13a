"""Candidates of a search: titles and people that have keys, the most popular first.

One command per collection: each branch walks the key index from its rarest word and reads a bounded
number of documents, however common its words are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from pymongo.errors import OperationFailure

from models.catalog.documents import Movie, Person, Show
from models.catalog.filters import Clause, filter_clauses
from models.catalog.index_definitions import SEARCH_INDEX
from models.catalog.queries import MovieFilter
from models.catalog.search.matching import Tier
from models.mongo.base import IdentifiedRecord, Record, StoredDocument
from models.mongo.guard import record_refusal
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import NO_SUCH_INDEX, database_errors, to_records
from models.mongo.refusals import INDEX_NOT_FOUND
from models.mongo.rows import aggregate_rows
from services.errors import UpstreamUnavailable
from services.telemetry.logs import get_logger

_KEYS = "search.keys"
_MOST_READ = 600  # documents of a branch, or twice its most; with a filter ten times as many
_log = get_logger("models")


class SearchKind(Enum):
    MOVIE = "MOVIE"
    TV_SHOW = "TV_SHOW"
    PERSON = "PERSON"


_DOCUMENTS: dict[SearchKind, type[StoredDocument]] = {
    SearchKind.MOVIE: Movie,
    SearchKind.TV_SHOW: Show,
    SearchKind.PERSON: Person,
}


@dataclass(frozen=True, slots=True)
class Branch:
    """Documents that have one of the keys of each set; the first set is looked up in the index.

    `best` is the best tier of what lies beyond the `most` that are read.
    """

    keys: Sequence[Sequence[str | re.Pattern[str]]]
    most: int
    best: Tier


class FoldedNames(Record, frozen=True):
    names: list[str] = []


class Candidate(IdentifiedRecord, frozen=True):
    """`branch` is the one it came from, `matched` those of the branch's keys that it has."""

    popularity: float = 0.0
    search: FoldedNames = msgspec.field(default_factory=FoldedNames)
    branch: int = 0
    matched: list[str] = []


async def read_candidates(
    kind: SearchKind, branches: Sequence[Branch], chosen: MovieFilter
) -> list[Candidate]:
    """Active titles that match the filter, or people, of all branches; one command.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused, or lacks the index.
    """
    collection = collection_for_reads(_DOCUMENTS[kind])
    first, *others = [_stages(kind, at, one, chosen) for at, one in enumerate(branches)]
    unions = [{"$unionWith": {"coll": collection.name, "pipeline": stages}} for stages in others]
    most = sum(branch.most for branch in branches)
    with database_errors():
        try:
            rows = await aggregate_rows(collection, [*first, *unions], most=most, hint=SEARCH_INDEX)
        except OperationFailure as error:
            if error.code != NO_SUCH_INDEX:
                raise
            record_refusal(OperationFailure("The search index is missing.", INDEX_NOT_FOUND))
            _log.error("search_index_missing", collection=collection.name)
            message = "The search index is not built: run `python -m server indexes apply`."
            raise UpstreamUnavailable(message) from error
    return to_records(rows, Candidate)


def _stages(
    kind: SearchKind, number: int, branch: Branch, chosen: MovieFilter
) -> list[dict[str, Any]]:
    """Stages of one branch; with nothing to filter no more documents are read than shown.

    The limit before the filters keeps MongoDB to the first set of keys, and bounds the work.
    """
    driver, *others = branch.keys
    looked_up: Clause = {_KEYS: {"$in": list(driver)}}
    filters: list[Clause] = [{_KEYS: {"$in": list(keys)}} for keys in others]
    if kind is not SearchKind.PERSON:
        looked_up["is_active"] = True
        filters += filter_clauses(chosen)
    most_read = max(_MOST_READ, 2 * branch.most) * (1 if chosen == MovieFilter() else 10)
    texts = [key for keys in branch.keys for key in keys if isinstance(key, str)]
    shown = {
        "popularity": 1,
        "search.names": 1,
        "branch": {"$literal": number},
        "matched": {"$setIntersection": [f"${_KEYS}", {"$literal": texts}]},
    }
    bound: list[dict[str, Any]] = [{"$limit": most_read}, {"$match": {"$and": filters}}]
    filtered = bound if filters else []
    return [
        {"$match": looked_up},
        {"$sort": {"popularity": -1, "_id": 1}},
        *filtered,
        {"$limit": branch.most},
        {"$project": shown},
    ]
