"""Which films people worked on: many people in one command."""

from __future__ import annotations

from collections.abc import Collection

from models.catalog import Movie
from models.reading import database_errors


async def movie_ids_by_person(people: Collection[str], at_most: int) -> dict[str, list[str]]:
    """Ids of active films by person, most popular first, `at_most` each.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    wanted = list(people)
    pipeline = [
        {"$match": {"credits.person_id": {"$in": wanted}, "is_active": True}},
        {"$project": {"popularity": 1, "person": {"$setUnion": "$credits.person_id"}}},
        {"$unwind": "$person"},
        {"$match": {"person": {"$in": wanted}}},
        {
            "$group": {
                "_id": "$person",
                "films": {
                    "$topN": {
                        "n": at_most,
                        "sortBy": {"popularity": -1, "_id": -1},
                        "output": "$_id",
                    }
                },
            }
        },
    ]
    with database_errors():
        cursor = await Movie.get_pymongo_collection().aggregate(pipeline, batchSize=len(wanted) + 2)
        rows = await cursor.to_list(None)
    found = {row["_id"]: row["films"] for row in rows}
    return {person: found.get(person, []) for person in wanted}
