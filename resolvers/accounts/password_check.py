"""Checks of an account's password: at sign-in, and again before irreversible changes.

Every attempt is counted beforehand, by account and address; a successful one is refunded. A device
that signed in to the account before is counted by itself, so that strangers do not keep its owner
out. An address without an account costs a hash, too.
"""

from __future__ import annotations

from typing import NamedTuple

import models
from models import AuditEvent
from resolvers import audit
from resolvers.context import Context, Viewer
from services.errors import InvalidCredentials, RateLimited
from services.limits.abuse_rules import Signal
from services.limits.throttles import Throttle


class Attempt(NamedTuple):
    """An attempt at an account, which need not exist; `device_id` is one that it has known."""

    account: str
    device_id: str | None = None


def build_attempt(context: Context, address: str, device_token: str | None = None) -> Attempt:
    """The attempt at a folded address, from the device that a token or a cookie proves."""
    token = device_token or (context.browser.device_token if context.browser else None)
    return Attempt(address, context.runtime.accounts.device_tokens.verify(token, address))


async def count_attempt(context: Context, attempt: Attempt) -> None:
    """Count an attempt for its account and this client's address.

    Raises:
        RateLimited: too many attempts for the account or from the address.
    """
    try:
        await context.runtime.accounts.throttles.check(
            Throttle.LOGIN,
            account=attempt.account,
            address=context.client_address,
            device_id=attempt.device_id,
        )
    except RateLimited:
        _report(context, Signal.RATE_LIMITED)
        raise


async def check_password(
    context: Context, credential: models.CredentialRecord | None, password: str, attempt: Attempt
) -> bool:
    """Whether the account exists and this is its password; takes as long if not.

    Raises:
        ValidationFailed: the password exceeds 1 KB.
        RateLimited, OperationTimeout: too many passwords are being checked.
    """
    stored = credential.password_hash if credential else None
    if not await context.runtime.accounts.passwords.verify(stored, password):
        _report(context, Signal.FAILED_SIGN_IN)
        return False
    await context.runtime.accounts.throttles.refund(
        Throttle.LOGIN,
        account=attempt.account,
        address=context.client_address,
        device_id=attempt.device_id,
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
    attempt = Attempt(account, viewer.login_id)
    await count_attempt(context, attempt)
    if not await check_password(context, credential, password, attempt) or credential is None:
        await audit.record(context, AuditEvent.PASSWORD_REFUSED, subject=viewer.user_id)
        raise InvalidCredentials("The password is wrong.", path=[field])
    return credential


def _report(context: Context, signal: Signal) -> None:
    for listen in context.runtime.accounts.signal_listeners:
        listen(context.client_address, signal, account=context.viewer_id)
