"""The process's MongoDB connection. Beanie and the client belong to one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pymongo
from beanie import init_beanie
from beanie.odm.utils.init import Initializer
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.monitoring import CommandListener

from models.mongo.base import DOCUMENTS
from models.mongo.guard import DatabaseGuard, guard_database
from models.mongo.refusals import describe_refusal
from models.mongo.rows import read_lean
from models.mongo.set_names import find_set_mismatch
from services.errors import StartupError
from services.settings.settings import Settings

# After a refused sign-in the driver takes the server for gone until its monitor hears of it next,
# which is ten seconds by default.
_HEARTBEAT_MS = 2_000
_LEAST_MAJOR_VERSION = 6  # of MongoDB, as docs/operations.md says


@asynccontextmanager
async def connect_database(
    settings: Settings,
    listeners: Sequence[CommandListener] = (),
    *,
    may_be_away: bool = False,
) -> AsyncIterator[AsyncDatabase[dict[str, object]]]:
    """Connect and bind all documents to the database; closes the client at the end.

    Args:
        may_be_away: start degraded without it, as a process that runs already would go on.

    Raises:
        StartupError: no MONGODB_URI, it cannot be read, or nothing answers there.
    """
    client = _build_client(settings, listeners)
    try:
        database = client[settings.mongodb_database]
        is_away = await _bind(database, settings, may_be_away=may_be_away)
        async with (
            _guard(client, database, settings, is_away=is_away),
            read_lean(client, enabled=settings.mongodb_lean_reads),
        ):
            yield database
    finally:
        await client.close()


def _build_client(
    settings: Settings, listeners: Sequence[CommandListener]
) -> AsyncMongoClient[dict[str, object]]:
    if not settings.mongodb_uri:
        raise StartupError("MONGODB_URI is not set: name a MongoDB replica set.")
    try:
        if not _is_readable_address(settings.mongodb_uri):
            raise ValueError
        return _connect(settings, settings.mongodb_uri, listeners)
    except (PyMongoError, ValueError, TypeError):
        # Not the driver's own words: they quote what may be a part of the password.
        raise StartupError(
            "MONGODB_URI is not an address such as mongodb://host:27017/?replicaSet=rs0; "
            "in a password write / as %2F, # as %23, @ as %40, : as %3A."
        ) from None


def _is_readable_address(address: str) -> bool:
    """Whether it is read as it is meant: the driver takes any word for a host."""
    scheme, _, remainder = address.partition("://")
    authority, _, tail = remainder.partition("/")
    return (
        scheme in ("mongodb", "mongodb+srv")
        and bool(authority)
        and not {"#", "?"} & set(authority)
        and "@" not in tail.partition("?")[0]
    )


def _connect(
    settings: Settings, address: str, listeners: Sequence[CommandListener]
) -> AsyncMongoClient[dict[str, object]]:
    return AsyncMongoClient(
        address,
        appname="marquee",
        tz_aware=True,
        event_listeners=list(listeners),
        maxPoolSize=settings.mongodb_max_pool_size,
        minPoolSize=settings.mongodb_min_pool_size,
        timeoutMS=settings.mongodb_timeout_ms,
        serverSelectionTimeoutMS=settings.mongodb_server_selection_timeout_ms,
        heartbeatFrequencyMS=_HEARTBEAT_MS,
        socketTimeoutMS=settings.mongodb_socket_timeout_ms,
        w=_parse_write_concern(settings.mongodb_write_concern),
        wTimeoutMS=settings.mongodb_write_timeout_ms,
    )


@asynccontextmanager
async def _guard(
    client: AsyncMongoClient[dict[str, object]],
    database: AsyncDatabase[dict[str, object]],
    settings: Settings,
    *,
    is_away: bool,
) -> AsyncIterator[None]:
    async def ping() -> None:
        with pymongo.timeout(settings.mongodb_timeout_ms / 1000):
            await database.command("ping", read_preference=ReadPreference.SECONDARY_PREFERRED)

    guard = DatabaseGuard(ping, lambda: client.topology_description.has_known_servers)
    if is_away:
        guard.record_failure("it did not answer at the start")
    with guard_database(guard):
        async with aclosing(guard):
            yield


def _parse_write_concern(concern: str) -> int | str:
    return int(concern) if concern.isdigit() else concern


async def _bind(
    database: AsyncDatabase[dict[str, object]], settings: Settings, *, may_be_away: bool
) -> bool:
    """Bind documents without building indexes; returns whether the server did not answer."""
    try:
        await init_beanie(
            database=database,
            document_models=list(DOCUMENTS),
            skip_indexes=True,
        )
        return False
    except PyMongoError as error:
        mismatch = await find_set_mismatch(settings.mongodb_uri or "")
        if mismatch is not None:
            raise StartupError(mismatch) from error
        if may_be_away and not isinstance(error, OperationFailure):
            await _OfflineInitializer(
                database=database, document_models=list(DOCUMENTS), skip_indexes=True
            )
            return True
        raise StartupError(_format_failure(error)) from error


def _format_failure(error: PyMongoError) -> str:
    if isinstance(error, OperationFailure):
        return f"MongoDB refuses, {describe_refusal(error)}."
    return f"MongoDB does not answer: {error}".splitlines()[0][:200]


class _OfflineInitializer(Initializer):
    """Beanie's binding without its questions to the server, which no document of ours needs."""

    async def _load_cached_info(self) -> None:
        self._database_major_version = _LEAST_MAJOR_VERSION
        self._existing_collections: list[str] = []
