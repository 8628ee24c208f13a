"""The audit log: security events and privileged actions.

Each entry has actor, subject, time and network. Entries are added and read, never changed: nothing
here updates or deletes. MongoDB expires them; docs/operations.md has the database role that keeps
everybody else out.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pymongo import IndexModel

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find

Fact = str | int | float | bool | list[str] | None


class AuditEvent(Enum):
    """Audited events: security events of accounts first, then privileged actions."""

    REGISTERED = "REGISTERED"
    EMAIL_VERIFIED = "EMAIL_VERIFIED"
    SIGNED_IN = "SIGNED_IN"
    SIGN_IN_REFUSED = "SIGN_IN_REFUSED"
    SIGNED_OUT = "SIGNED_OUT"
    TOKEN_REUSED = "TOKEN_REUSED"  # noqa: S105 - an event, not a token
    PASSWORD_RESET_REQUESTED = "PASSWORD_RESET_ASKED"  # noqa: S105 - as it is stored
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105 - likewise
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - likewise
    PASSWORD_REFUSED = "PASSWORD_REFUSED"  # noqa: S105 - likewise
    EMAIL_CHANGED = "EMAIL_CHANGED"
    SECOND_FACTOR_ADDED = "SECOND_FACTOR_ADDED"
    SECOND_FACTOR_REMOVED = "SECOND_FACTOR_REMOVED"
    SECOND_FACTOR_REFUSED = "SECOND_FACTOR_REFUSED"
    API_KEY_CREATED = "API_KEY_CREATED"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"
    ACCOUNT_EXPORTED = "ACCOUNT_EXPORTED"
    ROLE_CHANGED = "ROLE_CHANGED"
    TIER_CHANGED = "TIER_CHANGED"

    MOVIE_SAVED = "MOVIE_SAVED"
    MOVIE_DELETED = "MOVIE_DELETED"
    CACHE_PURGED = "CACHE_PURGED"
    CACHE_WARMED = "CACHE_WARMED"
    IMPORT_STARTED = "IMPORT_STARTED"
    PROGRESS_FLUSHED = "PROGRESS_FLUSHED"
    BREAKER_SET = "BREAKER_SET"
    PROVIDER_SET = "PROVIDER_SET"
    ADDRESS_BLOCKED = "ADDRESS_BLOCKED"
    ADDRESS_LIFTED = "ADDRESS_LIFTED"
    DOCUMENTS_PUSHED = "DOCUMENTS_PUSHED"
    DOCUMENTS_PRUNED = "DOCUMENTS_PRUNED"


class AuditEntry(StoredDocument):
    """One event. `actor` is the id of who did it; None for the command line or the anonymous.

    `subject` is the id of what or whom it was done to. `address` is the client's network.
    """

    event: AuditEvent
    actor: str | None = None
    subject: str | None = None
    request_id: str = "-"
    address: str | None = None
    at: datetime
    facts: dict[str, Fact] = {}
    expires_at: datetime | None = None

    class Settings:
        name = "audit"
        indexes = [
            IndexModel([("at", -1)], name="newest"),
            IndexModel([("subject", 1), ("at", -1)], name="subject"),
            IndexModel([("actor", 1), ("at", -1)], name="actor"),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class AuditEntryRecord(IdentifiedRecord, frozen=True):
    event: AuditEvent = AuditEvent.SIGNED_IN
    actor: str | None = None
    subject: str | None = None
    request_id: str = "-"
    address: str | None = None
    at: datetime = EPOCH
    facts: dict[str, Fact] = {}


async def insert_audit_entry(entry: AuditEntry) -> None:
    """Insert an entry."""
    with database_errors():
        await entry.insert()


async def audit_entries(most: int, *, of: str | None = None) -> list[AuditEntryRecord]:
    """Newest entries first; with `of`, those with this actor or subject."""
    where = {"$or": [{"actor": of}, {"subject": of}]} if of is not None else {}
    return await find(
        AuditEntry, AuditEntryRecord, where, sort=[("at", -1), ("_id", -1)], limit=most
    )
