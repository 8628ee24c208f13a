"""What the Ariadne peer reads and writes: PyMongo's async client and redis-py."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import DESCENDING, AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from redis.asyncio import Redis

Row = dict[str, Any]

client: AsyncMongoClient[Row] = AsyncMongoClient(os.environ["MONGODB_URI"])
database = client[os.environ.get("MONGODB_DATABASE", "marquee")]
redis = Redis.from_url(os.environ["REDIS_URL"])


async def popular_movies(limit: int) -> list[Row]:
    order = [("popularity", DESCENDING), ("_id", DESCENDING)]
    return await database.movies.find({"is_active": True}).sort(order).limit(limit).to_list()


async def active_movie(movie_id: str) -> Row | None:
    return await database.movies.find_one({"_id": movie_id, "is_active": True})


async def movies_by_id(ids: Sequence[str]) -> list[Row | None]:
    return await _in_order(database.movies, ids, {"is_active": True})


async def people_by_id(ids: Sequence[str]) -> list[Row | None]:
    return await _in_order(database.people, ids)


async def genres_by_id(ids: Sequence[str]) -> list[Row | None]:
    return await _in_order(database.genres, ids)


async def _in_order(
    collection: AsyncCollection[Row], ids: Sequence[str], also: Mapping[str, Any] | None = None
) -> list[Row | None]:
    rows = await collection.find({"_id": {"$in": list(ids)}, **(also or {})}).to_list()
    by_id = {row["_id"]: row for row in rows}
    return [by_id.get(key) for key in ids]


async def save_progress(report: Mapping[str, Any]) -> Row:
    position, duration = report["position_seconds"], report.get("duration_seconds") or 0.0
    fields: dict[str, str] = {
        "sequence": str(report["sequence"]),
        "position": str(position),
        "duration": str(duration),
        "at": str(time.time_ns() // 1_000_000),
    }
    await redis.hset(f"bench:progress:{report['session_id']}", mapping=fields)
    percent = 100 * position / duration if duration else 0.0
    return {
        "progress": {"position_seconds": position, "percent": percent},
        "applied": True,
        "errors": [],
    }
