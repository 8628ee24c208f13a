"""Only administrators set tiers, and each change is audited."""

from __future__ import annotations

import pytest

import models
from models import AccountTier, AuditEvent, Role
from resolvers.context import Runtime
from tests.support.api_client import GraphQL, token_for

SET = """mutation ($input: SetAccountTierInput!) { setAccountTier(input: $input) {
tier errors { code path } } }"""
EMAIL = "ada@example.org"


@pytest.fixture
async def ada(runtime: Runtime) -> str:
    user = models.User(id="user_ada", email=EMAIL, password_hash="-", display_name="Ada")
    assert await models.insert_user(user)
    return user.id


@pytest.mark.parametrize("tier", AccountTier)
async def test_an_administrator_sets_the_tier(
    graphql: GraphQL, runtime: Runtime, ada: str, tier: AccountTier
) -> None:
    token = token_for(runtime, Role.ADMIN)
    variables = {"input": {"email": " Ada@Example.org", "tier": tier.value}}
    _, body = await graphql(SET, variables, token=token)
    assert body["data"] == {"setAccountTier": {"tier": tier.value, "errors": []}}
    (user,) = await models.list_users(None, tier, 10)
    assert user.id == ada
    (entry,) = await models.audit_entries(10)
    assert (entry.event, entry.subject, entry.facts) == (
        AuditEvent.TIER_CHANGED,
        ada,
        {"tier": tier.value},
    )
    assert entry.actor is not None


@pytest.mark.parametrize("role", [None, Role.USER, Role.EDITOR, Role.OPERATOR])
async def test_nobody_else_does(
    graphql: GraphQL, runtime: Runtime, ada: str, role: Role | None
) -> None:
    token = token_for(runtime, role) if role else None
    _, body = await graphql(SET, {"input": {"email": EMAIL, "tier": "API"}}, token=token)
    expected = "FORBIDDEN" if role else "UNAUTHENTICATED"
    assert body["errors"][0]["extensions"]["code"] == expected
    assert [user.tier for user in await models.list_users(None, None, 10)] == [AccountTier.FREE]


async def test_an_address_without_an_account_is_reported(
    graphql: GraphQL, runtime: Runtime, ada: str
) -> None:
    token = token_for(runtime, Role.ADMIN)
    variables = {"input": {"email": "eve@example.org", "tier": "API"}}
    _, body = await graphql(SET, variables, token=token)
    assert body["data"]["setAccountTier"]["errors"] == [
        {"code": "NOT_FOUND", "path": ["input", "email"]}
    ]
