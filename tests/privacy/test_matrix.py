"""Nobody reads or changes anything of another: every root field, with every id of the other's.

The operations are made from the schema, so a field, argument or type that is added is tried too;
the first tests fail for one that cannot be reached.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.attacks.payloads import MASKED, assert_nothing_leaks
from tests.privacy import operations
from tests.privacy.operations import Made, personal_fields, variants
from tests.privacy.world import FILM, World

_KINDS = ("query", "mutation", "subscription")
_NEVER_THROUGH = {"COST_LIMIT_EXCEEDED", "PERSISTED_QUERY_NOT_FOUND"}


def root_fields(kind: str) -> list[str]:
    return list(getattr(operations.SCHEMA, f"{kind}_type").fields)


def _all_made() -> list[Made]:
    """As in the tests below, with one id for each type of thing."""
    of_id = {name.lower(): name for name in sorted(operations.nodes())}
    return [
        made
        for kind in _KINDS
        for name in root_fields(kind)
        for made in variants(kind, name, list(of_id), of_id)
    ]


# ---- nothing is left out


def test_of_every_type_it_is_known_whose_it_is() -> None:
    known = operations.OWNED | operations.PUBLIC | operations.STAFF
    assert operations.nodes() - known == set(), "say in tests/privacy/operations.py whose it is"


def test_every_personal_field_is_queried() -> None:
    fields = set().union(*(made.asks for made in _all_made()))
    assert personal_fields() - fields == set()


def test_every_id_that_is_taken_is_handed_in() -> None:
    handed_in = set().union(*(made.hands_in for made in _all_made()))
    assert operations.list_id_arguments() - handed_in == set()


# ---- reading


def _errors(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the request and of the payload."""
    errors = list(body.get("errors", []))
    for payload in (body.get("data") or {}).values():
        if isinstance(payload, dict):
            errors += payload.get("errors") or []
    return errors


def _codes(body: dict[str, Any]) -> set[str]:
    return {error.get("extensions", error).get("code") for error in _errors(body)}


def _got_through(made: Made, response: httpx.Response) -> dict[str, Any]:
    """The body of an answer to an operation that was run, whatever came of it."""
    assert response.status_code == 200, f"{made.name}: {response.text[:300]}"
    body: dict[str, Any] = response.json()
    assert "data" in body, f"{made.name}: {response.text[:300]} {made.text}"
    assert not _codes(body) & _NEVER_THROUGH, made.name
    assert MASKED not in response.text, made.name
    assert_nothing_leaks(response.text, made.text)
    return body


def _assert_nothing_of_ada(world: World, made: Made, response: httpx.Response) -> None:
    body = _got_through(made, response)
    assert world.seen(response, made.variables) == set(), f"{made.name} {made.variables}"
    assert world.owned_ids_in(body) == set(), f"{made.name} {made.variables}"


def _is_personal(made: Made) -> bool:
    return bool(made.asks & personal_fields())


def _assert_not_cached(made: Made, response: httpx.Response) -> None:
    """By no cache on the way."""
    assert response.headers["cache-control"] == "no-store", made.name


@pytest.mark.parametrize("name", root_fields("query"))
async def test_what_ada_may_read_nobody_else_can(world: World, name: str) -> None:
    # given Ada, who has just asked the same, twice
    marked = 0
    for made in variants("query", name, list(world.candidates), world.candidates):
        for _ in range(2):
            own = await world.send(made, world.ada.token)
            _got_through(made, own)
        marked += bool(world.seen(own, made.variables))
        if _is_personal(made):
            _assert_not_cached(made, own)
        # when Bob, somebody with all rights, and nobody in particular ask it
        for token in (world.bob.token, world.as_admin(world.bob), None):
            response = await world.send(made, token)
            # then nothing of hers is in the answer, and it is kept by nobody
            _assert_nothing_of_ada(world, made, response)
            if _is_personal(made):
                _assert_not_cached(made, response)
    # and Ada's own answers did show her things, where the field is about a viewer
    assert (marked > 0) == (name in MARKED), f"{name}: {marked}"


# Root fields in whose answers a viewer finds things of her own.
MARKED = {
    "node",
    "nodes",
    "viewer",
    "playbackSession",
    "movie",
    "movies",
    "search",
    "tvShow",
    "tvShows",
}


# ---- rights


def _with_rights() -> list[tuple[str, str, str]]:
    return [
        (kind, name, role)
        for kind in ("query", "mutation")
        for name in root_fields(kind)
        if (role := operations.required_role(kind, name)) is not None
    ]


@pytest.mark.parametrize(("kind", "name", "role"), _with_rights())
async def test_what_needs_rights_asks_for_them(
    world: World, kind: str, name: str, role: str
) -> None:
    before = await world.stored()
    made = next(variants(kind, name, [FILM], {FILM: "Movie"}))
    # nobody in particular has to sign in
    assert _codes(_got_through(made, await world.send(made, None))) == {"UNAUTHENTICATED"}
    # and who is signed in has to have the role
    if role != "USER":
        for token in (world.ada.token, world.bob.token):
            assert _codes(_got_through(made, await world.send(made, token))) == {"FORBIDDEN"}
    assert await world.stored() == before


# ---- changing


@pytest.mark.parametrize("name", root_fields("mutation"))
async def test_what_is_adas_nobody_else_can_change(world: World, name: str) -> None:
    before = await world.stored()
    assert len(before) >= 10
    for made in variants("mutation", name, list(world.candidates), world.candidates):
        others = [None, world.bob.token, world.as_admin(world.bob)]
        for token in others[:2] if name in operations.ADMINISTRATION else others:
            # when anybody else tries it on a thing of Ada's
            response = await world.send(made, token)
            # then nothing of hers is told, and all of it is as it was
            if response.status_code == 401:
                continue  # the sign-in was ended by what came before
            _assert_nothing_of_ada(world, made, response)
            _assert_not_cached(made, response)
            assert await world.stored() == before, f"{made.name} {made.variables}"


def _mutations_with_ids() -> list[str]:
    """Those for everybody that name a thing."""
    mutations = []
    for name in root_fields("mutation"):
        requires = operations.required_role("mutation", name)
        made = operations.made("mutation", name, "x")
        if requires in (None, "USER") and any("(" not in place for place in made.hands_in):
            mutations.append(name)
    return mutations


@pytest.mark.parametrize("name", _mutations_with_ids())
async def test_what_nobody_else_can_change_ada_can(world: World, name: str) -> None:
    """Else the test above would show nothing."""
    accepted = []
    for made in variants("mutation", name, list(world.candidates), world.candidates):
        response = await world.send(made, world.ada.token)
        if response.status_code == 200 and not _codes(response.json()):
            accepted.append(made)
    assert accepted, name
