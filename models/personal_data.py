"""Where a person's data are, in one list: exported from it, erased by it.

Every document with the id of a user is here; what is kept after the account has gone names its
reason. Redis has what services/playback/personal_keys.py says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from beanie import Document

from models.accounts.api_keys import ApiKey
from models.accounts.documents import Login, User
from models.accounts.mails import MailToken
from models.accounts.revocations import RevokedAccess
from models.mongo.reading import database_errors
from models.ops.audit import AuditEntry
from models.ops.jobs import Job
from models.playback.documents import ViewingProgress
from models.playback.progress_repairs import ProgressRepair
from models.playback.viewings import StoredSession, Viewing
from models.playback.watchlist import WatchlistEntry

_BATCH = 2000
_AUDITED = "the audit log is only added to; it names ids and networks, and forgets by itself"
_AUDITED = "who did what is asked after it is done; entries go when AUDIT_DAYS are over"


@dataclass(frozen=True, slots=True)
class PersonalData:
    """`owner` is the field with the user's id. `secrets` are left out of exports.

    `kept_because`: the document outlives the account, `disowned` without the owner's id."""

    document: type[Document]
    owner: str = "user_id"
    secrets: Sequence[str] = ()
    kept_because: str | None = None
    disowned: bool = False

    @property
    def name(self) -> str:
        return self.document.get_collection_name()


# The account itself comes last: what is interrupted is begun again from it.
PERSONAL_DATA: Sequence[PersonalData] = (
    PersonalData(Login, secrets=("token_hash", "used_hashes", "sealed_successor")),
    PersonalData(ApiKey, secrets=("secret_hash",)),
    PersonalData(MailToken, secrets=("token_hash", "registration")),
    PersonalData(ViewingProgress),
    PersonalData(ProgressRepair),
    PersonalData(Viewing),
    PersonalData(StoredSession),
    PersonalData(WatchlistEntry),
    PersonalData(
        Job,
        owner="created_by",
        kept_because="how an import went is the operators' business",
        disowned=True,
    ),
    PersonalData(
        RevokedAccess,
        owner="subject",
        kept_because="tokens of the account stay refused while they live, minutes",
    ),
    PersonalData(AuditEntry, owner="actor", kept_because=_AUDITED),
    PersonalData(AuditEntry, owner="subject", kept_because=_AUDITED),
    PersonalData(AuditEntry, owner="actor", kept_because=_AUDITED),
    PersonalData(AuditEntry, owner="subject", kept_because=_AUDITED),
    PersonalData(User, owner="_id", secrets=("password_hash",)),
)


async def read_personal_data(user_id: str, of: PersonalData, most: int) -> list[dict[str, Any]]:
    """At most so many documents as stored, without secrets, in order of their ids."""
    leave_out = dict.fromkeys(of.secrets, 0)
    cursor = of.document.get_pymongo_collection().find({of.owner: user_id}, leave_out)
    with database_errors():
        return await cursor.sort("_id", 1).limit(most).to_list(None)


async def erase_personal_data(user_id: str) -> int:
    """Everything but the account itself; returns how many documents are gone.

    In small batches, so that none takes long. Doing it again does no harm.
    """
    erased = 0
    for each in PERSONAL_DATA:
        if each.disowned:
            await _disown(user_id, each)
        elif each.kept_because is None and each.document is not User:
            erased += await _erase(user_id, each)
    return erased


async def _disown(user_id: str, of: PersonalData) -> None:
    with database_errors():
        await of.document.get_pymongo_collection().update_many(
            {of.owner: user_id}, {"$set": {of.owner: None}}
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
    """The deleted account longest due to be erased, nobody else's for `pause`."""
    with database_errors():
        row = await User.get_pymongo_collection().find_one_and_update(
            {"erase_at": {"$lte": now}},
            {"$set": {"erase_at": now + pause}},
            {"deleted_at": 1},
            sort=[("erase_at", 1)],
        )
    return DeletedUser(row["_id"], row["deleted_at"]) if row else None


async def delay_erasure(user_id: str, until: datetime) -> None:
    with database_errors():
        await User.get_pymongo_collection().update_one(
            {"_id": user_id, "deleted_at": {"$type": "date"}}, {"$set": {"erase_at": until}}
        )


async def drop_deleted_user(user_id: str) -> bool:
    with database_errors():
        answer = await User.get_pymongo_collection().delete_one(
            {"_id": user_id, "deleted_at": {"$type": "date"}}
        )
    return answer.deleted_count == 1


async def personal_playables(user_id: str) -> tuple[list[str], list[str]]:
    """Ids of the titles the user has progress of, and of playback sessions: names of Redis keys."""
    progress = ViewingProgress.get_pymongo_collection()
    sessions = StoredSession.get_pymongo_collection()
    with database_errors():
        titles = await progress.distinct("playable_id", {"user_id": user_id})
        ids = await sessions.distinct("_id", {"user_id": user_id})
    return titles, ids
