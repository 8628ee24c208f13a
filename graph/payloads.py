"""What a mutation answers with: its result, or expected failures told as data."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from services import errors

T = TypeVar("T")
# About the request or about us, not about what was asked: these stay errors of the field.
_NOT_DATA = (
    errors.Unauthenticated,
    errors.Forbidden,
    errors.UpstreamUnavailable,
    errors.OperationTimeout,
)


async def told(call: Awaitable[T]) -> tuple[T | None, list[errors.UserError]]:
    """The call's result, or None and its failure, with a path that starts at `input`."""
    try:
        return await call, []
    except _NOT_DATA:
        raise
    except errors.CodedError as error:
        failure = errors.UserError.of(error)
        path = None if failure.path is None else ["input", *failure.path]
        return None, [replace(failure, path=path)]
