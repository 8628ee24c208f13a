"""What is looked at in every answer to somebody who is not Ada."""

from __future__ import annotations

from typing import Any

import httpx

from tests.attacks.payloads import MASKED, assert_nothing_leaks
from tests.privacy.operations import Made
from tests.privacy.world import World

_NEVER_THROUGH = {"COST_LIMIT_EXCEEDED", "PERSISTED_QUERY_NOT_FOUND"}


def _errors(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the request and of the payload."""
    errors = list(body.get("errors", []))
    for payload in (body.get("data") or {}).values():
        if isinstance(payload, dict):
            errors += payload.get("errors") or []
    return errors


def codes_of(body: dict[str, Any]) -> set[str]:
    return {error.get("extensions", error).get("code") for error in _errors(body)}


def read_body(made: Made, response: httpx.Response) -> dict[str, Any]:
    """The body of an answer to an operation that was run, whatever came of it."""
    assert response.status_code == 200, f"{made.name}: {response.text[:300]}"
    body: dict[str, Any] = response.json()
    assert "data" in body, f"{made.name}: {response.text[:300]} {made.text}"
    assert not codes_of(body) & _NEVER_THROUGH, made.name
    assert MASKED not in response.text, made.name
    assert_nothing_leaks(response.text, made.text)
    return body


def assert_nothing_of_ada(world: World, made: Made, response: httpx.Response) -> None:
    body = read_body(made, response)
    assert world.seen(response, made.variables) == set(), f"{made.name} {made.variables}"
    assert world.owned_ids_in(body) == set(), f"{made.name} {made.variables}"


def assert_not_cached(made: Made, response: httpx.Response) -> None:
    """By no cache on the way."""
    assert response.headers["cache-control"] == "no-store", made.name
