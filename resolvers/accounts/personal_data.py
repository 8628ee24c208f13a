"""Operators' actions on one account: export its data, delete it, change its role.

Which data is personal is defined in models/personal_data.py alone. Each action is in the audit log,
even if its response is never read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import models
from models import AuditEvent, MailPurpose
from resolvers import audit
from resolvers.accounts.input import fold_email, now
from resolvers.accounts.mail_requests import request_mail
from resolvers.accounts.sign_out import close_account, end_sessions
from resolvers.context import Context
from services.errors import Conflict, NotFound, ValidationFailed

FORMAT = "marquee-personal-data-1"
MOST_DOCUMENTS = 100_000  # of one kind
BY_OPERATOR = "command line"


async def export(context: Context, email: str) -> dict[str, Any]:
    """Export everything stored about a person, without hashes of passwords and tokens.

    `cut_short` names collections that have more documents than are exported.

    Raises:
        NotFound: there is no such account.
        UpstreamUnavailable: a store is unavailable; there is no partial export.
    """
    user_id = (await _account(context, email)).id
    collections: dict[str, dict[str, dict[str, Any]]] = {}
    for each in models.PERSONAL_DATA:
        documents = await models.read_personal_data(user_id, each, MOST_DOCUMENTS + 1)
        collections.setdefault(each.name, {}).update({row["_id"]: row for row in documents})
    unflushed_progress = await context.progress_buffer.list_unflushed(user_id)
    await audit.record(context, AuditEvent.ACCOUNT_EXPORTED, subject=user_id, by=BY_OPERATOR)
    return {
        "format": FORMAT,
        "made_at": datetime.fromtimestamp(context.runtime.clock(), UTC),
        "account": user_id,
        "cut_short": sorted(name for name, rows in collections.items() if _is_cut(rows)),
        "collections": {
            name: list(rows.values())[:MOST_DOCUMENTS] for name, rows in collections.items()
        },
        "progress_not_yet_stored": [
            {
                "playable_id": one.playable_id,
                "position_seconds": one.state.position_seconds,
                "duration_seconds": one.state.known_duration_seconds,
                "completed": bool(one.state.completed),
                "watch_count": one.state.watch_count,
            }
            for one in unflushed_progress
        ],
    }


def _is_cut(rows: dict[str, Any]) -> bool:
    return len(rows) > MOST_DOCUMENTS


async def delete(context: Context, email: str) -> str:
    """Delete an account without its password; returns its id.

    Its data is erased later, while workers run (resolvers/accounts/erasure.py).

    Raises:
        NotFound: there is no such account.
        Conflict: the account was changed in this moment.
        UpstreamUnavailable: a store is unavailable; repeating it continues.
    """
    account = await _account(context, email)
    if not await models.mark_deleted(account.id, account.password_hash, now(context)):
        raise Conflict("The account was changed in this moment: try again.")
    await audit.record(context, AuditEvent.ACCOUNT_DELETED, subject=account.id, by=BY_OPERATOR)
    await close_account(context, account.id)
    await request_mail(context, MailPurpose.ACCOUNT_DELETED, account.email)
    return account.id


async def change_role(context: Context, email: str, role: models.Role) -> str:
    """Change the role and end sign-ins, whose tokens have the old role; returns the id.

    Raises:
        NotFound: there is no such account.
        ValidationFailed: ANONYMOUS is nobody's role.
        UpstreamUnavailable: a store is unavailable; repeating it continues.
    """
    if role is models.Role.ANONYMOUS:
        raise ValidationFailed("ANONYMOUS is the role of nobody: delete the account instead.")
    account = await _account(context, email)
    if await models.set_role(account.id, role, now(context)) is None:
        raise NotFound("There is no account of this address.")
    facts = {"role": role.value, "by": BY_OPERATOR}
    await audit.record(context, AuditEvent.ROLE_CHANGED, subject=account.id, **facts)
    await end_sessions(context, account.id)
    return account.id


async def _account(context: Context, email: str) -> models.CredentialRecord:
    """The credential of the account with this address.

    Raises:
        NotFound: there is no such account, or it is deleted.
        ValidationFailed: this is no address.
    """
    account = await models.credential_of(fold_email(context, email))
    if account is None:
        raise NotFound("There is no account of this address.")
    return account
