"""API keys: how programs sign in, with a part of a plain user's rights and the account's tier.

A key is shown once, stored as a hash, and ends. Each process reads a key and its account at most
once a second, and learns of a revocation within one (services/accounts/revocations.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import models
from models import AuditEvent
from resolvers import audit
from resolvers.accounts.input import is_person, now, require_person, validate_line
from resolvers.accounts.password_check import reauthenticate
from resolvers.context import Context, Runtime, Viewer
from resolvers.input_errors import InputErrors
from resolvers.paging import require_kind
from services.accounts.secret_codes import KEY_SCHEME, ApiKeyText
from services.accounts.tokens import reject_token
from services.errors import ValidationFailed

MOST_KEYS = 20
MAX_NAME_CHARACTERS = 80
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A new key; `secret` is returned only once."""

    api_key: models.ApiKeyRecord
    secret: str


@dataclass(frozen=True, slots=True)
class _UsableKey:
    """A key with the tier that its account has now."""

    key: models.ApiKeyRecord
    tier: models.AccountTier


def is_api_key(token: str) -> bool:
    """Whether the token has the form of an API key."""
    return token.startswith(KEY_SCHEME)


async def authenticate_key(runtime: Runtime, token: str) -> Viewer:
    """The viewer that a key authenticates.

    Raises:
        InvalidToken: unknown, expired or revoked; without saying which.
        UpstreamUnavailable: MongoDB is unavailable, and the key was not seen within a minute.
    """
    text = ApiKeyText.parse(token)
    if text is None:
        reject_token()
    hashed = text.hash
    usable = await runtime.accounts.api_key_cache.get(hashed, lambda: _read(runtime, hashed))
    if usable is None or _is_expired(usable.key, runtime):
        reject_token()
    viewer = _build_viewer(usable)
    if runtime.accounts.revocations.is_revoked(viewer):
        reject_token()
    return viewer


def _build_viewer(usable: _UsableKey) -> Viewer:
    key = usable.key
    return Viewer(
        key.user_id,
        models.Role.USER,
        usable.tier,
        key.id,
        issued_at=math.inf,  # what ends a user's tokens ends no key
        expires_at=key.expires_at.timestamp() if key.expires_at else math.inf,
        scopes=frozenset(key.scopes or models.ApiKeyScope),  # keys made before scopes have all
    )


async def _read(runtime: Runtime, hashed: str) -> _UsableKey | None:
    """A key that may be used; None for one that is unknown, expired, or ended with a reset."""
    key = await models.api_key_of(hashed)
    if key is None or _is_expired(key, runtime):
        return None
    user = (await models.users_by_id([key.user_id])).get(key.user_id)
    if user is None or user.key_epoch != key.key_epoch:
        return None
    at = datetime.fromtimestamp(runtime.clock(), UTC)
    if key.last_used_at is None or at - key.last_used_at >= _USE_NOTED_EVERY:
        await models.use_api_key(key.id, at, _USE_NOTED_EVERY)
    return _UsableKey(key, user.tier)


def _is_expired(key: models.ApiKeyRecord, runtime: Runtime) -> bool:
    return key.expires_at is not None and key.expires_at.timestamp() <= runtime.clock()


async def api_keys(context: Context) -> list[models.ApiKeyRecord]:
    """The viewer's own keys, newest first, expired ones too.

    Raises:
        Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    return await models.api_keys_of(require_person(context).user_id, MOST_KEYS)


async def api_keys_by_id(context: Context, ids: Sequence[str]) -> dict[str, models.ApiKeyRecord]:
    """Keys by id: the viewer's own; others are absent."""
    if context.viewer is None or not is_person(context.viewer):
        return {}
    return {key.id: key for key in await api_keys(context) if key.id in ids}


async def create_api_key(
    context: Context,
    name: str,
    password: str,
    *,
    scopes: Sequence[models.ApiKeyScope] | None = None,
    expires_at: datetime | None = None,
) -> NewApiKey:
    """Create a key for the viewer, who enters the password again.

    Args:
        scopes: the key's rights; None: READ alone.
        expires_at: the key's end; None: the latest there may be.

    Raises:
        ValidationFailed: an unfit name or end, no scope, or as many keys as there may be.
        InvalidCredentials: a wrong password.
        Unauthenticated, Forbidden, RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    viewer, at = require_person(context), now(context)
    wrong = InputErrors()
    with wrong.collect():
        line = validate_line(name, MAX_NAME_CHARACTERS, ["name"])
    with wrong.collect():
        chosen = _validate_scopes(scopes)
    with wrong.collect():
        end = _validate_end(context, expires_at)
    wrong.raise_any()
    credential = await reauthenticate(context, viewer, password, "password")
    text = ApiKeyText.new()
    key = _build_key(credential, text, line, chosen, at, end)
    if not await models.insert_api_key(key, MOST_KEYS):
        raise ValidationFailed(f"An account has at most {MOST_KEYS} keys: revoke one first.")
    facts = [scope.value for scope in chosen]
    created = AuditEvent.API_KEY_CREATED
    await audit.record(context, created, subject=key.id, prefix=text.prefix, scopes=facts)
    return NewApiKey(_build_record(key), text.text)


def _build_key(
    credential: models.CredentialRecord,
    text: ApiKeyText,
    name: str,
    scopes: list[models.ApiKeyScope],
    at: datetime,
    expires_at: datetime,
) -> models.ApiKey:
    return models.ApiKey(
        id=models.ids.new("apikey"),
        user_id=credential.id,
        name=name,
        prefix=text.prefix,
        secret_hash=text.hash,
        scopes=scopes,
        key_epoch=credential.key_epoch,
        expires_at=expires_at,
        created_at=at,
        updated_at=at,
    )


def _build_record(key: models.ApiKey) -> models.ApiKeyRecord:
    return models.ApiKeyRecord(
        id=key.id,
        user_id=key.user_id,
        name=key.name,
        prefix=key.prefix,
        scopes=key.scopes,
        key_epoch=key.key_epoch,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )


def _validate_scopes(scopes: Sequence[models.ApiKeyScope] | None) -> list[models.ApiKeyScope]:
    if scopes is None:
        return [models.ApiKeyScope.READ]
    if not scopes:
        raise ValidationFailed("A key needs a scope.", path=["scopes"])
    return [scope for scope in models.ApiKeyScope if scope in scopes]


def _validate_end(context: Context, expires_at: datetime | None) -> datetime:
    days = context.runtime.settings.api_key_days
    latest = now(context) + timedelta(days=days)
    if expires_at is None:
        return latest
    if not now(context) < expires_at <= latest:
        message = f"A key has to end in the future, within {days} days."
        raise ValidationFailed(message, path=["expiresAt"])
    return expires_at


async def revoke_api_key(context: Context, key_id: str) -> None:
    """Revoke a key in every process within a second; one that is not the viewer's is ignored.

    Raises:
        ValidationFailed: the id is malformed.
        Unauthenticated, Forbidden, UpstreamUnavailable: trying again does no harm.
    """
    viewer = require_person(context)
    require_kind(key_id)
    own = [key.id for key in await models.api_keys_of(viewer.user_id, MOST_KEYS)]
    if key_id in own:
        await context.runtime.accounts.revocations.revoke_key(key_id, at=context.runtime.clock())
        await models.delete_api_key(viewer.user_id, key_id)
        await audit.record(context, AuditEvent.API_KEY_REVOKED, subject=key_id)
