"""Change of one's e-mail address: asked for with the password, proved by a mail to the new one.

The mail's code works only for who is signed in to the account: a stranger who opens it gives
nobody an address. Sign-ins stay; the old address gets a notice.
"""

from __future__ import annotations

import models
from models import AuditEvent, MailPurpose
from resolvers import audit
from resolvers.accounts.input import fold_email, now, require_person
from resolvers.accounts.mail_requests import count_mail, request_mail
from resolvers.accounts.mail_tokens import invalid_code, require_mail_token
from resolvers.accounts.password_check import reauthenticate
from resolvers.context import Context
from services.errors import AlreadyExists, ValidationFailed


async def request_email_change(context: Context, new_email: str, password: str) -> None:
    """Request a mail with a code to the new address; the same if that has an account.

    Raises:
        ValidationFailed: no address, or the account's own.
        InvalidCredentials: a wrong password.
        Unauthenticated, Forbidden, RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    viewer = require_person(context)
    address = fold_email(context, new_email, ["newEmail"])
    credential = await reauthenticate(context, viewer, password, "password")
    if address == credential.email:
        raise ValidationFailed("This is the account's address already.", path=["newEmail"])
    await count_mail(context, address)
    await request_mail(context, MailPurpose.CHANGE_EMAIL, address, user_id=viewer.user_id)


async def confirm_email_change(context: Context, code: str) -> models.UserRecord:
    """Give the viewer's account the address that the code was mailed to.

    Raises:
        InvalidToken: unknown, used, too old, or another account's.
        AlreadyExists: the address has got an account since.
        Unauthenticated, Forbidden, RateLimited, UpstreamUnavailable.
    """
    viewer = require_person(context)
    token = await require_mail_token(context, MailPurpose.CHANGE_EMAIL, code)
    before = await models.credential_by_id(viewer.user_id)
    if before is None or token.user_id != viewer.user_id:
        raise invalid_code()
    user = await models.change_email(before.id, before.email, token.email, now(context))
    if user is None:
        raise AlreadyExists("This email address has an account already.")
    await models.delete_mail_tokens(user.id)  # codes to the old address, too
    await audit.record(context, AuditEvent.EMAIL_CHANGED, subject=user.id)
    await request_mail(context, MailPurpose.EMAIL_CHANGED, before.email)
    return user
