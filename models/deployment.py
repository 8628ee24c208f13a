"""What MongoDB is: a replica set (or a sharded cluster), or a stand-alone server."""

from __future__ import annotations

from models.catalog.documents import Movie
from models.mongo.reading import database_errors


async def is_replicated() -> bool:
    """Whether MongoDB is a replica set or a sharded cluster.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    database = Movie.get_pymongo_collection().database
    with database_errors():
        hello = await database.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"
