"""Titles that people worked on: many people, films and shows, in one command."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from models.catalog.documents import Movie, Show
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import database_errors
from models.mongo.rows import aggregate_rows

_FEW_PEOPLE = 50  # are read one by one, each along the index; more by all their titles


async def title_ids_by_person(people: Collection[str], at_most: int) -> dict[str, list[str]]:
    """Ids of active titles by person, most popular first, `at_most` each.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    person_ids = list(people)
    is_few = len(person_ids) <= _FEW_PEOPLE
    works = [_best_of(one, at_most) for one in person_ids] if is_few else [_works_of(person_ids)]
    best = {"n": at_most, "sortBy": {"popularity": -1, "_id": -1}, "output": "$_id"}
    names = [document.get_settings().name for document in (Movie, Show)]
    first, *others = [(name, stages) for name in names for stages in works]
    pipeline: list[dict[str, Any]] = [
        *first[1],
        *({"$unionWith": {"coll": name, "pipeline": stages}} for name, stages in others),
        {"$group": {"_id": "$person", "titles": {"$topN": best}}},
    ]
    with database_errors():
        rows = await aggregate_rows(collection_for_reads(Movie), pipeline, most=len(person_ids))
    titles = {row["_id"]: row["titles"] for row in rows}
    return {person: titles.get(person, []) for person in person_ids}


def _best_of(person: str, at_most: int) -> list[dict[str, Any]]:
    """Read as many titles of a person as are shown, however many there are, on index keys."""
    return [
        {"$match": {"credits.person_id": person, "is_active": True}},
        {"$sort": {"popularity": -1, "_id": -1}},
        {"$limit": at_most},
        {"$project": {"popularity": 1, "person": {"$literal": person}}},
    ]


def _works_of(people: list[str]) -> list[dict[str, Any]]:
    return [
        {"$match": {"credits.person_id": {"$in": people}, "is_active": True}},
        {"$project": {"popularity": 1, "person": {"$setUnion": "$credits.person_id"}}},
        {"$unwind": "$person"},
        {"$match": {"person": {"$in": people}}},
    ]
