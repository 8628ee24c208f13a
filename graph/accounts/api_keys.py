"""API keys as their owner sees them."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.bounds import bound
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.payloads import AcknowledgePayload, NodeInput, acknowledge, build_payload, payload
from graph.base.roots import Mutation
from graph.base.scalars import DateTime
from models import Role
from resolvers.accounts import api_keys

describe_enum(
    models.ApiKeyScope,
    "What an API key may do.",
    {
        "READ": "Queries and subscriptions, the owner's own data among them.",
        "PLAYBACK": "Mutations about playback, progress, history and the watchlist.",
    },
)


@node_type(
    "apikey",
    models.ApiKeyRecord,
    api_keys.api_keys_by_id,
    "An API key for programs. Its secret is returned only by `createApiKey`.",
)
class ApiKey(Node):
    name: str = plain("The name the owner gave the key.")
    prefix: str = plain("The first characters of the key after `marquee_`, to recognize it by.")
    scopes: list[models.ApiKeyScope] = plain("What the key may do.")
    created_at: DateTime = plain("When the key was created.")
    last_used_at: DateTime | None = plain(
        "When the key was last used, to the minute; null if never."
    )
    expires_at: DateTime | None = plain(
        "When the key expires; null for a key made before keys had to expire."
    )


async def _api_keys(info: Info) -> list[models.ApiKeyRecord]:
    return await api_keys.api_keys(info.context)


@strawberry.type
class ViewerApiKeys:
    """Fields of Viewer about API keys."""

    api_keys: list[ApiKey] | None = resolver(
        _api_keys,
        "The viewer's API keys, newest first, at most 20. Fails if the "
        "request itself uses an API key.",
        requires=Role.USER,
        assumed_size=20,
    )


@strawberry.input(description="The details of a new API key.")
class CreateApiKeyInput:
    name: str = strawberry.field(description="A name for the key: one line, 1 to 80 characters.")
    password: str = strawberry.field(description="The account's current password.")
    scopes: list[models.ApiKeyScope] | None = strawberry.field(
        default=None,
        description="What the key may do; null for `READ` alone.",
        directives=bound(items=10),
    )
    expires_at: DateTime | None = strawberry.field(
        default=None,
        description="When the key expires: in the future, by default at most 366 days ahead; "
        "null for the latest there may be.",
    )


@payload("Result of creating an API key; `errors` says why it failed.")
class CreateApiKeyPayload:
    api_key: ApiKey | None = plain("The new key; null on failure.")
    secret: str | None = plain(
        "The secret to send as `Authorization: Bearer <secret>`. It is not "
        "stored and cannot be shown again. Null on failure."
    )


async def _create(
    info: Info,
    input: Annotated[CreateApiKeyInput, strawberry.argument(description="The new key's details.")],
) -> CreateApiKeyPayload:
    return await build_payload(
        CreateApiKeyPayload,
        api_keys.create_api_key(
            info.context,
            input.name,
            input.password,
            scopes=input.scopes,
            expires_at=input.expires_at,
        ),
    )


async def _revoke(
    info: Info, input: Annotated[NodeInput, strawberry.argument(description="The key to revoke.")]
) -> AcknowledgePayload:
    return await acknowledge(api_keys.revoke_api_key(info.context, input.id))


@extend(Mutation)
class ApiKeysMutation:
    create_api_key: CreateApiKeyPayload | None = resolver(
        _create,
        "Creates an API key with rights of the USER role and the limits of the account's tier; "
        "at most 20 per viewer.",
        requires=Role.USER,
        is_exclusive=True,
    )
    revoke_api_key: AcknowledgePayload | None = resolver(
        _revoke,
        "Revokes an API key; it stops working everywhere within a second.",
        requires=Role.USER,
    )
