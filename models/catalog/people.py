"""Titles that people worked on: many people, films and shows, in one command."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from models.catalog.documents import Movie, Show
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import database_errors
from models.mongo.rows import aggregate_rows


async def title_ids_by_person(people: Collection[str], at_most: int) -> dict[str, list[str]]:
    """Ids of active titles by person, most popular first, `at_most` each.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    person_ids = list(people)
    shows = {"coll": Show.get_settings().name, "pipeline": _works_of(person_ids)}
    best = {"n": at_most, "sortBy": {"popularity": -1, "_id": -1}, "output": "$_id"}
    pipeline: list[dict[str, Any]] = [
        *_works_of(person_ids),
        {"$unionWith": shows},
        {"$group": {"_id": "$person", "titles": {"$topN": best}}},
    ]
    with database_errors():
        rows = await aggregate_rows(collection_for_reads(Movie), pipeline, most=len(person_ids))
    titles = {row["_id"]: row["titles"] for row in rows}
    return {person: titles.get(person, []) for person in person_ids}


def _works_of(people: list[str]) -> list[dict[str, Any]]:
    return [
        {"$match": {"credits.person_id": {"$in": people}, "is_active": True}},
        {"$project": {"popularity": 1, "person": {"$setUnion": "$credits.person_id"}}},
        {"$unwind": "$person"},
        {"$match": {"person": {"$in": people}}},
    ]
