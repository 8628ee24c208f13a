"""Reads of records: projected, straight from the driver, one command per call.

Every MongoDB failure leaves here as UpstreamUnavailable, so that no other module depends on the
driver.
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
from models.mongo.guard import guard_call, translate_error
from models.mongo.read_preference import collection_for_reads
from models.mongo.rows import Stages, aggregate_rows, find_rows
from models.mongo.unknown_values import replace_unknown
from models.mongo.wire.commands import Filter, Sort
from services.telemetry import metrics
from services.telemetry.logs import get_logger

R = TypeVar("R", bound=Record)
D = TypeVar("D", bound=IdentifiedRecord)
log = get_logger("mongo")
_MAX_UNDECODABLE = 1_000  # in one page; beyond it the page is shorter
_MAX_LOGGED = 200
NO_SUCH_INDEX = 2  # MongoDB's BadValue, which a hint at no index is to it
# The server is ending, stepping down, out of time or of room: not the document's fault.
_PASSING = frozenset(
    {6, 7, 24, 46, 50, 89, 91, 112, 189, 262, 9001, 10058, 10107}
    | {11600, 11601, 11602, 13435, 13436, 14031}
)
Fields = frozenset[str] | None  # record fields to read, dotted for embedded ones; None reads all


@contextmanager
def database_errors() -> Iterator[None]:
    """Translate driver failures into UpstreamUnavailable; observe the duration.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    call = guard_call()
    started = time.perf_counter()
    try:
        with call:
            yield
    except PyMongoError as error:
        raise translate_error(error, _PASSING) from error
    finally:
        metrics.database_seconds.observe(time.perf_counter() - started)


def collect_refused_writes(error: BulkWriteError) -> dict[int, int]:
    """Error codes of the writes of a bulk that MongoDB refuses for good, by position.

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
    """Find matching records, in `sort` order; one command while `limit` or the batch fits.

    Documents that are not records are left out; a sorted page is then read on, so that one such
    document ends no list.

    `hint` is the index to walk; while it is not built, MongoDB takes another.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    hints = [hint, None] if hint else [None]
    with database_errors():
        rows = await _read_rows(document, (where, projection(record, fields)), sort, limit, hints)
    records = to_records(rows, record)
    missing = len(rows) - len(records)
    if missing and sort and len(rows) == limit and missing <= _MAX_UNDECODABLE:
        more = limit + max(missing, len(rows) // 2)
        read = find(document, record, where, fields=fields, sort=sort, limit=more, hint=hint)
        return (await read)[:limit]
    return records


async def _read_rows(
    document: type[Document],
    query: tuple[Filter, Mapping[str, int]],
    sort: Sort | None,
    limit: int,
    hints: Sequence[Sort | None],
) -> list[dict[str, Any]]:
    collection = collection_for_reads(document)
    try:
        return await find_rows(collection, *query, sort=sort, limit=limit, hint=hints[0])
    except OperationFailure as error:
        if len(hints) == 1 or error.code != NO_SUCH_INDEX:
            raise
        return await _read_rows(document, query, sort, limit, hints[1:])


async def aggregate(
    document: type[Document], stages: Stages, *, most: int, hint: Sort
) -> list[dict[str, Any]]:
    """Rows of a pipeline, in one command while there are at most `most` of them.

    `hint` is as for `find`.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    collection = collection_for_reads(document)
    with database_errors():
        try:
            return await aggregate_rows(collection, stages, most=most, hint=hint)
        except OperationFailure as error:
            if error.code != NO_SUCH_INDEX:
                raise
        return await aggregate_rows(collection, stages, most=most)


async def find_by_id(
    document: type[Document], record: type[D], ids: Collection[str], fields: Fields = None
) -> dict[str, D]:
    """Find records by id with one `$in`; ids without a document are absent."""
    records = await find(
        document, record, {"_id": {"$in": list(ids)}}, fields=fields, limit=len(ids)
    )
    return {row.id: row for row in records}


def to_records(rows: list[dict[str, Any]], record: type[R]) -> list[R]:
    """Convert driver rows to records; log and leave out those that have another form."""
    try:
        return _decoder(record)(rows)
    except msgspec.ValidationError:
        return [one for row in rows if (one := decode_or_log(row, record)) is not None]


def to_record(row: dict[str, Any], record: type[R]) -> R:
    """Convert one driver row to a record.

    Raises:
        msgspec.ValidationError: the document has another form.
    """
    decoded: R = _decoder(record)([row])[0]
    return decoded


def decode_or_log(row: dict[str, Any], record: type[R]) -> R | None:
    """Convert one driver row to a record; None, counted and logged, if it has another form."""
    try:
        return to_record(row, record)
    except msgspec.ValidationError as error:
        metrics.documents_undecodable_total.inc()
        log.error(
            "document_undecodable",
            record=record.__name__,
            id=str(row.get("_id"))[:_MAX_LOGGED],
            error=str(error)[:_MAX_LOGGED],
        )
        return None


@cache
def _decoder(record: type[R]) -> Callable[[list[dict[str, Any]]], list[R]]:
    many = list[record]  # type: ignore[valid-type]

    def decode(rows: list[dict[str, Any]]) -> list[R]:
        try:
            return msgspec.convert(rows, many)
        except msgspec.ValidationError:  # perhaps for what a later release wrote
            return [msgspec.convert(replace_unknown(row, record), record) for row in rows]

    return decode


@cache
def projection(record: type[Record], fields: Fields) -> dict[str, int]:
    """Build the MongoDB projection of these record fields; None projects the whole record."""
    names = set(fields) if fields is not None else set(record.__struct_encode_fields__)
    names.discard("id")
    shown = {name: 1 for name in sorted(names) if not _is_covered(name, names)}
    return {"_id": 1, **shown}


def _is_covered(name: str, names: set[str]) -> bool:
    """Whether a parent path is in the projection too: MongoDB refuses both together."""
    head, _, field = name.rpartition(".")
    return bool(field) and bool(head) and (head in names or _is_covered(head, names))
