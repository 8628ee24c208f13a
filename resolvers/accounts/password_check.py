"""Checks of an account's password: at sign-in, and again before irreversible changes.

Every attempt is counted beforehand, by account and address; a successful one is refunded. An
address without an account costs a hash, too.
"""

from __future__ import annotations

import models
from models import AuditEvent
from resolvers import audit
from resolvers.context import Context, Viewer
from services.errors import InvalidCredentials, RateLimited
from services.limits.abuse_rules import Signal
from services.limits.throttles import Throttle


async def count_attempt(context: Context, account: str) -> None:
    """Count an attempt for this account, which need not exist, and this address.

    Raises:
        RateLimited: too many attempts for the account or from the address.
    """
    address = context.client_address
    try:
        await context.runtime.accounts.throttles.check(
            Throttle.LOGIN, account=account, address=address
        )
    except RateLimited:
        context.runtime.ops.abuse_watch.record_signal(address, Signal.RATE_LIMITED)
        raise


async def check_password(
    context: Context, credential: models.CredentialRecord | None, password: str, account: str
) -> bool:
    """Whether the account exists and this is its password; takes as long if not.

    Raises:
        ValidationFailed: the password exceeds 1 KB.
        RateLimited, OperationTimeout: too many passwords are being checked.
    """
    stored = credential.password_hash if credential else None
    if not await context.runtime.accounts.passwords.verify(stored, password):
        context.runtime.ops.abuse_watch.record_signal(context.client_address, Signal.FAILED_SIGN_IN)
        return False
    await context.runtime.accounts.throttles.refund(
        Throttle.LOGIN, account=account, address=context.client_address
    )
    return True


async def reauthenticate(
    context: Context, viewer: Viewer, password: str, field: str
) -> models.CredentialRecord:
    """The viewer's credential, if this is the password; counted as at sign-in.

    Raises:
        InvalidCredentials: a wrong password, or a deleted account; at `field` of the input.
        ValidationFailed, RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    credential = await models.credential_by_id(viewer.user_id)
    account = credential.email if credential else viewer.user_id
    await count_attempt(context, account)
    if not await check_password(context, credential, password, account) or credential is None:
        await audit.record(context, AuditEvent.PASSWORD_REFUSED, subject=viewer.user_id)
        raise InvalidCredentials("The password is wrong.", path=[field])
    return credential
