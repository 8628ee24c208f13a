"""Nobody changes anything of another: every mutation, with every id of the other's.

The operations are made from the schema, so a field, argument or type that is added is tried too;
the first tests fail for one that cannot be reached.
"""

from __future__ import annotations

import pytest

from tests.privacy import operations
from tests.privacy.answers import assert_not_cached, assert_nothing_of_ada, codes_of
from tests.privacy.operations import Made, personal_fields, root_fields, variants
from tests.privacy.world import World

_KINDS = ("query", "mutation", "subscription")


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
            assert_nothing_of_ada(world, made, response)
            assert_not_cached(made, response)
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
        if response.status_code == 200 and not codes_of(response.json()):
            accepted.append(made)
    assert accepted, name
