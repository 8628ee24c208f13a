"""Signing out: the current session, another of one's own, or all; and the list of sessions.

Access tokens end with their session, in every process within a second
(services/accounts/revocations.py). Promise: what failed half-way is complete after another attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import models
from models import AuditEvent
from resolvers import audit
from resolvers.accounts.input import is_person, now, require_person
from resolvers.context import Context
from resolvers.paging import require_kind
from services.errors import ValidationFailed

MOST_SESSIONS = 100  # of an account; with more, those used longest ago end
_RETRIED_WITHIN = timedelta(minutes=15)
_REVOKED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """An active sign-in; `current` is that of the request."""

    id: str
    device: models.DeviceRecord | None
    created_at: datetime
    last_used_at: datetime
    current: bool


async def sessions(context: Context) -> list[Session]:
    """The viewer's sessions, last used first.

    Raises:
        Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    viewer = require_person(context)
    logins = await models.active_logins(viewer.user_id, now(context), MOST_SESSIONS)
    return [_session(login, viewer.login_id) for login in logins]


async def sessions_by_id(context: Context, ids: Sequence[str]) -> dict[str, Session]:
    """Sessions by id: the viewer's own active ones; others are absent."""
    if context.viewer is None or not is_person(context.viewer):
        return {}
    return {one.id: one for one in await sessions(context) if one.id in ids}


async def logout(
    context: Context, session_id: str | None = None, *, everywhere: bool = False
) -> int:
    """End the current session, the named one, or all; returns how many ended.

    A session that is not the viewer's, or has ended, counts as none.

    Raises:
        ValidationFailed: one and all at once, or a malformed id.
        Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    viewer = require_person(context)
    if everywhere and session_id is not None:
        raise ValidationFailed("Name one session, or everywhere, not both.", path=["sessionId"])
    if session_id is not None:
        require_kind(session_id, path=["sessionId"])
    only = None if everywhere else session_id or viewer.login_id
    ended = await end_sessions(context, viewer.user_id, only=only)
    if context.browser is not None and only in (None, viewer.login_id):
        context.browser.forget()
    facts = {"everywhere": everywhere, "ended": ended}
    await audit.record(context, AuditEvent.SIGNED_OUT, subject=viewer.user_id, **facts)
    return ended


async def end_sessions(
    context: Context, user_id: str, *, only: str | None = None, but: str | None = None
) -> int:
    """End a user's sessions and their access tokens: all, one, or all but one.

    The sessions first: all of them end with one update of the account, and no refresh token works
    from there on. Access tokens of all end by user and time of issue. Returns how many ended; what
    a failure left of their tokens ends with the next attempt within a quarter of an hour.
    """
    at, clock = now(context), context.runtime.clock
    revocations = context.runtime.accounts.revocations
    if only is None and but is None:
        await models.end_sessions(user_id, at)
        await revocations.revoke_user(user_id, at=clock())
    ids = await models.recent_login_ids(user_id, at, _RETRIED_WITHIN, only)
    if only is not None and context.viewer is not None and only == context.viewer.login_id:
        ids = [only]  # whose token this is, though a MongoDB that was restored lacks it
    ended = await models.revoke_logins(user_id, at, only=only, but=but)
    await revoke_login_tokens(context, [one for one in ids if one != but])
    return ended


async def revoke_login_tokens(context: Context, ids: Sequence[str]) -> None:
    """End the access tokens and media addresses of these sessions."""
    revocations = context.runtime.accounts.revocations
    for first in range(0, len(ids), _REVOKED_AT_ONCE):
        some = ids[first : first + _REVOKED_AT_ONCE]
        await revocations.revoke_logins(some, at=context.runtime.clock())


async def close_account(context: Context, user_id: str) -> None:
    """End all access to an account: its sessions and its API keys."""
    await end_sessions(context, user_id)
    for key in await models.api_keys_of(user_id, 0):
        await context.runtime.accounts.revocations.revoke_key(key.id, at=context.runtime.clock())
    await models.delete_api_keys(user_id)


def _session(login: models.LoginRecord, current_id: str) -> Session:
    return Session(
        login.id, login.device, login.created_at, login.last_used_at, login.id == current_id
    )
