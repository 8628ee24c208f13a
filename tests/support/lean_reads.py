"""Clients whose reads go the lean way, and the counts of reads by way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import bson
from pymongo import AsyncMongoClient

from models.mongo.rows import read_lean
from services.telemetry.metrics import REGISTRY

Client = AsyncMongoClient[dict[str, Any]]
REASONS = (
    "setup",
    "no_server",
    "no_connection",
    "connection_lost",
    "refused",
    "malformed",
    "too_large",
)


@asynccontextmanager
async def open_lean_client(uri: str, **options: Any) -> AsyncIterator[Client]:
    """A client that knows its servers; reads of rows go the lean way."""
    options = {"timeoutMS": 20_000, "serverSelectionTimeoutMS": 20_000, **options}
    client: Client = AsyncMongoClient(uri, tz_aware=True, **options)
    async with client:
        await client.admin.command("ping")
        async with read_lean(client, enabled=True):
            yield client


class ReadCounts:
    """Reads since this was made: `lean` ones, and `fallbacks` by reason."""

    def __init__(self) -> None:
        self._before = _counts()

    @property
    def lean(self) -> int:
        return self._since()["lean"]

    @property
    def fallbacks(self) -> dict[str, int]:
        return {why: count for why, count in self._since().items() if count and why != "lean"}

    def _since(self) -> dict[str, int]:
        return {name: count - self._before[name] for name, count in _counts().items()}


def _counts() -> dict[str, int]:
    fallbacks = {
        why: REGISTRY.get_sample_value("database_fallback_reads_total", {"why": why}) or 0
        for why in REASONS
    }
    lean = REGISTRY.get_sample_value("database_lean_reads_total") or 0
    return {name: int(count) for name, count in {"lean": lean, **fallbacks}.items()}


def encode_rows(rows: Iterable[dict[str, Any]]) -> list[bytes]:
    """Rows as bytes, so that equal ones have equal types, order of fields and NaNs too."""
    return [bson.encode(row) for row in rows]
