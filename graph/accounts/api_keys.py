"""API keys as their owner sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import strawberry

import models
from graph.base.errors import UserError
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.payloads import (
    Acknowledgement,
    AcknowledgePayload,
    NodeInput,
    acknowledge,
    capture_user_errors,
)
from graph.base.scalars import DateTime
from models import Role
from resolvers.accounts import api_keys
from services import errors


@strawberry.type(description="A key for programs; its secret is shown only when it is made.")
class ApiKey(Node):
    name: str = plain("The owner's name for it.")
    prefix: str = plain("The beginning of the key behind `marquee_`, to know it by.")
    created_at: DateTime = plain("When it was made.")
    last_used_at: DateTime | None = plain("When it was last used, to the minute; null if never.")
    expires_at: DateTime | None = plain("When it ends; null if only by being revoked.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.ApiKeyRecord)


async def _api_keys(info: Info) -> list[models.ApiKeyRecord]:
    return await api_keys.api_keys(info.context)


@strawberry.type
class ViewerApiKeys:
    """What the viewer gets from here."""

    api_keys: list[ApiKey] | None = resolver(
        _api_keys,
        "The viewer's keys for programs, newest first, at most 20; not for API keys.",
        requires=Role.USER,
        assumed_size=20,
    )


@strawberry.input(description="A new key for programs.")
class CreateApiKeyInput:
    name: str = strawberry.field(description="A name to know it by: one line, 1 to 80 characters.")
    expires_at: DateTime | None = strawberry.field(
        default=None, description="When it ends, in the future; left out, it does not by itself."
    )


@strawberry.type(description="A key just made, or why not.")
class CreateApiKeyPayload:
    api_key: ApiKey | None = plain("The key; null if it failed.")
    secret: str | None = plain(
        "Sent as `Authorization: Bearer ...`; kept nowhere, so never shown again."
    )
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class CreateApiKeyAnswer:
    api_key: models.ApiKeyRecord | None
    secret: str | None
    errors: list[errors.UserError]


async def _create(
    info: Info,
    input: Annotated[CreateApiKeyInput, strawberry.argument(description="The new key.")],
) -> CreateApiKeyAnswer:
    made, failed = await capture_user_errors(
        api_keys.create_api_key(info.context, input.name, input.expires_at)
    )
    if made is None:
        return CreateApiKeyAnswer(None, None, failed)
    return CreateApiKeyAnswer(made.api_key, made.secret, failed)


async def _revoke(
    info: Info, input: Annotated[NodeInput, strawberry.argument(description="Which key.")]
) -> Acknowledgement:
    return await acknowledge(api_keys.revoke_api_key(info.context, input.id))


@strawberry.type
class ApiKeysMutation:
    create_api_key: CreateApiKeyPayload = resolver(
        _create,
        "Makes a key for programs, with the rights of a plain user; at most 20 of one viewer.",
        requires=Role.USER,
    )
    revoke_api_key: AcknowledgePayload = resolver(
        _revoke, "Ends a key, everywhere within a second.", requires=Role.USER
    )
