"""Mails about accounts: requested with one write, built and sent later by a worker.

Whether the address has an account is looked up only when the mail is built, so that neither the
response nor its time reveals it. A request survives a restart and expires within an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import models
from models import AuditEvent, MailPurpose
from resolvers import audit
from resolvers.accounts.input import build_user, now
from resolvers.accounts.password_check import build_attempt
from resolvers.context import Context, Runtime
from services.accounts import mail_texts
from services.accounts.mail import Mail
from services.accounts.secret_codes import generate_code, hash_code
from services.errors import MailFailed
from services.limits.throttles import Throttle
from services.telemetry import metrics
from services.telemetry.logs import get_logger

_LIFETIME = timedelta(hours=1)
_LEASE = timedelta(seconds=60)  # nobody else takes it while it is being sent
_MAX_ATTEMPTS = 5
_FIRST_DELAY = timedelta(seconds=60)  # doubled each time
_CODE_LIFETIMES = {
    MailPurpose.VERIFY_EMAIL: timedelta(hours=24),
    MailPurpose.RESET_PASSWORD: timedelta(minutes=30),
    MailPurpose.CHANGE_EMAIL: timedelta(hours=1),
}
_NOTICES: dict[MailPurpose, Callable[[str, str], Mail]] = {
    MailPurpose.PASSWORD_CHANGED: mail_texts.build_password_changed_mail,
    MailPurpose.PASSWORD_WAS_RESET: mail_texts.build_password_reset_notice,
    MailPurpose.EMAIL_CHANGED: mail_texts.build_email_changed_notice,
    MailPurpose.ACCOUNT_DELETED: mail_texts.build_account_deleted_mail,
}
log = get_logger("mail")


async def request_mail(
    context: Context,
    purpose: MailPurpose,
    email: str,
    registration: models.Registration | None = None,
    *,
    user_id: str | None = None,
) -> None:
    """Request a mail with one write, the same whatever the address is.

    Args:
        user_id: the account that is to get the address.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time; asking again does no harm.
    """
    requested_at = now(context)
    request = models.MailRequest(
        id=models.ids.new("mailrequest"),
        purpose=purpose,
        email=email,
        registration=registration,
        user_id=user_id,
        due_at=requested_at,
        expires_at=requested_at + _LIFETIME,
        created_at=requested_at,
        updated_at=requested_at,
    )
    await models.insert_mail_request(request)


async def count_mail(context: Context, address: str) -> None:
    """Count a mail to this folded address, asked for by this client.

    Raises:
        RateLimited: too many for this client, or for all together.
    """
    await context.runtime.accounts.throttles.check(
        Throttle.MAIL,
        account=address,
        address=context.client_address,
        device_id=build_attempt(context, address).device_id,
    )


async def send_next(runtime: Runtime) -> bool:
    """Send the mail that is longest due; False if none is, or if it must be sent again later.

    Raises:
        UpstreamUnavailable: MongoDB is unavailable.
    """
    at = _now(runtime)
    request = await models.take_mail_request(at, _LEASE)
    if request is None:
        return False
    try:
        mail = await _build_mail(runtime, request)
        if mail is not None:
            await runtime.accounts.mailer.send(mail)
            metrics.mails_total.labels("sent").inc()
    except MailFailed as error:
        if not error.is_final and request.attempts < _MAX_ATTEMPTS:
            metrics.mails_total.labels("delayed").inc()
            delay = _FIRST_DELAY * 2 ** (request.attempts - 1)
            await models.delay_mail_request(request.id, at + delay)
            return False
        metrics.mails_total.labels("dropped").inc()
        log.error("mail_dropped", purpose=request.purpose.value, reason=error.reason)
    await models.delete_mail_request(request.id)
    return True


async def _build_mail(runtime: Runtime, request: models.MailRequestRecord) -> Mail | None:
    """Build the mail; None if the address gets none."""
    web_url, email = runtime.settings.public_web_url, request.email
    notice = _NOTICES.get(request.purpose)
    if notice is not None:
        return notice(email, web_url)
    if request.registration is not None:
        await _ensure_account(runtime, email, request.registration)
    account = await models.credential_of(email)
    if request.purpose is MailPurpose.CHANGE_EMAIL:
        return await _build_change_mail(runtime, request, is_taken=account is not None)
    if account is None:
        return None
    if request.purpose is MailPurpose.RESET_PASSWORD:
        await audit.record(
            Context(runtime), AuditEvent.PASSWORD_RESET_REQUESTED, subject=account.id
        )
        code = await _issue_code(runtime, request.purpose, account)
        return mail_texts.build_password_reset_mail(email, code, web_url)
    if account.email_verified:
        is_registration = request.registration is not None
        return mail_texts.build_already_registered_mail(email, web_url) if is_registration else None
    code = await _issue_code(runtime, MailPurpose.VERIFY_EMAIL, account, request.registration)
    return mail_texts.build_verification_mail(email, code, web_url)


async def _build_change_mail(
    runtime: Runtime, request: models.MailRequestRecord, *, is_taken: bool
) -> Mail | None:
    """Build the mail to an address that an account is to get."""
    web_url, email = runtime.settings.public_web_url, request.email
    if is_taken:
        return mail_texts.build_already_registered_mail(email, web_url)
    account = await models.credential_by_id(request.user_id or "")
    if account is None:
        return None
    code = await _issue_code(runtime, request.purpose, account, email=email)
    return mail_texts.build_change_mail(email, code, web_url)


async def _ensure_account(
    runtime: Runtime, email: str, registration: models.RegistrationRecord
) -> None:
    """Create the requested account with an unverified address.

    If the address has an unverified account with another password, two people registered it:
    whoever proves the address gets it, and until then no password opens it.
    """
    at = _now(runtime)
    user = build_user(email, registration.display_name, registration.password_hash, at)
    if await models.insert_user(user):
        metrics.sign_ins_total.labels("registered").inc()
        await audit.record(Context(runtime), AuditEvent.REGISTERED, subject=user.id)
        return
    account = await models.credential_of(email)
    if account is None or account.email_verified:
        return
    if account.password_hash != registration.password_hash:
        await models.forget_password(account.id, account.password_hash, at)


async def _issue_code(
    runtime: Runtime,
    purpose: MailPurpose,
    account: models.CredentialRecord,
    registration: models.RegistrationRecord | None = None,
    email: str | None = None,
) -> str:
    code, at = generate_code(), _now(runtime)
    confirmed = registration and models.Registration(
        display_name=registration.display_name, password_hash=registration.password_hash
    )
    token = models.MailToken(
        id=models.ids.new("mailtoken"),
        token_hash=hash_code(purpose.value, code) or "",
        purpose=purpose,
        user_id=account.id,
        email=email or account.email,
        registration=confirmed,
        expires_at=at + _CODE_LIFETIMES[purpose],
        created_at=at,
        updated_at=at,
    )
    await models.insert_mail_token(token)
    return code


def _now(runtime: Runtime) -> datetime:
    return datetime.fromtimestamp(runtime.clock(), UTC)
