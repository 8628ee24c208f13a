"""Documents that operators pushed, and the releases of clients that they belong to.

A document's id has one text for good. It is a client's while a release of that client names it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pymongo import InsertOne
from pymongo.errors import BulkWriteError

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument, utc_now
from models.mongo.reading import collect_refused_writes, database_errors, find, find_by_id
from models.mongo.updates import build_initial_values, build_revision, build_row, build_update
from models.ops.registered_documents import find_registered_document, store_registered_document
from services.documents.trusted import MAX_TRUSTED, TrustedDocument

MAX_RELEASES = 100
_DUPLICATE_KEY = 11000
_BATCH = 500
_SEPARATOR = "|"  # in no name


class PushedDocument(StoredDocument):
    """A document; `used_at` is when a client asked for it last, None if none did."""

    text: str
    size: int
    used_at: datetime | None = None

    class Settings:
        name = "documents"


class PushedDocumentRecord(IdentifiedRecord, frozen=True):
    text: str = ""
    size: int = 0
    used_at: datetime | None = None
    created_at: datetime = EPOCH


class DocumentRelease(StoredDocument):
    """The documents of one version of a client."""

    client: str
    release: str
    document_ids: list[str] = []

    class Settings:
        name = "document_releases"


class DocumentReleaseRecord(IdentifiedRecord, frozen=True):
    client: str = ""
    release: str = ""
    document_ids: list[str] = []
    updated_at: datetime = EPOCH


class ReleaseName(NamedTuple):
    """A client and its version."""

    client: str
    version: str

    @property
    def id(self) -> str:
        """The release's id in MongoDB."""
        return f"{self.client}{_SEPARATOR}{self.version}"


class DocumentCopies:
    """`services.documents.store.DocumentRepository` in MongoDB."""

    async def find_registered(self, sha256: str) -> str | None:
        """Return the text that a client registered."""
        return await find_registered_document(sha256)

    async def save_registered(self, sha256: str, text: str) -> None:
        """Store a text that a client registered."""
        await store_registered_document(sha256, text)

    async def read_fingerprint(self) -> frozenset[tuple[str, float]]:
        """Read the ids of all releases with the time of their last change."""
        fields = frozenset({"id", "updated_at"})
        releases = await find(
            DocumentRelease, DocumentReleaseRecord, {}, fields=fields, limit=MAX_RELEASES
        )
        return frozenset((one.id, one.updated_at.timestamp()) for one in releases)

    async def read_pushed(self, known: Mapping[str, str]) -> list[TrustedDocument]:
        """Read all pushed documents; texts only of ids that are not known."""
        clients = _clients_by_id(await list_releases())
        fields = frozenset({"id"})
        rows = await find(
            PushedDocument, PushedDocumentRecord, {}, fields=fields, limit=2 * MAX_TRUSTED
        )
        ids = [row.id for row in rows if row.id in clients]
        texts = {id_: known[id_] for id_ in ids if id_ in known}
        missing = [id_ for id_ in ids if id_ not in known]
        for start in range(0, len(missing), _BATCH):
            batch = await pushed_documents(missing[start : start + _BATCH])
            texts |= {id_: row.text for id_, row in batch.items()}
        return [TrustedDocument(id_, text, frozenset(clients[id_])) for id_, text in texts.items()]

    async def find_pushed(self, document_id: str) -> TrustedDocument | None:
        """Return the pushed document of this id."""
        row = (await pushed_documents([document_id])).get(document_id)
        if row is None:
            return None
        clients = _clients_by_id(await list_releases()).get(document_id)
        return TrustedDocument(row.id, row.text, frozenset(clients)) if clients else None


def _clients_by_id(releases: Sequence[DocumentReleaseRecord]) -> dict[str, set[str]]:
    clients: dict[str, set[str]] = {}
    for release in releases:
        for document_id in release.document_ids:
            clients.setdefault(document_id, set()).add(release.client)
    return clients


async def pushed_documents(ids: Collection[str]) -> dict[str, PushedDocumentRecord]:
    """Find pushed documents by id."""
    return await find_by_id(PushedDocument, PushedDocumentRecord, ids)


async def list_pushed_documents() -> list[PushedDocumentRecord]:
    """List all pushed documents, by id."""
    limit = 2 * MAX_TRUSTED
    return await find(PushedDocument, PushedDocumentRecord, {}, sort=[("_id", 1)], limit=limit)


async def list_releases() -> list[DocumentReleaseRecord]:
    """List all releases, the newest first."""
    releases = await find(DocumentRelease, DocumentReleaseRecord, {}, limit=MAX_RELEASES)
    return sorted(releases, key=lambda one: one.updated_at, reverse=True)


async def insert_pushed_documents(texts: Mapping[str, str]) -> None:
    """Insert documents by id; those that are there stay as they are.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    now = utc_now()
    inserts = [InsertOne(_build_row(id_, text, now)) for id_, text in texts.items()]
    collection = PushedDocument.get_pymongo_collection()
    for start in range(0, len(inserts), _BATCH):
        with database_errors():
            try:
                await collection.bulk_write(inserts[start : start + _BATCH], ordered=False)
            except BulkWriteError as error:
                if set(collect_refused_writes(error).values()) - {_DUPLICATE_KEY}:
                    raise


def _build_row(document_id: str, text: str, now: datetime) -> dict[str, object]:
    values = {"text": text, "size": len(text.encode()), "used_at": None, "updated_at": now}
    row = build_row(PushedDocument, {**values, **build_initial_values(now), "version": 1})
    return {"_id": document_id, **row}


async def store_release(name: ReleaseName, document_ids: Sequence[str]) -> None:
    """Store the documents of a release, in place of those it had."""
    now = utc_now()
    change = build_update(
        DocumentRelease,
        {
            "client": name.client,
            "release": name.version,
            "document_ids": list(document_ids),
            "updated_at": now,
        },
        on_insert=build_initial_values(now),
        increments={"version": 1},
    )
    with database_errors():
        await DocumentRelease.get_pymongo_collection().update_one(
            {"_id": name.id}, change, upsert=True
        )


async def delete_releases(ids: Collection[str]) -> int:
    """Delete releases; their documents stay. Returns how many there were."""
    with database_errors():
        answer = await DocumentRelease.get_pymongo_collection().delete_many(
            {"_id": {"$in": list(ids)}}
        )
    return answer.deleted_count


async def delete_pushed_documents(ids: Collection[str], before: datetime) -> int:
    """Delete documents that were pushed before a time; returns how many.

    Releases are marked as changed, so that all processes see it.
    """
    now = utc_now()
    where = {"_id": {"$in": list(ids)}, "created_at": {"$lt": before}}
    with database_errors():
        answer = await PushedDocument.get_pymongo_collection().delete_many(where)
        if answer.deleted_count:
            await DocumentRelease.get_pymongo_collection().update_many(
                {}, build_revision(DocumentRelease, {}, now)
            )
    return answer.deleted_count


async def mark_pushed_used(ids: Collection[str], now: datetime, earlier: datetime) -> None:
    """Note that these were used, where that was not noted since `earlier`."""
    change = build_revision(PushedDocument, {"used_at": now}, now)
    where = {
        "_id": {"$in": list(ids)},
        "$or": [{"used_at": None}, {"used_at": {"$lt": earlier}}],
    }
    with database_errors():
        await PushedDocument.get_pymongo_collection().update_many(where, change)
