"""Changes that administrators make to others' accounts."""

from __future__ import annotations

from typing import Annotated

import strawberry

from graph.accounts.tiers import AccountTier
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation
from graph.base.scalars import EmailAddress
from models import Role
from resolvers.accounts import administration


@strawberry.input(description="An account and its new tier.")
class SetAccountTierInput:
    email: EmailAddress = strawberry.field(
        description="The account's e-mail address, case-insensitive."
    )
    tier: AccountTier = strawberry.field(description="The new tier.")


@payload("Result of setting a tier; `errors` says why it failed.")
class SetAccountTierPayload:
    tier: AccountTier | None = plain("The account's tier now; null on failure.")


async def _set_account_tier(
    info: Info,
    input: Annotated[
        SetAccountTierInput, strawberry.argument(description="The account and its new tier.")
    ],
) -> SetAccountTierPayload:
    call = administration.set_tier_as_admin(info.context, input.email, input.tier)
    return await build_payload(SetAccountTierPayload, call)


@extend(Mutation)
class AdministrationMutation:
    set_account_tier: SetAccountTierPayload | None = resolver(
        _set_account_tier,
        "Sets an account's tier: for its API keys within a second, for its sessions with their "
        "next refresh.",
        requires=Role.ADMIN,
    )
