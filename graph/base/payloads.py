"""Shared by mutations: expected failures as data, and common inputs and payloads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

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
    """Return the call's result, or None and its failures with paths that start at `input`.

    Raises:
        Unauthenticated, Forbidden, UpstreamUnavailable, OperationTimeout: stay errors of the field.
    """
    try:
        return await call, []
    except errors.CodedError as error:
        return None, _list_failures(error)


def _list_failures(error: errors.CodedError) -> list[errors.UserError]:
    """Convert an expected failure of the input; raises one that the input did not cause."""
    if isinstance(error, _NOT_DATA):
        raise error
    failures = error.failures if isinstance(error, errors.InvalidInput) else [error]
    return [_build_user_error(failure) for failure in failures]


def _build_user_error(error: errors.CodedError) -> errors.UserError:
    failure = errors.UserError.of(error)
    return replace(failure, path=None if failure.path is None else ["input", *failure.path])


@strawberry.input(description="An object, by its global id.")
class NodeInput:
    id: strawberry.ID = strawberry.field(description="Global id of the object.")


_RESULTS: dict[type, dict[str, Any]] = {}  # of each payload type: its results' names and defaults


def payload(
    description: str,
    *,
    errors: str = "Why the mutation failed; empty on success.",
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Callable[[type[T]], type[T]]:
    """Make the decorated class, whose fields are a mutation's results, its payload type.

    Args:
        errors: description of the field that is added to the results.
        defaults: values of results on failure; null where none is named.
    """

    def register(cls: type[T]) -> type[T]:
        _RESULTS[cls] = {name: defaults.get(name) for name in cls.__annotations__}
        cls.__annotations__["errors"] = list[UserError]
        cls.errors = plain(errors)  # type: ignore[attr-defined]
        return strawberry.type(cls, description=description)

    return register


async def build_payload(payload_type: type[T], call: Awaitable[object]) -> T:
    """Await the call and return its outcome as the payload type shows it.

    The call's result is the payload's one result; of several, it has an attribute for each.

    Raises:
        Unauthenticated, Forbidden, UpstreamUnavailable, OperationTimeout: stay errors of the field.
    """
    values = _RESULTS[payload_type]
    failures: list[errors.UserError] = []
    try:
        result = await call
    except errors.CodedError as error:
        failures = _list_failures(error)
    else:
        if result is not None and len(values) == 1:
            values = dict.fromkeys(values, result)
        elif result is not None:
            values = {name: getattr(result, name) for name in values}
    build: Callable[..., T] = payload_type
    return build(**values, errors=failures)


@payload("Result of a mutation that returns no object; `errors` says why it failed.")
class AcknowledgePayload:
    accepted: bool = plain("Whether the change was made or scheduled.")


async def acknowledge(call: Awaitable[object]) -> AcknowledgePayload:
    """Await the call and return whether it succeeded."""
    _, failures = await capture_user_errors(call)
    build: Callable[..., AcknowledgePayload] = AcknowledgePayload
    return build(accepted=not failures, errors=failures)
