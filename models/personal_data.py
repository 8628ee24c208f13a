"""The list of collections with personal data: exports read it, erasure works through it.

Every document with a user id is here; data that outlives the account names its reason. Redis data
is listed in services/playback/personal_keys.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from models.accounts.api_keys import ApiKey
from models.accounts.documents import Login, User
from models.accounts.mails import MailRequest, MailToken
from models.accounts.revocations import RevokedAccess
from models.mongo.base import StoredDocument
from models.mongo.reading import database_errors
from models.mongo.updates import build_update
from models.ops.audit import AuditEntry
from models.ops.jobs import Job
from models.playback.documents import ViewingProgress
from models.playback.progress_repairs import ProgressRepair
from models.playback.viewings import StoredSession, Viewing
from models.playback.watchlist import WatchlistEntry

_BATCH = 2000
_AUDITED = "the audit log is only added to; it names ids and networks, and forgets by itself"


@dataclass(frozen=True, slots=True)
class PersonalData:
    """One collection. `owner` is the field with the user id; `secrets` are not exported.

    With `retention_reason` the document outlives the account; `disowned`, without the owner's id.
    """

    document: type[StoredDocument]
    owner: str = "user_id"
    secrets: Sequence[str] = ()
    retention_reason: str | None = None
    disowned: bool = False

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self.document.get_collection_name()


# The account itself comes last: what is interrupted is begun again from it.
PERSONAL_DATA: Sequence[PersonalData] = (
    PersonalData(Login, secrets=("token_hash", "used_hashes", "sealed_successor")),
    PersonalData(ApiKey, secrets=("secret_hash",)),
    PersonalData(MailRequest, secrets=("registration",)),
    PersonalData(MailToken, secrets=("token_hash", "registration")),
    PersonalData(ViewingProgress),
    PersonalData(ProgressRepair),
    PersonalData(Viewing),
    PersonalData(StoredSession),
    PersonalData(WatchlistEntry),
    PersonalData(
        Job,
        owner="created_by",
        retention_reason="how an import went is the operators' business",
        disowned=True,
    ),
    PersonalData(
        RevokedAccess,
        owner="subject",
        retention_reason="tokens of the account stay refused while they live, minutes",
    ),
    PersonalData(AuditEntry, owner="actor", retention_reason=_AUDITED),
    PersonalData(AuditEntry, owner="subject", retention_reason=_AUDITED),
    PersonalData(User, owner="_id", secrets=("password_hash", "second_factor")),
)


async def read_personal_data(user_id: str, of: PersonalData, most: int) -> list[dict[str, Any]]:
    """Read at most `most` documents as stored, without secrets, in order of id."""
    leave_out = dict.fromkeys(of.secrets, 0)
    cursor = of.document.get_pymongo_collection().find({of.owner: user_id}, leave_out)
    with database_errors():
        return await cursor.sort("_id", 1).limit(most).to_list(None)


async def erase_personal_data(user_id: str) -> int:
    """Erase everything but the account itself; returns the number of documents deleted.

    In small batches, so that none takes long. Repeating it is harmless.
    """
    erased = 0
    for each in PERSONAL_DATA:
        if each.disowned:
            await _disown(user_id, each)
        elif each.retention_reason is None and each.document is not User:
            erased += await _erase(user_id, each)
    return erased


async def _disown(user_id: str, of: PersonalData) -> None:
    with database_errors():
        await of.document.get_pymongo_collection().update_many(
            {of.owner: user_id}, build_update(of.document, {of.owner: None})
        )


async def _erase(user_id: str, of: PersonalData) -> int:
    collection, erased = of.document.get_pymongo_collection(), 0
    while True:
        with database_errors():
            rows = (
                await collection.find({of.owner: user_id}, {"_id": 1}).limit(_BATCH).to_list(None)
            )
            if not rows:
                return erased
            answer = await collection.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        erased += answer.deleted_count


class DeletedUser(NamedTuple):
    id: str
    deleted_at: datetime


async def take_deleted_user(now: datetime, pause: timedelta) -> DeletedUser | None:
    """Claim the deleted account that is longest due for erasure, for `pause`."""
    with database_errors():
        row = await User.get_pymongo_collection().find_one_and_update(
            {"erase_at": {"$lte": now}},
            build_update(User, {"erase_at": now + pause}),
            {"deleted_at": 1},
            sort=[("erase_at", 1)],
        )
    return DeletedUser(row["_id"], row["deleted_at"]) if row else None


async def delay_erasure(user_id: str, until: datetime) -> None:
    """Set when the next erasure pass of a deleted account is due."""
    with database_errors():
        await User.get_pymongo_collection().update_one(
            {"_id": user_id, "deleted_at": {"$type": "date"}},
            build_update(User, {"erase_at": until}),
        )


async def drop_deleted_user(user_id: str) -> bool:
    """Delete a deleted account for good; False if there is none."""
    with database_errors():
        answer = await User.get_pymongo_collection().delete_one(
            {"_id": user_id, "deleted_at": {"$type": "date"}}
        )
    return answer.deleted_count == 1


async def personal_playables(user_id: str) -> tuple[list[str], list[str]]:
    """Ids of the user's titles with progress, and of playback sessions: parts of Redis keys."""
    progress = ViewingProgress.get_pymongo_collection()
    sessions = StoredSession.get_pymongo_collection()
    with database_errors():
        titles = await progress.distinct("playable_id", {"user_id": user_id})
        ids = await sessions.distinct("_id", {"user_id": user_id})
    return titles, ids
