"""Registering, signing in, and refreshing tokens.

Talks to MongoDB (accounts and logins) and to the password threads. An unknown address and a wrong
password get one response at one cost; a refresh token used before revokes its whole login.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import models
from models import AuditEvent, MailPurpose
from resolvers import audit
from resolvers.accounts.input import (
    MAX_DISPLAY_NAME_CHARACTERS,
    build_user,
    fold_email,
    now,
    validate_device,
    validate_line,
)
from resolvers.accounts.logins import (
    WRONG,
    SignInResult,
    create_login,
    issue_time,
    issue_tokens,
    load_user,
    refresh_deadline,
)
from resolvers.accounts.mail_requests import count_mail, request_mail
from resolvers.accounts.password_check import build_attempt, check_password, count_attempt
from resolvers.accounts.second_factor import check_code
from resolvers.context import Context
from resolvers.input_errors import InputErrors
from services.accounts.second_factors import CHALLENGE_SECONDS, Challenge
from services.accounts.tokens import RefreshToken, reject_token
from services.errors import (
    AlreadyExists,
    EmailNotVerified,
    InvalidCredentials,
    InvalidToken,
    TokenReused,
)
from services.limits.throttles import Throttle
from services.telemetry import metrics

_REPLAY_SECONDS = 10  # a lost answer, or three tabs refreshing at once, is no theft
_MAX_USER_AGENT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class SignInChallenge:
    """What `answer_challenge` takes: the password was right, a second factor is needed."""

    token: str
    expires_in_seconds: int


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """A sign-in that needs a second factor."""

    challenge: SignInChallenge
    tokens: None = None
    viewer: None = None


async def viewer(context: Context) -> models.UserRecord | None:
    """The signed-in viewer's account; None for the anonymous and for deleted accounts."""
    if context.viewer is None:
        return None
    return await load_user(context, context.viewer.user_id)


async def own_account(context: Context, ids: Sequence[str]) -> dict[str, models.UserRecord]:
    """Users by id: the viewer's own, if it is among them; others are absent."""
    if context.viewer is None or context.viewer.user_id not in ids:
        return {}
    user = await load_user(context, context.viewer.user_id)
    return {user.id: user} if user is not None else {}


async def register(
    context: Context,
    *,
    email: str,
    password: str,
    display_name: str,
    device: models.Device | None = None,
) -> SignInResult | None:
    """Create an account and sign it in.

    Returns:
        None where addresses must be verified first: a mail has the next step. Whether the address
        has an account already is revealed to nobody else, not even by the time this takes.

    Raises:
        ValidationFailed: address, password or name is not acceptable.
        AlreadyExists: the address has an account.
        RateLimited: too many registrations, or passwords being hashed.
    """
    passwords, wrong = context.runtime.accounts.passwords, InputErrors()
    with wrong.collect():
        address, checked = _validate_client(context, email, device)
    with wrong.collect():
        name = validate_line(display_name, MAX_DISPLAY_NAME_CHARACTERS, ["displayName"])
    with wrong.collect():
        await passwords.refuse_weak(password, ["password"], [email, display_name])
    wrong.raise_any()
    await _count_registration(context, address)
    await context.runtime.accounts.breached_passwords.refuse_breached(password, ["password"])
    password_hash = await passwords.hash(password)
    if context.runtime.settings.needs_verified_email:
        registration = models.Registration(display_name=name, password_hash=password_hash)
        await request_mail(context, MailPurpose.REGISTER, address, registration)
        return None
    user = build_user(address, name, password_hash, now(context))
    if not await models.insert_user(user):
        raise AlreadyExists("This email address has an account already.", path=["email"])
    await _note_registration(context, user)
    return await create_login(context, user.id, user.session_epoch, checked)


async def _note_registration(context: Context, user: models.User) -> None:
    metrics.sign_ins_total.labels("registered").inc()
    await audit.record(context, AuditEvent.REGISTERED, subject=user.id)
    await request_mail(context, MailPurpose.VERIFY_EMAIL, user.email)


def _validate_client(
    context: Context, email: str, device: models.Device | None
) -> tuple[str, models.Device | None]:
    """Validate an address, which is returned folded, and a device."""
    wrong = InputErrors()
    with wrong.collect():
        address = fold_email(context, email)
    with wrong.collect():
        checked = validate_device(device)
    wrong.raise_any()
    return address, checked


async def _count_registration(context: Context, address: str) -> None:
    throttles, client = context.runtime.accounts.throttles, context.client_address
    await throttles.check(Throttle.REGISTER, address=client)
    if context.runtime.settings.needs_verified_email:
        await count_mail(context, address)


async def login(
    context: Context,
    *,
    email: str,
    password: str,
    device: models.Device | None = None,
    device_token: str | None = None,
) -> SignInResult | PendingSignIn:
    """Sign in with address and password; where the account has a second factor, begin to.

    Args:
        device_token: from an earlier sign-in on this device, which is then counted by itself.

    Raises:
        ValidationFailed: an invalid address, or the password exceeds 1 KB.
        InvalidCredentials: unknown address or wrong password, without saying which.
        EmailNotVerified: correct, but the address must be verified first.
        RateLimited: too many attempts, or passwords being checked.
    """
    address, checked = _validate_client(context, email, device)
    attempt = build_attempt(context, address, device_token)
    await count_attempt(context, attempt)
    credential = await models.credential_of(address)
    if not await check_password(context, credential, password, attempt) or credential is None:
        metrics.sign_ins_total.labels("refused").inc()
        account_id = credential.id if credential else None
        await audit.record(context, AuditEvent.SIGN_IN_REFUSED, subject=account_id)
        raise InvalidCredentials(WRONG)
    if context.runtime.settings.needs_verified_email and not credential.email_verified:
        await audit.record(context, AuditEvent.SIGN_IN_REFUSED, subject=credential.id, proved=False)
        raise EmailNotVerified("Prove your address first: open the link we mailed you.")
    await _renew_hash(context, credential, password)
    if credential.second_factor_at is not None:
        return _challenge(context, credential)
    metrics.sign_ins_total.labels("signed_in").inc()
    return await create_login(context, credential.id, credential.session_epoch, checked)


