"""What mutations share: results or expected failures told as data, plain inputs and answers."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TypeVar

import strawberry

from graph.base.errors import UserError
from graph.base.fields import plain
from services import errors

T = TypeVar("T")
# About the request or about us, not about what was asked: these stay errors of the field.
_NOT_DATA = (
    errors.Unauthenticated,
    errors.Forbidden,
    errors.UpstreamUnavailable,
    errors.OperationTimeout,
)


async def capture_user_errors(call: Awaitable[T]) -> tuple[T | None, list[errors.UserError]]:
    """The call's result, or None and its failure, with a path that starts at `input`."""
    try:
        return await call, []
    except _NOT_DATA:
        raise
    except errors.CodedError as error:
        failure = errors.UserError.of(error)
        path = None if failure.path is None else ["input", *failure.path]
        return None, [replace(failure, path=path)]


@strawberry.input(description="One thing, by its id.")
class NodeInput:
    id: strawberry.ID = strawberry.field(description="Its id.")


@strawberry.type(description="Whether something was done, where there is nothing to show for it.")
class AcknowledgePayload:
    accepted: bool = plain("It was done, or will be.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    accepted: bool
    errors: list[errors.UserError]


async def acknowledge(call: Awaitable[object]) -> Acknowledgement:
    """The call as AcknowledgePayload shows it."""
    _, failed = await capture_user_errors(call)
    return Acknowledgement(not failed, failed)
