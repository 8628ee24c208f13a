"""Sign-ins as they are created, and the tokens they are given.

A sign-in belongs to the epoch in which the account's password was right; those beyond the most an
account has end. Tokens have the account's role, but for one whose second factor is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import models
from loaders import UserByIdUnscoped
from models import AuditEvent
from resolvers import audit
from resolvers.accounts.input import now
from resolvers.accounts.sign_out import MOST_SESSIONS, revoke_login_tokens
from resolvers.context import Context
from services.accounts.tokens import RefreshToken
from services.errors import InvalidCredentials

WRONG = "Wrong email address or password."


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a sign-in; those in a cookie are None here."""

    access_token: str | None
    expires_in_seconds: int
    refresh_token: str | None
    device_token: str | None = None  # only of a new sign-in


@dataclass(frozen=True, slots=True)
class SignInResult:
    tokens: Tokens
    viewer: models.UserRecord
    challenge: None = None


async def create_login(
    context: Context,
    user_id: str,
    session_epoch: int,
    device: models.Device | None,
    *,
    has_second_factor: bool = False,
) -> SignInResult:
    """Create a sign-in of the epoch in which the password was right."""
    issued_at = issue_time(context, user_id)
    token, at = RefreshToken.new(), now(context)
    login = models.Login(
        id=models.ids.new("login"),
        user_id=user_id,
        device=device,
        token_hash=token.hash,
        session_epoch=session_epoch,
        has_second_factor=has_second_factor,
        last_used_at=at,
        expires_at=refresh_deadline(context, at),
        created_at=at,
        updated_at=at,
    )
    await models.insert_login(login)
    user = await load_user(context, user_id)
    if user is None or user.session_epoch != session_epoch:
        await models.delete_logins(user_id, [login.id])
        raise InvalidCredentials(WRONG)  # deleted, or all sign-ins ended, a moment ago
    await _end_displaced(context, login)
    await audit.record(context, AuditEvent.SIGNED_IN, subject=user_id, session=login.id)
    device_token = context.runtime.accounts.device_tokens.issue(user.email)
    return issue_tokens(context, user, login, token, issued_at, device_token)


async def _end_displaced(context: Context, login: models.Login) -> None:
    """End sign-ins beyond the most an account has: those used longest ago."""
    ids = await models.displaced_login_ids(login, MOST_SESSIONS)
    if ids:
        await revoke_login_tokens(context, ids)
        await models.delete_logins(login.user_id, ids)


def issue_time(context: Context, user_id: str) -> float:
    """Time of issue; get it before reading the user, so that no token has outdated rights."""
    return context.runtime.accounts.revocations.issue_time(user_id, context.runtime.clock())


def issue_tokens(
    context: Context,
    user: models.UserRecord,
    login: models.Login | models.LoginRecord,
    refresh_token: RefreshToken,
    issued_at: float,
    device_token: str | None = None,
) -> SignInResult:
    issuer = context.runtime.accounts.access_tokens
    access_token = issuer.issue(
        user_id=user.id,
        role=_granted_role(context, user, login).value,
        tier=user.tier.value,
        login_id=login.id,
        now=issued_at,
    )
    seconds = issuer.lifetime_seconds
    if context.browser is not None:
        context.browser.keep(access_token, refresh_token.text, device_token)
        return SignInResult(Tokens(None, seconds, None), user)
    return SignInResult(Tokens(access_token, seconds, refresh_token.text, device_token), user)


def _granted_role(
    context: Context, user: models.UserRecord, login: models.Login | models.LoginRecord
) -> models.Role:
    """The account's role; USER for a privileged one whose second factor is due."""
    is_due = context.runtime.settings.second_factor_required and not login.has_second_factor
    is_privileged = user.role.rank >= models.Role.OPERATOR.rank
    return models.Role.USER if is_due and is_privileged else user.role


async def load_user(context: Context, user_id: str) -> models.UserRecord | None:
    # unscoped: signing in reads before there is a viewer, by an id that was just verified
    return await context.load(UserByIdUnscoped, user_id)  # type: ignore[no-any-return]


def refresh_deadline(context: Context, signed_in_at: datetime) -> datetime:
    """End of a sign-in that is used now: unused for too long, or too old."""
    settings = context.runtime.settings
    unused = now(context) + timedelta(seconds=settings.refresh_token_seconds)
    return min(unused, signed_in_at + timedelta(seconds=settings.sign_in_seconds))