def _challenge(context: Context, credential: models.CredentialRecord) -> PendingSignIn:
    token = context.runtime.accounts.second_factors.issue_challenge(
        Challenge(credential.id, credential.session_epoch), context.runtime.clock()
    )
    return PendingSignIn(SignInChallenge(token, CHALLENGE_SECONDS))


async def answer_challenge(
    context: Context, token: str, code: str, device: models.Device | None = None
) -> SignInResult:
    """Complete a sign-in with a code of the second factor, or a recovery code.

    Raises:
        InvalidToken: the challenge is not ours, too old, or of an account that changed since.
        InvalidCredentials: a wrong code; the challenge may be answered again.
        ValidationFailed, RateLimited, UpstreamUnavailable.
    """
    checked = validate_device(device)
    factors = context.runtime.accounts.second_factors
    challenge = factors.verify_challenge(token, context.runtime.clock())
    account = await models.credential_by_id(challenge.user_id) if challenge else None
    if challenge is None or account is None or account.session_epoch != challenge.session_epoch:
        raise InvalidToken("This sign-in took too long: begin again.", path=["token"])
    await check_code(context, account, code)
    metrics.sign_ins_total.labels("signed_in").inc()
    return await create_login(
        context, account.id, account.session_epoch, checked, has_second_factor=True
    )


async def refresh_tokens(context: Context, refresh_token: str | None) -> SignInResult:
    """Exchange a refresh token, or that of the browser's cookie, for new tokens.

    The token just used gets the same successor again, within ten seconds and from the same user
    agent.

    Raises:
        InvalidToken: unknown, expired or revoked.
        TokenReused: used before; its login is revoked by this.
    """
    if refresh_token or context.browser is None:
        return await _refresh(context, refresh_token or "")
    try:
        return await _refresh(context, context.browser.refresh_token or "")
    except (InvalidToken, TokenReused):
        context.browser.forget()  # its scripts cannot
        raise


async def _refresh(context: Context, refresh_token: str) -> SignInResult:
    presented = RefreshToken.parse(refresh_token)
    record = _require_active(context, await models.login_of(presented.hash))
    issued_at = issue_time(context, record.user_id)
    user = await load_user(
        context, record.user_id
    )  # first: a read that fails must not cost the token
    if user is None or user.session_epoch != record.session_epoch:
        reject_token()
    successor = await _issue_successor(context, record, presented)
    return issue_tokens(context, user, record, successor, issued_at)


async def _issue_successor(
    context: Context, record: models.LoginRecord, presented: RefreshToken
) -> RefreshToken:
    if record.token_hash == presented.hash:
        token = RefreshToken.new()
        if await models.rotate_login(record.id, _build_rotation(context, record, presented, token)):
            metrics.sign_ins_total.labels("refreshed").inc()
            return token
        record = _require_active(
            context, await models.login_of(presented.hash)
        )  # another was faster
    if _is_replay(context, record, presented) and record.sealed_successor:
        metrics.sign_ins_total.labels("replayed").inc()
        return presented.unseal(record.sealed_successor)
    metrics.sign_ins_total.labels("reused").inc()
    await context.runtime.accounts.revocations.revoke_login(record.id, at=context.runtime.clock())
    await models.revoke_logins(record.user_id, now(context), only=record.id)
    await audit.record(context, AuditEvent.TOKEN_REUSED, subject=record.user_id, session=record.id)
    raise TokenReused("This refresh token was used before: sign in again.")


def _build_rotation(
    context: Context, login: models.LoginRecord, used: RefreshToken, successor: RefreshToken
) -> models.Rotation:
    return models.Rotation(
        used_hash=used.hash,
        successor_hash=successor.hash,
        sealed_successor=used.seal(successor),
        user_agent=_user_agent(context),
        now=now(context),
        expires_at=refresh_deadline(context, login.created_at),
    )


def _is_replay(context: Context, login: models.LoginRecord, presented: RefreshToken) -> bool:
    return (
        login.used_hashes[-1:] == [presented.hash]
        and now(context) - login.last_used_at <= timedelta(seconds=_REPLAY_SECONDS)
        and login.rotated_by == _user_agent(context)
    )


def _require_active(context: Context, login: models.LoginRecord | None) -> models.LoginRecord:
    if login is None or login.revoked_at is not None or login.expires_at <= now(context):
        reject_token()
    return login


async def _renew_hash(context: Context, credential: models.CredentialRecord, password: str) -> None:
    """Rehash with current parameters; only now is the password at hand."""
    passwords = context.runtime.accounts.passwords
    if passwords.is_outdated(credential.password_hash):
        renewed = await passwords.hash(password)
        await models.replace_password_hash(
            credential.id, credential.password_hash, renewed, now(context)
        )


def _user_agent(context: Context) -> str | None:
    return context.user_agent[:_MAX_USER_AGENT_CHARACTERS] if context.user_agent else None
