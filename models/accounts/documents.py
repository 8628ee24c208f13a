"""Accounts as stored: people who sign in, and the refresh-token family of each sign-in."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pydantic import BaseModel
from pymongo import IndexModel

from models.mongo.base import EPOCH, IdentifiedRecord, Record, StoredDocument
from services.quality import Quality


class Role(Enum):
    """Roles in rising order of rights; each includes the rights of those before it."""

    ANONYMOUS = "ANONYMOUS"
    USER = "USER"
    EDITOR = "EDITOR"
    OPERATOR = "OPERATOR"
    ADMIN = "ADMIN"

    def __init__(self, _name: str) -> None:
        self.rank = len(type(self).__members__)  # in the order of rights, 0 for the least


class AccountTier(Enum):
    """Tiers of rights; `text` is the value, an attribute read faster than the enum's."""

    def __init__(self, text: str) -> None:
        self.text = text

    FREE = "FREE"
    PREMIUM = "PREMIUM"
    API = "API"


class DeviceKind(Enum):
    WEB = "WEB"
    MOBILE = "MOBILE"
    TV = "TV"
    OTHER = "OTHER"


class Device(BaseModel):
    key: str
    name: str | None = None
    kind: DeviceKind = DeviceKind.WEB


class Preferences(BaseModel):
    """Viewer preferences; languages are BCP 47 tags, the preferred one first."""

    language: str = "en"
    audio_languages: list[str] = []
    subtitle_languages: list[str] = []
    max_quality: Quality | None = None
    autoplay_next: bool = True


class SecondFactor(BaseModel):
    """A second factor; `secret` is encrypted, `last_step` the time step of the last code used."""

    secret: str
    last_step: int = 0
    recovery_hashes: list[str] = []


class User(StoredDocument):
    """An account. `email` is folded to lower case, `password_hash` is encoded argon2id.

    `deleted_at` marks an account whose data are being erased; `erase_at` is when the next erasure
    pass is due. `session_epoch` grows when all sign-ins end: those of an earlier one are over;
    `key_epoch` likewise for API keys. `second_factor` is in force from `second_factor_at` on.
    """

    id_kind = "user"
    email: str
    email_verified: bool = False
    password_hash: str
    display_name: str
    role: Role = Role.USER
    tier: AccountTier = AccountTier.FREE
    preferences: Preferences = Preferences()
    session_epoch: int = 0
    key_epoch: int = 0
    second_factor: SecondFactor | None = None
    second_factor_at: datetime | None = None
    deleted_at: datetime | None = None
    erase_at: datetime | None = None

    class Settings:
        name = "users"
        indexes = [
            IndexModel([("email", 1)], name="email", unique=True),
            IndexModel(
                [("erase_at", 1)],
                name="to_erase",
                partialFilterExpression={"erase_at": {"$type": "date"}},
            ),
        ]


class Login(StoredDocument):
    """One sign-in on one device: a family of rotating refresh tokens, stored as hashes only.

    `token_hash` is the current token's SHA-256; `used_hashes` are the last ones it replaced, newest
    last: one of them coming back means theft or a lost response. `sealed_successor` is the current
    token, readable only with the one before it; `rotated_by` is the user agent that requested it.
    `session_epoch` is the account's when the password was checked.
    """

    id_kind = "login"
    user_id: str
    device: Device | None = None
    token_hash: str
    used_hashes: list[str] = []
    sealed_successor: str | None = None
    rotated_by: str | None = None
    session_epoch: int = 0
    has_second_factor: bool = False
    last_used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    class Settings:
        name = "logins"
        indexes = [
            IndexModel([("token_hash", 1)], name="token_hash", unique=True),
            IndexModel([("used_hashes", 1)], name="used_hashes"),
            IndexModel([("user_id", 1)], name="user"),
            IndexModel(
                [("user_id", 1), ("last_used_at", -1)],
                name="active",
                partialFilterExpression={"revoked_at": None},
            ),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class DeviceRecord(Record, frozen=True):
    key: str = ""
    name: str | None = None
    kind: DeviceKind = DeviceKind.WEB


class PreferencesRecord(Record, frozen=True):
    language: str = "en"
    audio_languages: list[str] = []
    subtitle_languages: list[str] = []
    max_quality: Quality | None = None
    autoplay_next: bool = True


class UserRecord(IdentifiedRecord, frozen=True):
    """An account without its password hash: what is not read cannot leak."""

    email: str = ""
    email_verified: bool = False
    display_name: str = ""
    role: Role = Role.USER
    tier: AccountTier = AccountTier.FREE
    preferences: PreferencesRecord = PreferencesRecord()
    session_epoch: int = 0
    key_epoch: int = 0
    second_factor_at: datetime | None = None
    created_at: datetime = EPOCH


class SecondFactorRecord(Record, frozen=True):
    secret: str = ""
    last_step: int = 0
    recovery_hashes: list[str] = []


class CredentialRecord(IdentifiedRecord, frozen=True):
    """Fields that only signing in reads."""

    email: str = ""
    email_verified: bool = False
    display_name: str = ""
    password_hash: str = ""
    session_epoch: int = 0
    key_epoch: int = 0
    second_factor: SecondFactorRecord | None = None
    second_factor_at: datetime | None = None


class LoginRecord(IdentifiedRecord, frozen=True):
    """A sign-in as token rotation needs it; never returned to clients."""

    user_id: str = ""
    device: DeviceRecord | None = None
    created_at: datetime = EPOCH
    token_hash: str = ""
    used_hashes: list[str] = []
    sealed_successor: str | None = None
    rotated_by: str | None = None
    session_epoch: int = 0
    has_second_factor: bool = False
    last_used_at: datetime = EPOCH
    expires_at: datetime = EPOCH
    revoked_at: datetime | None = None
