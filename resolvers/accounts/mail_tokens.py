"""Mailed codes: they verify an address or set a new password; and requests for such mails.

A code is for one purpose and one address, works once and expires. A request gets the same response
whether there is an account or not.
"""

from __future__ import annotations

import models
from models import AuditEvent, MailPurpose
from resolvers import audit
from resolvers.accounts.input import fold_email, now
from resolvers.accounts.mail_requests import count_mail, request_mail
from resolvers.accounts.password_check import build_attempt, check_password, count_attempt
from resolvers.accounts.sign_out import close_account
from resolvers.context import Context
from services.accounts.secret_codes import hash_code
from services.errors import InvalidCredentials, InvalidToken
from services.limits.throttles import Throttle


async def resend_verification(context: Context, email: str) -> None:
    """Request a verification mail, sent if the address has an unverified account.

    Raises:
        ValidationFailed, RateLimited, UpstreamUnavailable.
    """
    await _request(context, MailPurpose.VERIFY_EMAIL, email)


async def request_password_reset(context: Context, email: str) -> None:
    """Request a password reset mail, sent if the address has an account.

    Raises:
        ValidationFailed, RateLimited, UpstreamUnavailable.
    """
    await _request(context, MailPurpose.RESET_PASSWORD, email)


async def verify_email(
    context: Context, code: str, password: str | None = None
) -> models.UserRecord | None:
    """Verify the address a code was sent to; returns the account if it is the viewer's.

    The code proves the address alone. Whoever also knows the password of the registration that the
    mail is about completes that; where addresses have to be proved, an account proved by somebody
    who does not, and is not signed in as it, has no password until it is reset.

    Raises:
        InvalidToken: unknown, used, too old, or of an address the account has no more.
        InvalidCredentials: not the password of this registration; the code may be used again.
        RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    token = await require_mail_token(context, MailPurpose.VERIFY_EMAIL, code)
    registration = None
    if password is not None:
        registration = await _check_registration(context, token, password)
    drops_password = password is None and _is_unknown(context, token)
    # The account first: a failure in between leaves a code that does the same again.
    user = await models.verify_email(
        token.user_id, token.email, now(context), registration, drops_password=drops_password
    )
    is_used = await models.use_mail_token(token.id)
    if user is None or not is_used:
        raise invalid_code()
    await models.delete_mail_tokens(user.id, MailPurpose.VERIFY_EMAIL)
    if registration is not None or drops_password:
        await close_account(context, user.id)  # earlier sign-ins had verified nothing
    await audit.record(context, AuditEvent.EMAIL_VERIFIED, subject=user.id)
    return user if user.id == context.viewer_id else None


async def _check_registration(
    context: Context, token: models.MailTokenRecord, password: str
) -> models.RegistrationRecord | None:
    """The registration of the mail, if it has one, whose password this is, or the account's."""
    if token.registration is not None:
        hashed = token.registration.password_hash
        account: models.CredentialRecord | None = models.CredentialRecord(
            id=token.user_id, password_hash=hashed
        )
    else:
        account = await models.credential_by_id(token.user_id)
    attempt = build_attempt(context, token.email)
    await count_attempt(context, attempt)
    if not await check_password(context, account, password, attempt):
        message = "This is not the password of the registration that this mail is about."
        raise InvalidCredentials(message, path=["password"])
    return token.registration


def _is_unknown(context: Context, token: models.MailTokenRecord) -> bool:
    """Whether whoever has the code need not be whoever chose the account's password."""
    needs_proof = context.runtime.settings.needs_verified_email
    return needs_proof and context.viewer_id != token.user_id


async def reset_password(context: Context, code: str, new_password: str) -> None:
    """Set a new password and end all sign-ins; the owner of the address may sign in at once.

    Raises:
        InvalidToken: unknown, used, too old, or of an address the account has no more.
        ValidationFailed: the new password is not acceptable; the code may be used again.
        RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    token = await require_mail_token(context, MailPurpose.RESET_PASSWORD, code)
    await context.runtime.accounts.passwords.refuse_weak(
        new_password, ["newPassword"], [token.email]
    )
    await context.runtime.accounts.breached_passwords.refuse_breached(new_password, ["newPassword"])
    hashed = await context.runtime.accounts.passwords.hash(new_password, ["newPassword"])
    if not await models.use_mail_token(token.id):
        raise invalid_code()
    if not await models.reset_password(token.user_id, token.email, hashed, now(context)):
        raise invalid_code()
    await models.delete_mail_tokens(token.user_id)
    await close_account(context, token.user_id)  # its API keys, too: another may have made them
    await audit.record(context, AuditEvent.PASSWORD_RESET, subject=token.user_id)
    await request_mail(context, MailPurpose.PASSWORD_WAS_RESET, token.email)


async def _request(context: Context, purpose: MailPurpose, email: str) -> None:
    address = fold_email(context, email)
    await count_mail(context, address)
    await request_mail(context, purpose, address)


async def require_mail_token(
    context: Context, purpose: MailPurpose, code: str
) -> models.MailTokenRecord:
    """The code's record, for one purpose; each attempt is counted.

    Raises:
        InvalidToken, RateLimited, UpstreamUnavailable.
    """
    await context.runtime.accounts.throttles.check(Throttle.RESET, address=context.client_address)
    hashed = hash_code(purpose.value, code)
    token = await models.mail_token_of(hashed, purpose, now(context)) if hashed else None
    if token is None:
        raise invalid_code()
    return token


def invalid_code() -> InvalidToken:
    """The one error of every bad code."""
    return InvalidToken("This code is not valid any more: ask for another mail.", path=["token"])
