"""Whether MONGODB_URI names the replica set that its server belongs to.

The driver ignores a server of another set, or of none, and waits for others: what looks like an
outage that never ends is a mistake in the settings.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

_LOOK_MS = 1000


async def find_set_mismatch(address: str) -> str | None:
    """Say how the first server that answers differs from the set named; None: not, or none does.

    A server that waits to be made a set's member does not differ.
    """
    with suppress(PyMongoError, ValueError):
        parsed = parse_uri(address)
        named = parsed["options"].get("replicaSet")
        if named is None:
            return None
        tls = {name: value for name, value in parsed["options"].items() if name.startswith("tls")}
        for host, port in parsed["nodelist"]:
            hello = await _say_hello(host, port, tls)
            if hello is not None:
                return _describe_mismatch(named, hello)
    return None


async def _say_hello(host: str, port: int, tls: dict[str, Any]) -> dict[str, Any] | None:
    with suppress(PyMongoError):
        async with AsyncMongoClient[dict[str, Any]](
            host, port, directConnection=True, serverSelectionTimeoutMS=_LOOK_MS, **tls
        ) as client:
            return await client.admin.command("hello")
    return None


def _describe_mismatch(named: str, hello: dict[str, Any]) -> str | None:
    if hello.get("setName") == named or hello.get("isreplicaset"):
        return None
    actual = f"of the set {hello['setName']}" if "setName" in hello else "of no replica set"
    return (
        f"MONGODB_URI names replicaSet={named}, but its server is {actual}: correct the name, or "
        "make the server a replica set (one member will do)."
    )
