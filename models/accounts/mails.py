"""Mails to be sent, and the codes in them. MongoDB expires both by itself.

A request names only an address and a purpose: whether the address has an account is looked up when
the mail is built, so that a request takes the same time either way. A code is stored as a hash and
works once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pymongo import IndexModel, ReturnDocument

from models.mongo.base import EPOCH, IdentifiedRecord, Record, StoredDocument
from models.mongo.reading import database_errors, decode_or_log, find, projection
from models.mongo.updates import build_update


class MailPurpose(Enum):
    """Reasons for a mail. REGISTER carries a new account; those in the past tense are notices."""

    REGISTER = "REGISTER"
    VERIFY_EMAIL = "VERIFY_EMAIL"
    RESET_PASSWORD = "RESET_PASSWORD"  # noqa: S105 - a purpose, not a password
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - likewise
    CHANGE_EMAIL = "CHANGE_EMAIL"
    EMAIL_CHANGED = "EMAIL_CHANGED"
    PASSWORD_WAS_RESET = "PASSWORD_WAS_RESET"  # noqa: S105 - likewise
    ACCOUNT_DELETED = "ACCOUNT_DELETED"


class Registration(BaseModel):
    """A requested account; `password_hash` is encoded argon2id."""

    display_name: str
    password_hash: str


class RegistrationRecord(Record, frozen=True):
    display_name: str = ""
    password_hash: str = ""


class MailRequest(StoredDocument):
    """A mail to send. Claiming it moves `due_at` on, so no other worker claims it.

    `user_id` is the account that is to get the address, if one is.
    """

    purpose: MailPurpose
    email: str
    registration: Registration | None = None
    user_id: str | None = None
    due_at: datetime
    attempts: int = 0
    expires_at: datetime

    class Settings:
        name = "mail_requests"
        indexes = [
            IndexModel([("due_at", 1)], name="due"),
            IndexModel([("user_id", 1)], name="user", sparse=True),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class MailRequestRecord(IdentifiedRecord, frozen=True):
    purpose: MailPurpose = MailPurpose.VERIFY_EMAIL
    email: str = ""
    registration: RegistrationRecord | None = None
    user_id: str | None = None
    due_at: datetime = EPOCH
    attempts: int = 0
    expires_at: datetime = EPOCH


class MailToken(StoredDocument):
    """A mailed code: for one purpose, one account, and the address it was sent to.

    `registration` is the one that the code confirms, if it came with one.
    """

    token_hash: str
    purpose: MailPurpose
    user_id: str
    email: str
    registration: Registration | None = None
    expires_at: datetime

    class Settings:
        name = "mail_tokens"
        indexes = [
            IndexModel([("token_hash", 1)], name="token_hash", unique=True),
            IndexModel([("user_id", 1), ("purpose", 1)], name="user"),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class MailTokenRecord(IdentifiedRecord, frozen=True):
    purpose: MailPurpose = MailPurpose.VERIFY_EMAIL
    user_id: str = ""
    email: str = ""
    registration: RegistrationRecord | None = None
    expires_at: datetime = EPOCH


async def insert_mail_request(request: MailRequest) -> None:
    """Insert a mail request."""
    with database_errors():
        await request.insert()


async def take_mail_request(now: datetime, pause: timedelta) -> MailRequestRecord | None:
    """Claim the request that is longest due for `pause`, and count the attempt.

    One that has another form waits for `pause` as well, and is left out.
    """
    while (row := await _claim_mail_request(now, pause)) is not None:
        request = decode_or_log(row, MailRequestRecord)
        if request is not None:
            return request
    return None


async def _claim_mail_request(now: datetime, pause: timedelta) -> dict[str, Any] | None:
    with database_errors():
        return await MailRequest.get_pymongo_collection().find_one_and_update(
            {"due_at": {"$lte": now}, "expires_at": {"$gt": now}},
            build_update(
                MailRequest, {"due_at": now + pause}, increments={"attempts": 1, "version": 1}
            ),
            projection(MailRequestRecord, None),
            sort=[("due_at", 1)],
            return_document=ReturnDocument.AFTER,
        )


async def delay_mail_request(request_id: str, due_at: datetime) -> None:
    """Set when the request is due again."""
    with database_errors():
        await MailRequest.get_pymongo_collection().update_one(
            {"_id": request_id},
            build_update(MailRequest, {"due_at": due_at}, increments={"version": 1}),
        )


async def delete_mail_request(request_id: str) -> None:
    """Delete a mail request."""
    with database_errors():
        await MailRequest.get_pymongo_collection().delete_one({"_id": request_id})


async def insert_mail_token(token: MailToken) -> None:
    """Insert a mailed code."""
    with database_errors():
        await token.insert()


async def mail_token_of(
    token_hash: str, purpose: MailPurpose, now: datetime
) -> MailTokenRecord | None:
    """The unexpired code with this hash and purpose, or None."""
    where = {"token_hash": token_hash, "purpose": purpose.value, "expires_at": {"$gt": now}}
    records = await find(MailToken, MailTokenRecord, where, limit=1)
    return records[0] if records else None


async def use_mail_token(token_id: str) -> bool:
    """Delete the code; of any number of concurrent uses exactly one returns True."""
    with database_errors():
        answer = await MailToken.get_pymongo_collection().delete_one({"_id": token_id})
    return answer.deleted_count == 1


async def delete_mail_tokens(user_id: str, purpose: MailPurpose | None = None) -> None:
    """Delete the codes of an account: all, or those of one purpose."""
    where = {"user_id": user_id} | ({"purpose": purpose.value} if purpose else {})
    with database_errors():
        await MailToken.get_pymongo_collection().delete_many(where)
