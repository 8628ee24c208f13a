"""Initiate a single mongod as a one-member replica set; repair it after a change of port."""

from __future__ import annotations

import asyncio
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from services.errors import StartupError

DEADLINE_SECONDS = 15.0
_POLL_SECONDS = 0.02
_NOT_YET_INITIALIZED = 94
# AlreadyInitialized and ConfigurationInProgress: still loading, or another process does the same
_IN_BETWEEN = {23, _NOT_YET_INITIALIZED, 109}

Client = AsyncMongoClient[dict[str, Any]]


async def ensure_initiated(uri: str, deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until the mongod at `uri` (one host and `replicaSet`) takes writes; repeatable.

    Uses a client of its own: one that first saw an un-initiated set never learns sessions, so open
    yours afterwards.

    Raises:
        StartupError: no primary within the deadline, or the server refused.
    """
    parsed = parse_uri(uri)
    host, port = parsed["nodelist"][0]
    replica_set = parsed["options"].get("replicaSet", "rs0")
    # no replicaSet here: the driver would ignore a server that does not know its set's name yet
    client: Client = AsyncMongoClient(
        host, port, directConnection=True, serverSelectionTimeoutMS=1000
    )
    try:
        async with asyncio.timeout(deadline_seconds):
            await _become_primary(client, replica_set, f"{host}:{port}")
    except TimeoutError as error:
        raise StartupError(
            f"MongoDB at {host}:{port} did not become primary within {deadline_seconds:g} s."
        ) from error
    except PyMongoError as error:
        reason = str(error).partition(", full error")[0]
        raise StartupError(f"MongoDB at {host}:{port} is not a usable set: {reason}.") from error
    finally:
        await client.close()


async def _become_primary(client: Client, replica_set: str, address: str) -> None:
    while True:
        try:
            hello = await client.admin.command("hello")
            if hello["isWritablePrimary"]:
                return
            if "setName" not in hello:  # no configuration, or one that names another address
                await _configure(client, replica_set, address)
        except AutoReconnect:
            pass  # not there yet, or it closed connections to change its role
        except OperationFailure as error:
            if error.code not in _IN_BETWEEN:
                raise
        await asyncio.sleep(_POLL_SECONDS)


async def _configure(client: Client, replica_set: str, address: str) -> None:
    try:
        answer = await client.admin.command("replSetGetConfig")
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        await client.admin.command("replSetInitiate", _first_config(replica_set, address))
        return
    config = answer["config"]
    if len(config["members"]) == 1:  # only a set of one can have moved as a whole
        config["members"][0]["host"] = address
        config["version"] += 1
        await client.admin.command("replSetReconfig", config, force=True)


def _first_config(replica_set: str, address: str) -> dict[str, Any]:
    return {
        "_id": replica_set,
        "members": [{"_id": 0, "host": address}],
        "settings": {"heartbeatIntervalMillis": 500},
    }
