"""Shared by mutations: expected failures as data, and common inputs and payloads."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

import strawberry

from graph.base.errors import UserError
from graph.base.fields import plain
from services import errors

T = TypeVar("T")
# Not caused by the input: these stay errors of the field.
_NOT_DATA = (
    errors.Unauthenticated,
    errors.Forbidden,
    errors.UpstreamUnavailable,
    errors.OperationTimeout,
)


async def capture_user_errors(call: Awaitable[T]) -> tuple[T | None, list[errors.UserError]]:
    """Return the call's result, or None and its failure with a path that starts at `input`.

    Raises:
        Unauthenticated, Forbidden, UpstreamUnavailable, OperationTimeout: stay errors of the field.
    """
    try:
        return await call, []
    except _NOT_DATA:
        raise
    except errors.CodedError as error:
        failure = errors.UserError.of(error)
        path = None if failure.path is None else ["input", *failure.path]
        return None, [replace(failure, path=path)]


@strawberry.input(description="An object, by its global id.")
class NodeInput:
    id: strawberry.ID = strawberry.field(description="Global id of the object.")


@strawberry.type(
    description="Result of a mutation that returns no object; `errors` says why it failed."
)
class AcknowledgePayload:
    accepted: bool = plain("Whether the change was made or scheduled.")
    errors: list[UserError] = plain("Why the mutation failed; empty on success.")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    accepted: bool
    errors: list[errors.UserError]


async def acknowledge(call: Awaitable[object]) -> Acknowledgement:
    """Await the call and return its outcome as AcknowledgePayload shows it."""
    _, failed = await capture_user_errors(call)
    return Acknowledgement(not failed, failed)
