"""Revoked access in MongoDB, stored for as long as a revoked token could be valid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pymongo import IndexModel, UpdateOne

from models.mongo.base import IdentifiedRecord, StoredDocument, utc_now
from models.mongo.reading import database_errors, find
from models.mongo.updates import build_initial_values, build_update
from services.accounts.revocations import Revocation, RevocationKind

_KINDS = {kind.value: kind for kind in RevocationKind}


class RevokedAccess(StoredDocument):
    """A revocation. `at` is in seconds since 1970: MongoDB's times are too coarse.

    Other processes poll by `created_at`.
    """

    kind: str
    subject: str
    at: float
    expires_at: datetime

    class Settings:
        name = "revocations"
        indexes = [
            IndexModel([("created_at", 1)], name="created"),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class RevokedAccessRecord(IdentifiedRecord, frozen=True):
    kind: str = ""
    subject: str = ""
    at: float = 0.0


class RevocationStore:
    """`services.accounts.revocations.RevocationRepository` in MongoDB."""

    async def save(self, revocations: Sequence[Revocation], lifetime_seconds: float) -> None:
        """Store revocations in one command; of one subject the latest wins.

        Raises:
            UpstreamUnavailable: MongoDB did not answer in time or refused.
        """
        now = utc_now()
        writes = [_upsert(one, now, lifetime_seconds) for one in revocations]
        with database_errors():
            await RevokedAccess.get_pymongo_collection().bulk_write(writes, ordered=False)

    async def list_since(self, moment: float, most: int) -> list[Revocation]:
        """List revocations written since `moment` (seconds since 1970), newest first.

        Raises:
            UpstreamUnavailable: MongoDB did not answer in time or refused.
        """
        where = {"created_at": {"$gte": datetime.fromtimestamp(moment, UTC)}}
        records = await find(
            RevokedAccess, RevokedAccessRecord, where, sort=[("created_at", -1)], limit=most
        )
        readable = [one for one in records if one.kind in _KINDS]
        return [Revocation(_KINDS[one.kind], one.subject, one.at) for one in readable]


def _upsert(one: Revocation, now: datetime, lifetime_seconds: float) -> UpdateOne:
    expires_at = now + timedelta(seconds=lifetime_seconds)
    return UpdateOne(
        {"_id": f"{one.kind.value}:{one.subject}"},
        build_update(
            RevokedAccess,
            {
                "kind": one.kind.value,
                "subject": one.subject,
                "updated_at": now,
                **build_initial_values(now),
            },
            maxima={"at": one.at, "expires_at": expires_at},
            increments={"version": 1},
        ),
        upsert=True,
    )
