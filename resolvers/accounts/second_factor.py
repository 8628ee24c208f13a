"""Second factors of one's own account: added with a password and a code, removed with both.

A code works once, attempts are counted, and ten recovery codes stand in for a lost authenticator.
"""

from __future__ import annotations

from dataclasses import dataclass

import models
from models import AuditEvent
from resolvers import audit
from resolvers.accounts.input import now, require_person
from resolvers.accounts.password_check import reauthenticate
from resolvers.accounts.sign_out import end_sessions
from resolvers.context import Context
from services.accounts.second_factors import generate_recovery_codes, hash_recovery_code
from services.errors import Conflict, InvalidCredentials, NotFound, ValidationFailed
from services.limits.throttles import Throttle

_WRONG = "The code is wrong, or was used before: wait for the next one."


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What an authenticator needs; returned only once."""

    secret: str
    uri: str


async def enroll(context: Context, password: str) -> Enrollment:
    """Make a secret that `confirm` puts in force; an earlier one not yet confirmed is void.

    Raises:
        InvalidCredentials: a wrong password.
        Conflict: the account has a second factor.
        Unauthenticated, Forbidden, RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    viewer = require_person(context)
    credential = await reauthenticate(context, viewer, password, "password")
    factors = context.runtime.accounts.second_factors
    secret = factors.generate_secret()
    encrypted = factors.encrypt(secret)
    if not await models.start_second_factor(viewer.user_id, encrypted, now(context)):
        raise Conflict("The account has a second factor: remove it first.")
    return Enrollment(secret, factors.build_uri(secret, credential.email))


async def confirm(context: Context, code: str) -> list[str]:
    """Put the secret in force, by a code made with it; returns new recovery codes.

    Raises:
        InvalidCredentials: a wrong code.
        ValidationFailed: there is nothing to confirm.
        Unauthenticated, Forbidden, RateLimited, UpstreamUnavailable.
    """
    viewer = require_person(context)
    credential = await models.credential_by_id(viewer.user_id)
    factor = credential.second_factor if credential else None
    if credential is None or factor is None or credential.second_factor_at is not None:
        raise ValidationFailed("There is no second factor to confirm: begin with enrolling one.")
    await _count_attempt(context, viewer.user_id)
    step = context.runtime.accounts.second_factors.find_step(
        factor.secret, code, context.runtime.clock()
    )
    if step is None:
        raise InvalidCredentials(_WRONG, path=["code"])
    await _refund_attempt(context, viewer.user_id)
    codes = generate_recovery_codes()
    hashes = [hash_recovery_code(one) or "" for one in codes]
    if not await models.confirm_second_factor(
        viewer.user_id, factor.secret, step, hashes, now(context)
    ):
        raise Conflict("The second factor was changed elsewhere.")
    await models.mark_login(viewer.login_id)
    await audit.record(context, AuditEvent.SECOND_FACTOR_ADDED, subject=viewer.user_id)
    return codes


async def remove(context: Context, password: str, code: str) -> None:
    """Remove the second factor, with the password and a code of it.

    Raises:
        InvalidCredentials: a wrong password or code.
        Unauthenticated, Forbidden, RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    viewer = require_person(context)
    credential = await reauthenticate(context, viewer, password, "password")
    await check_code(context, credential, code)
    await models.remove_second_factor(viewer.user_id, now(context))
    await audit.record(context, AuditEvent.SECOND_FACTOR_REMOVED, subject=viewer.user_id)


async def remove_as_operator(context: Context, user_id: str) -> None:
    """Remove the second factor of somebody who lost it, and end all sign-ins; audited.

    Raises:
        NotFound: the account has none.
        UpstreamUnavailable.
    """
    if not await models.remove_second_factor(user_id, now(context)):
        raise NotFound("The account has no second factor.")
    removed = AuditEvent.SECOND_FACTOR_REMOVED
    await audit.record(context, removed, subject=user_id, by="command line")
    await end_sessions(context, user_id)


async def check_code(context: Context, credential: models.CredentialRecord, code: str) -> None:
    """Use a code of the authenticator, or a recovery code; each works once.

    Raises:
        InvalidCredentials: wrong, or used before; at `code` of the input.
        RateLimited: too many attempts.
        UpstreamUnavailable.
    """
    await _count_attempt(context, credential.id)
    if await _use_code(context, credential, code):
        await _refund_attempt(context, credential.id)
        return
    await audit.record(context, AuditEvent.SECOND_FACTOR_REFUSED, subject=credential.id)
    raise InvalidCredentials(_WRONG, path=["code"])


async def _use_code(context: Context, credential: models.CredentialRecord, code: str) -> bool:
    factor = credential.second_factor
    if factor is None or credential.second_factor_at is None:
        return False
    at, recovery_hash = now(context), hash_recovery_code(code)
    if recovery_hash is not None:
        if recovery_hash not in factor.recovery_hashes:
            return False
        return await models.use_recovery_code(credential.id, factor, recovery_hash, at)
    step = context.runtime.accounts.second_factors.find_step(
        factor.secret, code, context.runtime.clock()
    )
    return step is not None and await models.use_step(credential.id, step, at)


async def _count_attempt(context: Context, user_id: str) -> None:
    await context.runtime.accounts.throttles.check(
        Throttle.SECOND_FACTOR, account=user_id, address=context.client_address
    )


async def _refund_attempt(context: Context, user_id: str) -> None:
    await context.runtime.accounts.throttles.refund(
        Throttle.SECOND_FACTOR, account=user_id, address=context.client_address
    )
