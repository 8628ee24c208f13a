"""Command documents of reads, as PyMongo would send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.int64 import Int64

Filter = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]
Command = dict[str, Any]


def build_find(
    collection: str,
    where: Filter,
    projection: Mapping[str, int],
    *,
    sort: Sort | None,
    limit: int,
    hint: Sort | None,
    batch_size: int,
) -> Command:
    """Build a `find`."""
    command: Command = {"find": collection, "filter": where, "projection": projection}
    if sort:
        command["sort"] = dict(sort)
    if hint:
        command["hint"] = dict(hint)
    if limit:
        command["limit"] = limit
    command["batchSize"] = batch_size
    return command


def build_aggregate(
    collection: str, pipeline: Sequence[Mapping[str, Any]], *, hint: Sort | None, batch_size: int
) -> Command:
    """Build an `aggregate`."""
    command: Command = {"aggregate": collection, "pipeline": pipeline}
    command["cursor"] = {"batchSize": batch_size}
    if hint:
        command["hint"] = dict(hint)
    return command


def build_get_more(collection: str, cursor_id: int, batch_size: int) -> Command:
    """Build a `getMore`."""
    return {"getMore": Int64(cursor_id), "collection": collection, "batchSize": batch_size}
