"""Candidates of a search: titles and people that have keys, the most popular first.

One command per collection: each branch walks the key index from its rarest word and reads a bounded
number of documents, however common its words are.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from pymongo.errors import OperationFailure

from models.catalog.documents import Movie, Person, Show
from models.catalog.filters import Clause, filter_clauses
from models.catalog.index_definitions import SEARCH_INDEX, Keys
from models.catalog.paths import Titles, find_few_ids
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
_MOST_READ = 600  # documents of a branch, or twice its most
_MORE_FILTERED = 10  # times as many with a filter
_MOST_FITTING = 10_000  # titles that fit a filter, of which a list is read first
_BY_POPULARITY = {"popularity": -1, "_id": 1}
_log = get_logger("models")


class SearchKind(Enum):
    MOVIE = "MOVIE"
    TV_SHOW = "TV_SHOW"
    PERSON = "PERSON"


_TITLES: dict[SearchKind, Titles] = {SearchKind.MOVIE: Movie, SearchKind.TV_SHOW: Show}
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


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched; `fitting` are ids of titles that fit the filter, where those are few."""

    kinds: Collection[SearchKind]
    chosen: MovieFilter
    fitting: Mapping[SearchKind, frozenset[str]]


async def open_scope(kinds: Collection[SearchKind], chosen: MovieFilter) -> Scope:
    """Build the scope of a search, whose filter is looked up once for all its branches.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    titles = [kind for kind in kinds if kind in _TITLES and chosen != MovieFilter()]
    found = await asyncio.gather(
        *(find_few_ids(_TITLES[kind], chosen, _MOST_FITTING) for kind in titles)
    )
    fitting = {
        kind: frozenset(ids) for kind, ids in zip(titles, found, strict=True) if ids is not None
    }
    return Scope(kinds, chosen, fitting)


async def read_candidates(
    kind: SearchKind, branches: Sequence[Branch], scope: Scope
) -> list[Candidate]:
    """Active titles that match the filter, or people, of all branches; one command.

    One more where few titles match the filter: which of them have the keys.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused, or lacks the index.
    """
    fitting = scope.fitting.get(kind)
    if fitting is not None:
        return await _read_fitting(_TITLES[kind], branches, fitting)
    pipelines = [_stages(kind, at, one, scope.chosen) for at, one in enumerate(branches)]
    most = sum(branch.most for branch in branches)
    return to_records(await _run(_DOCUMENTS[kind], pipelines, most, SEARCH_INDEX), Candidate)


async def _read_fitting(
    document: type[StoredDocument], branches: Sequence[Branch], fitting: Collection[str]
) -> list[Candidate]:
    """Candidates that are among these ids; of many ids, index keys tell which have the words."""
    if not fitting:
        return []
    if len(fitting) <= _MOST_READ:
        rows = await _run(document, [_keyed_stages(branches, fitting)], 1)
        ids_by_branch = {at: row["ids"] for row in rows for at in range(len(branches))}
    else:
        looked_up = [_id_stages(at, branch) for at, branch in enumerate(branches)]
        rows = await _run(document, looked_up, len(branches), SEARCH_INDEX)
        ids_by_branch = {row["_id"]: [id_ for id_ in row["ids"] if id_ in fitting] for row in rows}
    pipelines = []
    for at, ids in ids_by_branch.items():
        branch, most_read = branches[at], _most_read(branches[at])
        if ids:
            among = {"_id": {"$in": ids[:most_read]}}
            filters = [_looked_up(branch, is_title=True), *_beside(branch)]
            pipelines.append(_candidate_stages(at, branch, among, filters, [{"$limit": most_read}]))
    most = sum(branch.most for branch in branches)
    return to_records(await _run(document, pipelines, most), Candidate) if pipelines else []


async def _run(
    document: type[StoredDocument],
    pipelines: Sequence[list[dict[str, Any]]],
    most: int,
    hint: Keys | None = None,
) -> list[dict[str, Any]]:
    """Run pipelines in one command; the index that is named has to exist."""
    collection = collection_for_reads(document)
    first, *others = pipelines
    unions = [{"$unionWith": {"coll": collection.name, "pipeline": stages}} for stages in others]
    with database_errors():
        try:
            return await aggregate_rows(collection, [*first, *unions], most=most, hint=hint)
        except OperationFailure as error:
            if error.code != NO_SUCH_INDEX:
                raise
            record_refusal(OperationFailure("The search index is missing.", INDEX_NOT_FOUND))
            _log.error("search_index_missing", collection=collection.name)
            message = "The search index is not built: run `python -m server indexes apply`."
            raise UpstreamUnavailable(message) from error


def _stages(
    kind: SearchKind, number: int, branch: Branch, chosen: MovieFilter
) -> list[dict[str, Any]]:
    """Stages of one branch; with nothing to filter no more documents are read than shown.

    The limit before the filters keeps MongoDB to the first set of keys, and bounds the work.
    """
    filters = _beside(branch)
    if kind is not SearchKind.PERSON:
        filters += filter_clauses(chosen)
    most_read = _most_read(branch) * (1 if chosen == MovieFilter() else _MORE_FILTERED)
    bound = [{"$limit": most_read}] if filters else []
    return _candidate_stages(
        number, branch, _looked_up(branch, is_title=kind in _TITLES), filters, bound
    )


def _candidate_stages(
    number: int,
    branch: Branch,
    looked_up: Clause,
    filters: Sequence[Clause],
    bound: Sequence[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    texts = [key for keys in branch.keys for key in keys if isinstance(key, str)]
    shown = {
        "popularity": 1,
        "search.names": 1,
        "branch": {"$literal": number},
        "matched": {"$setIntersection": [f"${_KEYS}", {"$literal": texts}]},
    }
    return [
        {"$match": looked_up},
        {"$sort": _BY_POPULARITY},
        *bound,
        *([{"$match": {"$and": filters}}] if filters else []),
        {"$limit": branch.most},
        {"$project": shown},
    ]


def _keyed_stages(branches: Sequence[Branch], ids: Collection[str]) -> list[dict[str, Any]]:
    """Ids of those titles that have a key which some branch looks up."""
    keys = {key for branch in branches for key in branch.keys[0] if isinstance(key, str)}
    return [
        {"$match": {"_id": {"$in": sorted(ids)}}},
        {"$limit": len(ids)},
        {"$match": {_KEYS: {"$in": sorted(keys)}}},
        {"$group": {"_id": None, "ids": {"$push": "$_id"}}},
    ]


def _id_stages(number: int, branch: Branch) -> list[dict[str, Any]]:
    """Ids of the titles that the first set of keys finds, of index keys alone."""
    return [
        {"$match": _looked_up(branch, is_title=True)},
        {"$sort": _BY_POPULARITY},
        {"$limit": _most_read(branch) * _MORE_FILTERED},
        {"$group": {"_id": {"$literal": number}, "ids": {"$push": "$_id"}}},
    ]


def _looked_up(branch: Branch, *, is_title: bool) -> Clause:
    active: Clause = {"is_active": True} if is_title else {}
    return {_KEYS: {"$in": list(branch.keys[0])}, **active}


def _beside(branch: Branch) -> list[Clause]:
    return [{_KEYS: {"$in": list(keys)}} for keys in branch.keys[1:]]


def _most_read(branch: Branch) -> int:
    return max(_MOST_READ, 2 * branch.most)
