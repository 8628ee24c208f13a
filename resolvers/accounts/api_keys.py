"""API keys: how programs sign in, with a plain user's rights and machines' limits.

A key is shown once and stored as a hash. Each process reads a key at most once a second, and learns
of its revocation within one (services/accounts/revocations.py).
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
from resolvers.context import Context, Runtime, Viewer
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
    key = await runtime.accounts.api_key_cache.get(hashed, lambda: _read(runtime, hashed))
    if key is None or _is_expired(key, runtime):
        reject_token()
    viewer = Viewer(
        key.user_id,
        models.Role.USER,
        models.AccountTier.API,
        key.id,
        issued_at=math.inf,  # what ends a user's tokens ends no key
        expires_at=key.expires_at.timestamp() if key.expires_at else math.inf,
    )
    if runtime.accounts.revocations.is_revoked(viewer):
        reject_token()
    return viewer


async def _read(runtime: Runtime, hashed: str) -> models.ApiKeyRecord | None:
    key = await models.api_key_of(hashed)
    if key is not None and not _is_expired(key, runtime):
        at = datetime.fromtimestamp(runtime.clock(), UTC)
        if key.last_used_at is None or at - key.last_used_at >= _USE_NOTED_EVERY:
            await models.use_api_key(key.id, at, _USE_NOTED_EVERY)
    return key


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
    context: Context, name: str, expires_at: datetime | None = None
) -> NewApiKey:
    """Create a key for the viewer.

    Raises:
        ValidationFailed: an unfit name, an end in the past, or as many keys as there may be.
        Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    viewer, at = require_person(context), now(context)
    line = validate_line(name, MAX_NAME_CHARACTERS, ["name"])
    if expires_at is not None and expires_at <= at:
        raise ValidationFailed("A key has to end in the future.", path=["expiresAt"])
    text = ApiKeyText.new()
    key = models.ApiKey(
        id=models.ids.new("apikey"),
        user_id=viewer.user_id,
        name=line,
        prefix=text.prefix,
        secret_hash=text.hash,
        expires_at=expires_at,
        created_at=at,
        updated_at=at,
    )
    if not await models.insert_api_key(key, MOST_KEYS):
        raise ValidationFailed(f"An account has at most {MOST_KEYS} keys: revoke one first.")
    await audit.record(context, AuditEvent.API_KEY_CREATED, subject=key.id, prefix=text.prefix)
    record = models.ApiKeyRecord(
        id=key.id,
        user_id=key.user_id,
        name=line,
        prefix=text.prefix,
        created_at=at,
        expires_at=expires_at,
    )
    return NewApiKey(record, text.text)


async def revoke_api_key(context: Context, key_id: str) -> None:
    """Revoke a key in every process within a second; one that is not the viewer's is ignored.

    Raises:
        Unauthenticated, Forbidden, UpstreamUnavailable: trying again does no harm.
    """
    viewer = require_person(context)
    own = [key.id for key in await models.api_keys_of(viewer.user_id, MOST_KEYS)]
    if key_id in own:
        await context.runtime.accounts.revocations.revoke_key(key_id, at=context.runtime.clock())
        await models.delete_api_key(viewer.user_id, key_id)
        await audit.record(context, AuditEvent.API_KEY_REVOKED, subject=key_id)
