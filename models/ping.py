"""A ping of the database, for health checks."""

from __future__ import annotations

import pymongo

from models.catalog.documents import Movie
from models.mongo.reading import database_errors


async def ping_database(timeout_seconds: float) -> None:
    """Ping the database.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    database = Movie.get_pymongo_collection().database
    with database_errors(), pymongo.timeout(timeout_seconds):
        await database.command("ping")
