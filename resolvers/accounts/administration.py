"""Administrators' look at accounts, and their change of an account's tier; both are audited."""

from __future__ import annotations

import models
from models import AuditEvent
from resolvers import audit
from resolvers.accounts.input import fold_email, now
from resolvers.context import Context
from services.errors import NotFound

MOST_LISTED = 1_000
_NO_ACCOUNT = "There is no account of this address."


async def set_tier_as_admin(
    context: Context, email: str, tier: models.AccountTier
) -> models.AccountTier:
    """Set an account's tier, which is returned; see `set_tier`.

    Raises:
        Unauthenticated, Forbidden: the viewer is no ADMIN.
    """
    context.require(models.Role.ADMIN)
    return (await set_tier(context, email, tier)).tier


async def set_tier(context: Context, email: str, tier: models.AccountTier) -> models.UserRecord:
    """Set the tier of the account with this address.

    API keys have it within a second, sign-ins with their next refresh.

    Raises:
        NotFound: there is no such account.
        ValidationFailed: this is no address.
        UpstreamUnavailable: a store is unavailable; repeating it continues.
    """
    account = await models.credential_of(fold_email(context, email))
    user = await models.set_tier(account.id, tier, now(context)) if account else None
    if user is None:
        raise NotFound(_NO_ACCOUNT, path=["email"])
    facts = {} if context.viewer is not None else {"by": "command line"}
    await audit.record(
        context, AuditEvent.TIER_CHANGED, subject=user.id, tier=user.tier.value, **facts
    )
    return user


async def list_accounts(
    role: models.Role | None = None, tier: models.AccountTier | None = None, most: int = 100
) -> list[models.UserRecord]:
    """Accounts of a role or tier, newest first.

    Raises:
        UpstreamUnavailable.
    """
    return await models.list_users(role, tier, min(most, MOST_LISTED))


async def find_account(context: Context, text: str) -> models.UserRecord:
    """The account with this address or id.

    Raises:
        NotFound: there is none.
        ValidationFailed: this is neither an id nor an address.
        UpstreamUnavailable.
    """
    if models.ids.kind_of(text) == "user":
        user_id = text
    else:
        account = await models.credential_of(fold_email(context, text))
        user_id = account.id if account else ""
    user = (await models.users_by_id([user_id])).get(user_id)
    if user is None:
        raise NotFound("There is no such account.")
    return user
