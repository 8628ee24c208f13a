"""The process's MongoDB connection. Beanie and the client belong to one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from beanie import init_beanie
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandListener

from models.mongo.base import DOCUMENTS
from services.errors import StartupError
from services.settings.settings import Settings


@asynccontextmanager
async def connect_database(
    settings: Settings, listeners: Sequence[CommandListener] = ()
) -> AsyncIterator[AsyncDatabase[dict[str, object]]]:
    """Connect and bind all documents to the database; closes the client at the end.

    Raises:
        StartupError: no MONGODB_URI, or nothing answers there.
    """
    if not settings.mongodb_uri:
        raise StartupError("MONGODB_URI is not set: name a MongoDB replica set.")
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
        settings.mongodb_uri,
        appname="marquee",
        tz_aware=True,
        event_listeners=list(listeners),
        maxPoolSize=settings.mongodb_max_pool_size,
        minPoolSize=settings.mongodb_min_pool_size,
        timeoutMS=settings.mongodb_timeout_ms,
        serverSelectionTimeoutMS=settings.mongodb_server_selection_timeout_ms,
        socketTimeoutMS=settings.mongodb_socket_timeout_ms,
        w=_parse_write_concern(settings.mongodb_write_concern),
        wTimeoutMS=settings.mongodb_write_timeout_ms,
    )
    try:
        database = client[settings.mongodb_database]
        await _bind(database)
        yield database
    finally:
        await client.close()


def _parse_write_concern(concern: str) -> int | str:
    return int(concern) if concern.isdigit() else concern


async def _bind(database: AsyncDatabase[dict[str, object]]) -> None:
    """Bind documents without building indexes, which is a command of its own."""
    try:
        await init_beanie(
            database=database,
            document_models=list(DOCUMENTS),
            skip_indexes=True,
        )
    except PyMongoError as error:
        raise StartupError(f"MongoDB does not answer: {error}".splitlines()[0][:200]) from error
