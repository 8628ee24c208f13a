"""The one way records are read: projected, straight from the driver, one command a call.

Every MongoDB failure leaves here as UpstreamUnavailable, so that nothing above knows the driver.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import msgspec
from beanie import Document
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from models.mongo.base import IdentifiedRecord, Record
from models.mongo.read_preference import collection_for_reads
from services.errors import UpstreamUnavailable
from services.telemetry import metrics

R = TypeVar("R", bound=Record)
D = TypeVar("D", bound=IdentifiedRecord)
Filter = Mapping[str, Any]
Sort = Sequence[tuple[str, int]]
_NO_SUCH_INDEX = 2  # MongoDB's BadValue, which a hint at no index is to it
# The server is ending, stepping down, out of time or of room: not the document's fault.
_PASSING = frozenset(
    {6, 7, 24, 46, 50, 89, 91, 112, 189, 262, 9001, 10058, 10107}
    | {11600, 11601, 11602, 13435, 13436, 14031}
)
Fields = frozenset[str] | None  # record fields to read, dotted for embedded ones; None reads all


@contextmanager
def database_errors() -> Iterator[None]:
    """Driver failures as our own; times every call.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    started = time.perf_counter()
    try:
        yield
    except PyMongoError as error:
        metrics.database_errors_total.inc()
        raise UpstreamUnavailable("The database did not answer in time.") from error
    finally:
        metrics.database_seconds.observe(time.perf_counter() - started)


def collect_refused_writes(error: BulkWriteError) -> dict[int, int]:
    """The code of each write of a bulk that MongoDB will not take, by its place.

    Raises:
        BulkWriteError: some failed for a reason that passes: write all of them again.
    """
    details = error.details
    refused = {failure["index"]: failure["code"] for failure in details["writeErrors"]}
    if details.get("writeConcernErrors") or not _PASSING.isdisjoint(refused.values()):
        raise error
    return refused


async def find(
    document: type[Document],
    record: type[R],
    where: Filter,
    *,
    fields: Fields = None,
    sort: Sort | None = None,
    limit: int = 0,
    hint: Sort | None = None,
) -> list[R]:
    """Records that match, in `sort` order; one command while `limit` or the batch fits.

    `hint` is the index to walk; while it is not built, MongoDB takes another.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    ways = [hint, None] if hint else [None]
    with database_errors():
        rows = await _read_rows(document, (where, projection(record, fields)), sort, limit, ways)
    return to_records(rows, record)


async def _read_rows(
    document: type[Document],
    what: tuple[Filter, Mapping[str, int]],
    sort: Sort | None,
    limit: int,
    ways: Sequence[Sort | None],
) -> list[dict[str, Any]]:
    collection = collection_for_reads(document)
    cursor = collection.find(*what, sort=sort, limit=limit, hint=ways[0])
    try:
        # Two above the expected count: the first batch then also says that it is the last.
        return await cursor.batch_size(limit + 2 if limit else 1000).to_list(None)
    except OperationFailure as error:
        if len(ways) == 1 or error.code != _NO_SUCH_INDEX:
            raise
        return await _read_rows(document, what, sort, limit, ways[1:])


async def find_by_id(
    document: type[Document], record: type[D], ids: Collection[str], fields: Fields = None
) -> dict[str, D]:
    """Records of these ids by id; ids that name nothing are absent. One `$in` for all."""
    found = await find(document, record, {"_id": {"$in": list(ids)}}, fields=fields, limit=len(ids))
    return {row.id: row for row in found}


def to_records(rows: list[dict[str, Any]], record: type[R]) -> list[R]:
    return _decoder(record)(rows)


@cache
def _decoder(record: type[R]) -> Callable[[list[dict[str, Any]]], list[R]]:
    many = list[record]  # type: ignore[valid-type]

    def decode(rows: list[dict[str, Any]]) -> list[R]:
        return msgspec.convert(rows, many)

    return decode


@cache
def projection(record: type[Record], fields: Fields) -> dict[str, int]:
    """MongoDB's projection for these record fields; whole records leave the rest behind."""
    names = set(fields) if fields is not None else set(record.__struct_encode_fields__)
    names.discard("id")
    shown = {name: 1 for name in sorted(names) if not _is_covered(name, names)}
    return {"_id": 1, **shown}


def _is_covered(name: str, names: set[str]) -> bool:
    """A parent path in the same projection makes MongoDB refuse both."""
    head, _, rest = name.rpartition(".")
    return bool(rest) and bool(head) and (head in names or _is_covered(head, names))
